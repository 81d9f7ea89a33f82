package redistest

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// settleWait bounds the wait for what several servers agree on among themselves.
const settleWait = 60 * time.Second

// until calls ready every few milliseconds until it returns no error.
func until(tb testing.TB, what string, ready func(ctx context.Context) error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), settleWait)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			tb.Fatalf("redistest: %s: not within %s: %v", what, settleWait, err)
		case <-tick.C:
		}
	}
}

// admin runs f with a connection of its own, which is closed afterwards: it
// outlives no change of a server's role.
func (s *Server) admin(tb testing.TB, f func(c *redis.Client)) {
	tb.Helper()
	c := redis.NewClient(&redis.Options{Network: "unix", Addr: s.socket(), PoolSize: 1})
	defer func() { _ = c.Close() }()
	f(c)
}
