package chaos

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/history"
	"github.com/edgepurge/edgepurge/tasks"
)

// ledger records what Redis has acknowledged: nothing of it may be lost.
type ledger struct {
	mu       sync.Mutex
	requests []history.Request
	accepted atomic.Int64
	refused  atomic.Int64 // tries that Redis did not acknowledge
}

func (l *ledger) note(p tasks.Purge, asked, accepted time.Time) {
	l.mu.Lock()
	l.requests = append(l.requests, history.Requests(p, asked, accepted)...)
	l.mu.Unlock()
	l.accepted.Add(1)
}

func (l *ledger) all() []history.Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clip(l.requests)
}

// ask stores a request, as a producer does that must not lose it: it sends the
// request again, under the same id, until Redis has acknowledged it.
func (s *site) ask(ctx context.Context, p tasks.Purge) error {
	asked := time.Now()
	for {
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		_, err := s.client.Purge(try, p)
		cancel()
		if err == nil {
			s.ledger.note(p, asked, time.Now())
			return nil
		}
		if errors.Is(err, tasks.ErrInvalid) || ctx.Err() != nil {
			return err
		}
		s.ledger.refused.Add(1)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// producers are goroutines that ask for a number of requests.
type producers struct {
	wait sync.WaitGroup
	err  chan error
}

// produce starts producers that ask for n requests between them, at about
// rate a second; 0 is as fast as Redis takes them.
func (s *site) produce(ctx context.Context, many, n int, rate float64, request func(i int) tasks.Purge) *producers {
	p := &producers{err: make(chan error, many)}
	var next atomic.Int64
	start := time.Now()
	for range many {
		p.wait.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if rate > 0 && !sleepUntil(ctx, start.Add(time.Duration(float64(i)/rate*float64(time.Second)))) {
					return
				}
				if err := s.ask(ctx, request(i)); err != nil {
					p.err <- err
					return
				}
			}
		})
	}
	return p
}

// end waits for the producers to be done.
func (p *producers) end(tb testing.TB) {
	tb.Helper()
	p.wait.Wait()
	close(p.err)
	for err := range p.err {
		require.NoError(tb, err)
	}
}

func sleepUntil(ctx context.Context, at time.Time) bool {
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
