package chaos

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/history"
	"github.com/edgepurge/edgepurge/tasks"
)

// stuckBound is how long an item that could go may wait for its call. The longest that is
// right: a worker dies with a call in hand, whose lease ends after 6 s, and a sweep looks
// every 3 s; a silent connection is given up after 10 s; and the pacer waits up to 5 s for
// a Redis that failed.
const stuckBound = 20 * time.Second

// terms are what the run was bound by; excuses are added from what went wrong.
func (s *site) terms() history.Terms {
	return history.Terms{
		Until: time.Now(), Bound: stuckBound,
		Calls: s.calls, Reserve: 1, Per: time.Second, InFlight: s.inFlight,
		Backoff: retryCap + time.Second, // asynq looks for retries twice a second, by whole seconds
		Pause:   5 * time.Second, Passes: max(50, 3*s.calls), Patience: time.Minute,
		Spreads: s.spreads, Excuses: s.all(),
	}
}

// stuck lists the items that could have gone and did not, of all accounts.
func (s *site) stuck(tb testing.TB) []history.Stall {
	tb.Helper()
	var found []history.Stall
	for _, a := range s.accounts() {
		requests := filter(s.ledger.all(), func(r history.Request) bool { return s.accountOf(r.Project) == a })
		made := filter(calls(s.api.Journal()), func(c history.Call) bool { return s.accountOf(c.Project) == a })
		found = append(found, history.Stuck(requests, made, records(s.letters(tb)), s.terms())...)
	}
	return found
}

// assertMoved checks that nothing was stuck.
func (s *site) assertMoved(tb testing.TB) {
	tb.Helper()
	found := s.stuck(tb)
	for _, stall := range first(found, 5) {
		tb.Log(stall)
	}
	assert.Empty(tb, first(found, 5), "%d items are stuck", len(found))
}

func filter[T any](all []T, keep func(T) bool) []T {
	var kept []T
	for _, v := range all {
		if keep(v) {
			kept = append(kept, v)
		}
	}
	return kept
}

// excuses are the stretches in which items need not go. It is safe for concurrent use.
type excuses struct {
	mu      sync.Mutex
	list    []history.Excuse
	spreads []history.Spread
}

// excuse notes one and returns what ends it; until then it has no end.
func (e *excuses) excuse(x history.Excuse) (end func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if x.From.IsZero() {
		x.From = time.Now()
	}
	e.list = append(e.list, x)
	at := len(e.list) - 1
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.list[at].To = time.Now()
	}
}

func (e *excuses) all() []history.Excuse {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]history.Excuse(nil), e.list...)
}

// meterStalls excuses the moments at which this machine let nobody work.
func (s *site) meterStalls(t *testing.T) {
	t.Helper()
	const each, most = 100 * time.Millisecond, time.Second
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		for from := time.Now(); sleepUntil(ctx, from.Add(each)); from = time.Now() {
			if now := time.Now(); now.Sub(from) > most {
				s.excuse(history.Excuse{From: from, To: now})
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		done.Wait()
	})
}

// excuseInHand excuses what lies in the hands of workers at this moment: one of them was
// killed, and asynq gives its tasks to others when its own lease ends.
func (s *site) excuseInHand(tb testing.TB, killed time.Time) {
	tb.Helper()
	inspector := asynq.NewInspectorFromRedisClient(s.rdb)
	known, err := inspector.Queues()
	require.NoError(tb, err)
	for _, queue := range known {
		active, err := inspector.ListActiveTasks(queue, asynq.PageSize(1000))
		require.NoError(tb, err)
		for _, task := range active {
			since, until := killed.Add(-time.Hour), killed.Add(asynqLease) // whenever it was asked for
			switch task.Type {
			case tasks.TypeRequest:
				s.excuse(history.Excuse{Request: task.ID, From: since, To: until})
			case tasks.TypeCall:
				call, err := tasks.DecodeCall(task.Payload)
				require.NoError(tb, err)
				for _, item := range call.Items {
					s.excuse(history.Excuse{Project: call.Lane.Project, Item: item, From: since, To: until})
				}
			}
		}
	}
}
