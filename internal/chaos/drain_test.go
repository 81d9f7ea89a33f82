package chaos

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

var queues = []string{tasks.QueueIntake, tasks.QueueUrgent, tasks.QueueCalls}

// backlog is what Redis still holds.
type backlog struct {
	// Waiting tasks are pending, scheduled or to be tried again; Active ones are
	// being handled, or were when their worker died.
	Waiting, Active int
	Archived        int
	Pending         int64 // items
	InFlight        int   // batches
}

func (b backlog) String() string {
	return fmt.Sprintf("%d tasks wait, %d are active, %d archived; %d items pending, %d batches in flight",
		b.Waiting, b.Active, b.Archived, b.Pending, b.InFlight)
}

func (b backlog) empty() bool {
	return b.Waiting == 0 && b.Active == 0 && b.Pending == 0 && b.InFlight == 0
}

// orphaned reports whether all that is left may be tasks of dead workers.
func (b backlog) orphaned() bool {
	return b.Active > 0 && b.Waiting == 0 && b.Pending == 0 && b.InFlight == 0
}

func (s *site) backlog(tb testing.TB) backlog {
	tb.Helper()
	ctx := context.Background()
	var b backlog
	for _, queue := range queues { // asynq's Inspector would use MEMORY, which a Redis may refuse
		key := "asynq:{" + queue + "}:"
		p := s.rdb.Pipeline()
		pending, active := p.LLen(ctx, key+"pending"), p.LLen(ctx, key+"active")
		scheduled, retry, archived := p.ZCard(ctx, key+"scheduled"), p.ZCard(ctx, key+"retry"), p.ZCard(ctx, key+"archived")
		_, err := p.Exec(ctx)
		require.NoError(tb, err)
		b.Waiting += int(pending.Val() + scheduled.Val() + retry.Val())
		b.Active += int(active.Val())
		b.Archived += int(archived.Val())
	}
	for _, a := range s.accounts() {
		status, err := lanes.New(s.rdb).Status(ctx, a, time.Second)
		require.NoError(tb, err)
		for _, lane := range status.Lanes {
			b.Pending += lane.Pending
		}
		b.InFlight += len(status.InFlight)
	}
	return b
}

// asynqLease is how long asynq leaves the tasks of a dead worker alone: a lease
// of 30 s, 30 s for clocks that differ, and a look every minute.
const asynqLease = 2*time.Minute + 10*time.Second

// drain waits until nothing is left to do. Tasks that were active when their
// worker died come back after up to two minutes; with hurry it ends their
// leases, as that time would, and starts one more worker, which looks for them
// at its start.
func (s *site) drain(t *testing.T, most time.Duration, hurry bool) {
	t.Helper()
	deadline := time.Now().Add(most)
	for {
		var last backlog
		await(t, time.Until(deadline), "drain", func() bool {
			last = s.backlog(t)
			if t.Failed() {
				t.FailNow()
			}
			return last.empty() || last.orphaned() || time.Now().Add(100*time.Millisecond).After(deadline)
		})
		switch {
		case last.empty() && s.backlog(t).empty() && s.backlog(t).empty(): // items go back and forth while it looks
			return
		case last.empty():
			continue
		case !last.orphaned():
			t.Fatalf("not drained in %s: %s", most, last)
		case !hurry || !s.staysOrphaned(t, 500*time.Millisecond):
			time.Sleep(50 * time.Millisecond) // whoever handles them is at it
			continue
		}
		s.endLeases(t)
		s.worker(t)
		await(t, time.Until(deadline), "the new worker looks for orphans", func() bool {
			b := s.backlog(t)
			return b.Waiting > 0 || !b.orphaned()
		})
	}
}

// staysOrphaned reports whether the backlog is orphaned for all of a while.
func (s *site) staysOrphaned(tb testing.TB, while time.Duration) bool {
	tb.Helper()
	for end := time.Now().Add(while); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if !s.backlog(tb).orphaned() {
			return false
		}
	}
	return true
}

// endLeases makes asynq take every active task for that of a dead worker. The
// living ones extend theirs at the next heartbeat; at worst a task runs twice.
func (s *site) endLeases(tb testing.TB) {
	tb.Helper()
	ctx := context.Background()
	for _, queue := range queues {
		key := "asynq:{" + queue + "}:lease"
		ids, err := s.rdb.ZRange(ctx, key, 0, -1).Result()
		require.NoError(tb, err)
		for _, id := range ids {
			require.NoError(tb, s.rdb.ZAddXX(ctx, key, redis.Z{Score: 1, Member: id}).Err())
		}
	}
}
