package redistest

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// patience is how long a client waits for an answer of miniredis, whose scripts take
// seconds on a loaded machine under the race detector. With go-redis's 5 s it would
// send a script again, and a test would see the answer to the second one.
const patience = time.Minute

// Mini starts an embedded miniredis whose keys expire by the clock, as Redis's
// do, and a client to it. Both end with the test.
func Mini(tb testing.TB) (redis.UniversalClient, *miniredis.Miniredis) {
	tb.Helper()
	m := miniredis.RunT(tb)
	m.ClockTTL(true)
	client := redis.NewClient(&redis.Options{Addr: m.Addr(), ReadTimeout: patience})
	tb.Cleanup(func() { _ = client.Close() })
	return client, m
}

// Each runs f as the subtests "miniredis" and "redis-server", each on an empty
// database of its own. The second is skipped as Start is.
func Each(t *testing.T, f func(t *testing.T, rdb redis.UniversalClient)) {
	t.Helper()
	t.Run("miniredis", func(t *testing.T) {
		rdb, _ := Mini(t)
		f(t, rdb)
	})
	t.Run(program, func(t *testing.T) {
		f(t, Start(t).Client(t))
	})
}
