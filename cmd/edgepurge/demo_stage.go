package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/edgepurge/edgepurge/enqueue"
	"github.com/edgepurge/edgepurge/internal/deadletter"
	"github.com/edgepurge/edgepurge/internal/history"
	"github.com/edgepurge/edgepurge/internal/overview"
	"github.com/edgepurge/edgepurge/internal/vercel"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/worker"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

const (
	demoWorkers   = 2
	demoProducers = 6
	demoToken     = "demo-token"
	demoFailures  = 0.03 // of the calls are answered 503
)

// demoStage is everything that the demo runs: the real path, and the far side
// of the wire.
type demoStage struct {
	parts
	flags    demoFlags
	plan     demoPlan
	rdb      redis.UniversalClient
	client   *enqueue.Client
	letters  *deadletter.Box
	lanes    *lanes.Lanes
	emulator *emulator.Emulator
	stranger *vercel.Client
	ended    <-chan error // of a worker that ended early

	mu    sync.Mutex
	asked []history.Request // what was accepted so far
	alien map[string]bool   // the stranger's calls, by Vercel's ids of requests
}

func newDemoStage(ctx context.Context, f demoFlags, plan demoPlan, log zerolog.Logger) (s *demoStage, err error) {
	s = &demoStage{flags: f, plan: plan, alien: map[string]bool{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	var url string
	s.emulator, url, err = s.vercel(ctx, anyPort, emulator.Config{
		Tokens: []emulator.Token{{Name: "demo", Secret: demoToken}},
		Limit:  emulator.Limit{Calls: f.calls, Per: f.per},
		Faults: emulator.Faults{
			Status: map[int]float64{503: demoFailures}, HTML: 0.5,
			Latency: 20 * time.Millisecond, LatencyJitter: 30 * time.Millisecond,
			PoisonTags: []string{plan.poison},
		},
		Seed: f.seed,
	}, nil)
	if err != nil {
		return s, err
	}
	redisURL, err := s.redis(anyPort)
	if err != nil {
		return s, err
	}
	if s.rdb, err = s.parts.client(redisURL, demoProducers+4); err != nil {
		return s, err
	}
	if s.client, err = enqueue.New(enqueue.Config{Client: s.rdb, Source: "demo"}); err != nil {
		return s, err
	}
	s.letters = deadletter.New(s.rdb, s.client)
	s.lanes = lanes.New(s.rdb)
	s.stranger, err = vercel.New(vercel.Config{BaseURL: url, Token: demoToken})
	if err != nil {
		return s, err
	}
	s.onClose(func() error { s.stranger.CloseIdleConnections(); return nil })
	s.ended, err = s.workers(ctx, redisURL, demoWorkers, demoWorkerConfig(f, url), log)
	return s, err
}

// demoWorkerConfig is the default one but for the budget and quicker retries.
func demoWorkerConfig(f demoFlags, url string) worker.Config {
	c := worker.DefaultConfig()
	c.VercelURL = url
	c.Servers, c.Concurrency = 2, 16
	account := &c.Accounts[0]
	account.Token = demoToken
	account.Budget.Calls, account.Budget.Per = f.calls, f.per
	account.Retry.Base, account.Retry.Cap = 200*time.Millisecond, 5*time.Second
	return c
}

// note remembers a request that was accepted.
func (s *demoStage) note(records []history.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, records...)
}

// ignore remembers a call of the stranger's.
func (s *demoStage) ignore(requestID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alien[requestID] = true
}

// accepted is what was accepted so far.
func (s *demoStage) accepted() []history.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clip(s.asked)
}

// calls is what reached the API so far, but for the stranger's.
func (s *demoStage) calls() []history.Call {
	journal := s.emulator.Journal()
	s.mu.Lock()
	defer s.mu.Unlock()
	var calls []history.Call
	for _, c := range journal {
		if s.alien[c.RequestID] {
			continue
		}
		calls = append(calls, history.Call{
			Family: history.Family{Project: c.Project, Kind: c.Kind, Operation: c.Operation, Target: c.Target},
			Items:  c.Items, StringForm: c.StringForm, Start: c.Start, End: c.End, OK: c.Applied, Status: c.Status,
		})
	}
	return calls
}

// dead is the dead letters, and the same for the checker.
func (s *demoStage) dead(ctx context.Context) ([]deadletter.Letter, []history.Letter, error) {
	var letters []deadletter.Letter
	err := s.letters.Each(ctx, deadletter.Filter{}, func(l deadletter.Letter) error {
		letters = append(letters, l)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	var records []history.Letter
	for _, l := range letters {
		switch {
		case l.Call != nil:
			lane := l.Call.Lane
			records = append(records, history.Letter{
				Family: history.Family{Project: lane.Project, Kind: lane.Kind, Operation: lane.Operation, Target: lane.Target},
				Items:  l.Call.Items, At: l.Call.ClaimedAt, Grain: time.Millisecond,
			})
		case l.Request != nil:
			for _, r := range history.Requests(*l.Request, time.Time{}, time.Time{}) {
				records = append(records, history.Letter{Family: r.Family, Items: r.Items, Request: r.ID})
			}
		}
	}
	return letters, records, nil
}

// backlog is how many items wait in the lanes, and whether nothing at all is
// left to do: no task, no lane, no call under way.
func (s *demoStage) backlog(ctx context.Context) (pending int, idle bool, err error) {
	status, err := s.lanes.Status(ctx, worker.DefaultAccount().Name, s.flags.per)
	if err != nil {
		return 0, false, err
	}
	for _, lane := range status.Lanes {
		pending += int(lane.Pending + lane.Again)
	}
	idle = pending == 0 && len(status.InFlight) == 0
	queues, err := overview.ReadQueues(ctx, s.rdb)
	if err != nil {
		return 0, false, err
	}
	for _, q := range queues {
		idle = idle && q.Pending+q.Active+q.Scheduled+q.Retry == 0
	}
	return pending, idle, nil
}
