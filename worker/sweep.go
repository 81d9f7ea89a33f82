package worker

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/edgepurge/edgepurge/internal/queues"
	"github.com/edgepurge/edgepurge/internal/redisaway"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// sweep repairs what dead workers and lost messages leave behind. Every worker
// sweeps; the scripts keep them from doing anything twice.
type sweep struct {
	lanes     *lanes.Lanes
	archive   *archive
	pacers    map[string]*pacer
	gate      *gate
	reclaimer *queues.Reclaimer
	away      *redisaway.Watch
	metrics   *metrics
	log       zerolog.Logger

	strangers map[string]bool // accounts told about that the configuration lacks
}

const (
	leaseCheck    = 3 * time.Second
	countCheck    = 3 * time.Second
	collapseCheck = 3 * time.Second
	dueCheck      = 3 * time.Second
	queueCheck    = 3 * time.Second
	reclaimCheck  = 4 * time.Second
	letterCheck   = time.Hour
)

// wakeups passes on what producers, other workers and intakes publish. After every
// (re)connection it wakes everyone, since messages may have been lost.
func (s *sweep) wakeups(ctx context.Context) {
	sub := s.lanes.Wakes(ctx, tasks.ChannelQueued)
	defer func() { _ = sub.Close() }() // nothing is lost with it
	messages := sub.ChannelWithSubscriptions()
	for {
		select {
		case <-ctx.Done():
			return
		case m, ok := <-messages:
			if !ok {
				return
			}
			switch m := m.(type) {
			case *redis.Subscription:
				for _, p := range s.pacers {
					p.wake()
				}
			case *redis.Message:
				if m.Channel == tasks.ChannelQueued {
					s.gate.hint()
				} else {
					s.wake(m.Payload)
				}
			}
		}
	}
}

func (s *sweep) wake(account string) {
	if p := s.pacers[account]; p != nil {
		p.wake()
	}
}

// due wakes the accounts whose hint has come, in case a wake-up was lost.
func (s *sweep) due(ctx context.Context) error {
	accounts, err := s.lanes.Due(ctx)
	if err != nil {
		return err
	}
	for _, a := range accounts {
		s.wake(a)
	}
	all, err := s.lanes.Accounts(ctx)
	for _, a := range all {
		if s.pacers[a] == nil && !s.strangers[a] {
			s.strangers[a] = true
			s.log.Warn().Str("account", a).Msg("Redis has purges or holds of an account that this configuration lacks: they wait until a worker has it, or until `edgepurge adopt` moves them")
		}
	}
	return err
}

// backlogs counts what waits, so that the intake knows when it is too much and
// people see how things stand.
func (s *sweep) backlogs(ctx context.Context) error {
	now, accounts, seen := time.Time{}, map[string]*account{}, map[string]sight{}
	for name, p := range s.pacers {
		accounts[name] = p.account
		waiting, late, err := s.lanes.Survey(ctx, name, p.account.pace)
		if err != nil {
			return err
		}
		if err := s.lanes.Offer(ctx, name, late, p.account.pace); err != nil {
			return err
		}
		s.fill(p.account, waiting)
		s.logMoved(p.account, waiting)
		limits, err := s.lanes.Limits(ctx, name, p.account.Budget.Per)
		if err != nil {
			return err
		}
		seen[name], now = sight{waiting, limits}, limits.Now
	}
	s.metrics.gauges.show(now, accounts, seen)
	return nil
}

// logMoved says once of each project what still waits under the account it moved away from.
func (s *sweep) logMoved(a *account, waiting map[string]lanes.Waiting) {
	for project, w := range waiting {
		now := accountOf(s.accounts(), project)
		if key := a.Name + ":" + project; now != a && !s.strangers[key] {
			s.strangers[key] = true
			to := none
			if now != nil {
				to = now.Name
			}
			s.log.Warn().Str("project", project).Str("account", a.Name).Str("account_now", to).Int64("items", w.Items).
				Msg("purges of a project wait under an account that does not cover it any more: they are called with its token, unless `edgepurge adopt --project` moves them")
		}
	}
}

func (s *sweep) accounts() map[string]*account {
	all := map[string]*account{}
	for name, p := range s.pacers {
		all[name] = p.account
	}
	return all
}

// collapses applies the collapse rules to the lanes that no pacer claims from: a hold, the
// budget or the spread keeps them.
func (s *sweep) collapses(ctx context.Context) error {
	for _, p := range s.pacers {
		if err := p.collapser.all(ctx); err != nil {
			return err
		}
	}
	return nil
}

// fill notes how full the backlog of an account is.
func (s *sweep) fill(a *account, waiting map[string]lanes.Waiting) {
	var due, scheduled int64
	for _, w := range waiting {
		due += w.Items - w.Scheduled
		scheduled += w.Scheduled
	}
	wasFull, wasScheduleFull := a.isFull(), a.isScheduleFull()
	a.due.Store(due)
	a.scheduled.Store(scheduled)
	if a.isFull() != wasFull || a.isScheduleFull() != wasScheduleFull {
		s.log.Warn().Str("account", a.Name).Int64("due", due).Int64("scheduled", scheduled).Int("max", a.Backlog.Max).
			Bool("full", a.isFull()).Bool("schedule_full", a.isScheduleFull()).
			Str("when_full", string(a.Backlog.WhenFull)).Msg("the backlog became full, or has room again")
	}
}

// leases puts the items of batches whose lease ended back into their lanes.
func (s *sweep) leases(ctx context.Context) error {
	var faults []error // one record that cannot be read, or one account, keeps back no other
	for name, p := range s.pacers {
		expired, err := s.lanes.Expired(ctx, name)
		faults = append(faults, err)
		for _, b := range expired {
			restored, err := s.lanes.Restore(ctx, p.account.pace(b.Lane), b, true)
			if err != nil {
				faults = append(faults, err)
				break
			}
			if restored {
				s.metrics.returned.WithLabelValues(returnedLease).Inc()
				s.log.Warn().Str("account", name).Str("batch", b.ID).Int("items", len(b.Items)).
					Msg("a worker died during a call: its items are back in their lane")
			}
		}
	}
	return errors.Join(faults...)
}

// reclaim gives asynq's queues back what dead workers had in hand.
func (s *sweep) reclaim(ctx context.Context) error {
	ids, err := s.reclaimer.Reclaim(ctx)
	for _, id := range ids {
		s.log.Warn().Str("task", id).Msg("a worker died with a task in hand: it is back in its queue")
	}
	if len(ids) > 0 {
		s.gate.hint()
	}
	return err
}

func (s *sweep) letters(ctx context.Context) error {
	_, err := s.archive.tellOld(ctx, time.Now())
	return err
}

// every runs a duty at an interval until ctx ends. While Redis is away the
// pacers say so; one line a duty is enough.
func (s *sweep) every(ctx context.Context, interval time.Duration, what string, duty func(context.Context) error) {
	failing := false
	for {
		err := duty(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !failing && !s.away.Away() {
			s.log.Error().Err(err).Msg(what)
		}
		failing = err != nil
		// Jitter keeps a fleet that started together from sweeping together.
		if !sleep(ctx, interval/2+time.Duration(random()*float64(interval))) {
			return
		}
	}
}
