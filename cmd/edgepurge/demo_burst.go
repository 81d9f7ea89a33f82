package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/edgepurge/edgepurge/internal/history"
	"github.com/edgepurge/edgepurge/internal/vercel"
	"github.com/edgepurge/edgepurge/tasks"
)

// production is the producers at work. What they leave is read once done is closed.
type production struct {
	done chan struct{}
	mu   sync.Mutex
	err  error
	took time.Duration
}

// produce starts the producers, who share out the plan and each ask in time.
// Beside them somebody else spends calls of the same token. They end with ctx.
func (s *demoStage) produce(ctx context.Context, begin time.Time) *production {
	p := &production{done: make(chan struct{})}
	var producers, all sync.WaitGroup
	for first := range demoProducers {
		producers.Go(func() { p.fail(s.ask(ctx, begin, first)) })
	}
	all.Go(func() {
		producers.Wait()
		p.took = time.Since(begin)
	})
	all.Go(func() { s.meddle(ctx, begin) })
	go func() {
		all.Wait()
		close(p.done)
	}()
	return p
}

func (p *production) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = errors.Join(p.err, err)
}

// ask asks for every demoProducers-th request of the plan, as far as it gets in
// the plan's time limit.
func (s *demoStage) ask(ctx context.Context, begin time.Time, first int) error {
	for i := first; i < len(s.plan.requests) && time.Since(begin) < s.plan.limit(); i += demoProducers {
		planned := s.plan.requests[i]
		if !sleepUntil(ctx, begin.Add(planned.at)) {
			return nil
		}
		asked := time.Now()
		_, err := s.client.Purge(ctx, planned.purge)
		if ctx.Err() != nil {
			return nil // it may be stored or not: it was not accepted
		}
		if err != nil {
			return fmt.Errorf("ask for a purge: %w", err)
		}
		s.note(history.Requests(planned.purge, asked, time.Now()))
	}
	return nil
}

// meddle spends a window's calls twice, as another program with the same token
// would: what the workers then try is answered 429. It asks for no success.
func (s *demoStage) meddle(ctx context.Context, begin time.Time) {
	for _, at := range []time.Duration{s.plan.over / 4, s.plan.over * 5 / 8} {
		if !sleepUntil(ctx, begin.Add(at)) {
			return
		}
		for n := range s.flags.calls {
			answer, _ := s.stranger.Purge(ctx, vercel.Request{
				Project: "somebody-else", Kind: tasks.Tag, Operation: tasks.Delete, DeadlineSeconds: tasks.NoDeadline,
				Items: []string{fmt.Sprint("tag-", n)},
			})
			s.ignore(answer.RequestID)
		}
	}
}

// sleepUntil returns false if ctx ended first.
func sleepUntil(ctx context.Context, at time.Time) bool {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
