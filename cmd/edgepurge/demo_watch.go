package main

import (
	"context"
	"fmt"
	"time"

	"github.com/edgepurge/edgepurge/internal/deadletter"
	"github.com/edgepurge/edgepurge/internal/history"
	"github.com/edgepurge/edgepurge/tasks"
)

// demoRun is what the demo did.
type demoRun struct {
	report      history.Report
	asked       []history.Request
	calls       []history.Call
	letters     []deadletter.Letter
	urgent      map[string]bool // by the ids of requests
	asking      time.Duration   // from the start to the last request
	took        time.Duration
	interrupted bool
}

// play asks for everything that is planned and waits until nothing is left to
// do. When ctx ends first, it comes back with what happened until then.
func (s *demoStage) play(ctx context.Context, progress *demoProgress) (*demoRun, error) {
	run := &demoRun{urgent: map[string]bool{}}
	for i := range s.plan.requests {
		p := &s.plan.requests[i].purge
		p.ID = fmt.Sprintf("demo-%06d", i+1)
		run.urgent[p.ID] = p.Priority == tasks.Urgent
	}
	begin := time.Now()
	producing, stop := context.WithCancel(ctx)
	made := s.produce(producing, begin)
	err := s.watch(ctx, begin, made, progress)
	stop()
	<-made.done
	progress.end()
	if err != nil {
		return nil, err
	}
	run.interrupted, run.asking, run.took = ctx.Err() != nil, made.took, time.Since(begin)

	// What was asked for comes first: a call that is made meanwhile does no harm.
	run.asked = s.accepted()
	letters, records, err := s.dead(context.WithoutCancel(ctx))
	if err != nil {
		return nil, err
	}
	run.letters, run.calls = letters, s.calls()
	run.report = history.Check(run.asked, run.calls, records)
	return run, nil
}

// demoTick is what is told while the demo runs.
type demoTick struct {
	elapsed       time.Duration
	asked, purged int // requests
	pending       int // items that wait
	calls         int
}

// demoPatience is how long nothing may move before the demo gives up, beside a
// few windows of the budget.
const demoPatience = 20 * time.Second

// watch shows the progress until everything was asked for and nothing is left
// to do, or ctx ends.
func (s *demoStage) watch(ctx context.Context, begin time.Time, made *production, progress *demoProgress) error {
	ticker := time.NewTicker(progress.interval)
	defer ticker.Stop()
	var last demoTick
	moved, wasIdle := begin, false
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-s.ended:
			return fmt.Errorf("a worker ended early: %w", err)
		case <-ticker.C:
		}
		tick, idle, err := s.look(ctx, begin)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		progress.show(tick)
		done := false
		select {
		case <-made.done:
			done = true
		default:
		}
		if done && made.err != nil {
			return made.err
		}
		same := tick.asked == last.asked && tick.calls == last.calls && tick.purged == last.purged
		// Between the looks at two places something may go from the one to the
		// other, so one look does not prove that nothing is left.
		if done && idle && wasIdle && same {
			return nil
		}
		if !same {
			moved = time.Now()
		} else if time.Since(moved) > demoPatience+3*s.flags.per {
			return fmt.Errorf("nothing has moved for %s: %d items wait; look at the log with --verbose", brief(time.Since(moved)), tick.pending)
		}
		last, wasIdle = tick, idle
	}
}

// look counts what has been done so far.
func (s *demoStage) look(ctx context.Context, begin time.Time) (demoTick, bool, error) {
	pending, idle, err := s.backlog(ctx)
	if err != nil {
		return demoTick{}, false, err
	}
	calls := s.calls()
	report := history.Check(s.accepted(), calls, nil)
	tick := demoTick{
		elapsed: time.Since(begin), asked: report.Requests, purged: len(report.Waits),
		pending: pending, calls: len(calls),
	}
	return tick, idle, nil
}
