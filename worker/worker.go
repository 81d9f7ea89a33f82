package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"

	"github.com/edgepurge/edgepurge/internal/queues"
	"github.com/edgepurge/edgepurge/internal/redisacl"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// Worker is the pipeline of one process.
type Worker struct {
	config   Config
	rdb      redis.UniversalClient
	log      zerolog.Logger
	accounts map[string]*account
	intake   *intake
	attempts *attempts
	pacers   map[string]*pacer
	sweep    *sweep
	gate     *gate
	recent   *recent
	unknown  *unknowns
}

// Options are what a Worker takes besides its Config.
type Options struct {
	// Redis must not be closed while the worker runs. Its pool should hold
	// Concurrency + 10 connections. The worker adds a hook to it.
	Redis redis.UniversalClient
	// Log receives what happens; the zero value discards it.
	Log zerolog.Logger
	// Registerer receives the metrics; nil: they are not published.
	Registerer prometheus.Registerer
	// Sources are the sources of requests that edgepurge_requests_total names;
	// requests of any other count as "other", so that what producers write into
	// requests makes no series. Requests without a source count as "none".
	Sources []string
	// Traces receives the spans of requests that are taken in and of calls; nil: none
	// are made, and what the headers of requests say is not looked at.
	Traces trace.TracerProvider
}

// New builds a worker. It returns the faults of the configuration and does not
// connect to anything.
func New(c Config, o Options) (*Worker, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	accounts, err := newAccounts(c)
	if err != nil {
		return nil, err
	}
	gate := newGate()
	o.Redis.AddHook(gate) // before the pause: an answer of the gate's is no success of Redis's
	o.Redis.AddHook(&errorPause{})
	l := lanes.New(o.Redis)
	m := newMetrics(accounts, o.Sources, o.Registerer)
	letters := &archive{
		rdb: o.Redis, inspector: asynq.NewInspectorFromRedisClient(o.Redis), max: MaxLetters, log: o.Log, reported: map[string]bool{},
	}
	traces := newTracer(o.Traces)
	call := caller{
		lanes: l, tasks: asynq.NewClientFromRedisClient(o.Redis), rdb: o.Redis, archive: letters, metrics: m, recent: newRecent(l),
		tracer: traces, log: o.Log,
	}

	unknown := newUnknowns(l, o.Log)
	slots := make(chan struct{}, c.Concurrency)
	pacers := map[string]*pacer{}
	for name, a := range accounts {
		pacers[name] = newPacer(a, l, &call, slots, o.Log)
	}
	return &Worker{
		config: c, rdb: o.Redis, log: o.Log, accounts: accounts,
		intake:   &intake{lanes: l, accounts: accounts, archive: letters, unknown: unknown, metrics: m, tracer: traces, log: o.Log},
		attempts: &attempts{caller: call, accounts: accounts, unknown: unknown},
		pacers:   pacers,
		sweep:    &sweep{lanes: l, archive: letters, pacers: pacers, gate: gate, metrics: m, log: o.Log, strangers: map[string]bool{}},
		gate:     gate,
		recent:   call.recent,
		unknown:  unknown,
	}, nil
}

// Run works until ctx ends. Then nothing more is taken in or claimed, the calls
// in hand end and are written down, and everything else stays in Redis. While
// Redis is away it waits and says so. The error is nil after a graceful stop.
func (w *Worker) Run(ctx context.Context) error {
	if err := awaitRedis(ctx, w.rdb, w.log); err != nil {
		return nilIfCancelled(err)
	}
	tellMissingRights(ctx, w.rdb, w.rights(), w.log)
	for _, a := range w.accounts {
		defer a.client.CloseIdleConnections()
	}
	defer w.recent.flush(context.WithoutCancel(ctx)) // the calls that the stop waited for
	var wait sync.WaitGroup
	defer wait.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()

	wait.Go(func() { w.gate.run(ctx, w.rdb) })
	wait.Go(func() { w.recent.run(ctx) })
	// Intake: requests become pending items. Calls: retries, splits, dead letters.
	intakes, calls := newServers(w.config, w.rdb, w.log)
	servers := append(intakes, calls)
	for _, s := range intakes {
		if err := s.Start(handler(tasks.TypeRequest, w.intake, w.intake.bury)); err != nil {
			return fmt.Errorf("start the intake: %w", err)
		}
		defer s.Shutdown()
	}
	if err := calls.Start(handler(tasks.TypeCall, w.attempts, w.attempts.bury)); err != nil {
		return fmt.Errorf("start the calls: %w", err)
	}
	defer calls.Shutdown()

	// Pacers: pending items become calls.
	for _, p := range w.pacers {
		wait.Go(func() { p.run(ctx) })
	}
	// What dead workers and lost messages leave behind.
	wait.Go(func() { w.sweep.wakeups(ctx) })
	wait.Go(func() { w.sweep.every(ctx, dueCheck, "look which accounts are due", w.sweep.due) })
	wait.Go(func() { w.sweep.every(ctx, leaseCheck, "look for dead workers", w.sweep.leases) })
	wait.Go(func() { w.sweep.every(ctx, countCheck, "count what waits", w.sweep.backlogs) })
	wait.Go(func() { w.sweep.every(ctx, collapseCheck, "look for what is to be collapsed", w.sweep.collapses) })
	wait.Go(func() {
		w.sweep.every(ctx, queueCheck, "register the queues", func(ctx context.Context) error { return queues.Register(ctx, w.rdb) })
	})
	wait.Go(func() { w.sweep.every(ctx, letterCheck, "look for old dead letters", w.sweep.letters) })

	w.log.Info().Int("accounts", len(w.accounts)).Int("servers", w.config.Servers).Int("concurrency", w.config.Concurrency).Msg("working")
	<-ctx.Done()
	w.log.Info().Msg("stopping: the calls in hand end, everything else stays in Redis")
	for _, s := range servers {
		s.Stop()
	}
	return nil
}

// rights are what the worker needs of Redis.
func (w *Worker) rights() redisacl.Rights {
	for _, a := range w.accounts {
		if a.hasRules() {
			return redisacl.Worker.With(redisacl.Collapsing)
		}
	}
	return redisacl.Worker
}

// handler handles one type of task and buries any other with its name.
func handler(typename string, h asynq.Handler, bury func(context.Context, Reason, error) error) asynq.Handler {
	return asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
		if t.Type() != typename {
			return bury(ctx, Invalid, fmt.Errorf("task type %q is not edgepurge's: delete it with `edgepurge dead delete`", t.Type()))
		}
		return h.ProcessTask(ctx, t)
	})
}

func nilIfCancelled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
