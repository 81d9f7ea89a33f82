package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"

	"github.com/edgepurge/edgepurge/internal/queues"
	"github.com/edgepurge/edgepurge/internal/redisacl"
	"github.com/edgepurge/edgepurge/internal/redisaway"
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
	cutoff   *cutoff
	away     *redisaway.Watch
	slots    chan struct{} // one for each call in hand
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
	gate, cutoff := newGate(), newCutoff()
	away := redisaway.New(o.Log)
	o.Redis.AddHook(away)
	o.Redis.AddHook(cutoff)
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
		pacers[name].away = away.Away
	}
	return &Worker{
		config: c, rdb: o.Redis, log: o.Log, accounts: accounts,
		intake:   &intake{lanes: l, accounts: accounts, archive: letters, unknown: unknown, metrics: m, tracer: traces, log: o.Log},
		attempts: &attempts{caller: call, accounts: accounts, unknown: unknown},
		pacers:   pacers,
		sweep:    &sweep{lanes: l, archive: letters, pacers: pacers, gate: gate, reclaimer: queues.NewReclaimer(o.Redis), away: away, metrics: m, log: o.Log, strangers: map[string]bool{}},
		gate:     gate,
		cutoff:   cutoff,
		away:     away,
		slots:    slots,
		recent:   call.recent,
		unknown:  unknown,
	}, nil
}

// RedisAway reports whether Redis did not answer when it was last asked. The log says so
// once, and once more when it is back, so that nothing else need.
func (w *Worker) RedisAway() bool { return w.away.Away() }

// Run works until ctx ends. Then nothing more is taken in or claimed, the calls
// in hand end and are written down, and everything else stays in Redis. While
// Redis is away it waits and says so. The error is nil after a graceful stop.
//
// A stop lasts as long as the calls in hand and their answers (Timeout plus 5 s at most),
// and a few seconds where Redis does not answer: what could not be written down then, the
// other workers take up when its lease is over.
func (w *Worker) Run(ctx context.Context) error {
	defer w.cutoff.reset()
	defer w.recent.flush(context.WithoutCancel(ctx)) // the calls that the stop waited for
	for _, a := range w.accounts {
		defer a.client.CloseIdleConnections()
	}
	ctx, stop := context.WithCancel(ctx)
	defer w.watchStop(ctx)()
	var parts sync.WaitGroup
	defer w.await(&parts)
	defer stop()

	if err := awaitRedis(ctx, w.rdb, w.away.Away, w.log); err != nil {
		return nilIfCancelled(err)
	}
	tellMissingRights(ctx, w.rdb, w.rights(), w.log)
	parts.Go(func() { w.gate.run(ctx, w.rdb) })
	parts.Go(func() { w.recent.run(ctx) })
	if err := w.startServers(ctx, &parts); err != nil {
		return err
	}
	for _, p := range w.pacers { // pending items become calls
		parts.Go(func() { p.run(ctx) })
	}
	w.startSweeps(ctx, &parts)

	w.log.Info().Int("accounts", len(w.accounts)).Int("servers", w.config.Servers).Int("concurrency", w.config.Concurrency).Msg("working")
	<-ctx.Done()
	w.log.Info().Msg("stopping: the calls in hand end, everything else stays in Redis")
	return nil
}

// startServers starts asynq's servers. Each ends by itself when ctx does: one after
// the other, they would wait for a Redis that does not answer one after the other.
func (w *Worker) startServers(ctx context.Context, parts *sync.WaitGroup) error {
	start := func(s *asynq.Server, h asynq.Handler, what string) error {
		if err := s.Start(h); err != nil {
			return fmt.Errorf("start the %s: %w", what, err)
		}
		parts.Go(func() {
			<-ctx.Done()
			s.Shutdown()
		})
		return nil
	}
	// Intake: requests become pending items. Calls: retries, splits, dead letters.
	intakes, calls := newServers(w.config, w.rdb, w.away, w.log)
	for _, s := range intakes {
		if err := start(s, handler(tasks.TypeRequest, w.intake, w.intake.bury), "intake"); err != nil {
			return err
		}
	}
	return start(calls, handler(tasks.TypeCall, w.attempts, w.attempts.bury), "calls")
}

// startSweeps starts what repairs what dead workers and lost messages leave behind.
func (w *Worker) startSweeps(ctx context.Context, parts *sync.WaitGroup) {
	parts.Go(func() { w.sweep.wakeups(ctx) })
	every := func(interval time.Duration, what string, duty func(context.Context) error) {
		parts.Go(func() { w.sweep.every(ctx, interval, what, duty) })
	}
	every(dueCheck, "look which accounts are due", w.sweep.due)
	every(leaseCheck, "look for dead workers", w.sweep.leases)
	every(countCheck, "count what waits", w.sweep.backlogs)
	every(collapseCheck, "look for what is to be collapsed", w.sweep.collapses)
	every(queueCheck, "register the queues", func(ctx context.Context) error { return queues.Register(ctx, w.rdb) })
	every(reclaimCheck, "look for tasks that no worker has", w.sweep.reclaim)
	every(letterCheck, "look for old dead letters", w.sweep.letters)
}

// watchStop bounds how long the stop that begins with the end of ctx waits for Redis.
// The function that it returns waits no longer: everything has ended.
func (w *Worker) watchStop(ctx context.Context) (ended func()) {
	stopped, end := context.WithCancel(context.WithoutCancel(ctx))
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-ctx.Done():
		case <-stopped.Done():
			return
		}
		most := w.config.Timeout + leaseMargin + cutMargin
		w.cutoff.watch(stopped, func(ctx context.Context) error { return w.rdb.Ping(ctx).Err() }, most, w.hasCalls)
	})
	return func() { end(); watch.Wait() }
}

// hasCalls reports whether a call, or the answer to one, is in hand.
func (w *Worker) hasCalls() bool { return len(w.slots) > 0 || w.attempts.running.Load() > 0 }

// await waits for the parts to end. Those that do not, though Redis is cut off, are
// left behind: whatever they wait for, nothing in hand depends on it.
func (w *Worker) await(parts *sync.WaitGroup) {
	ended := make(chan struct{})
	go func() {
		parts.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return
	case <-w.cutoff.done():
		w.log.Warn().Msg("Redis does not answer: stopping without it; what it was not told is done again when its lease is over")
	}
	select {
	case <-ended:
	case <-time.After(lastWait):
		w.log.Error().Msg("parts of the worker do not end: leaving them behind")
	}
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
