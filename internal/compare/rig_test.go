package compare

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
)

const (
	token   = "compare"
	project = "shop"
)

// rig is what a contender runs on: a Redis and an API of its own.
type rig struct {
	t        *testing.T
	c        contender
	server   *redistest.Server
	rdb      redis.UniversalClient // of the experiment itself
	api      *emulator.Emulator
	url      string // of the API
	answered atomic.Int64
}

// newRig starts both; they and the programs end with the test.
func newRig(t *testing.T, c contender, e emulator.Config) *rig {
	t.Helper()
	r := &rig{t: t, c: c, server: redistest.Start(t)}
	r.rdb = r.server.Client(t)
	api, err := emulator.New(e)
	require.NoError(t, err)
	r.api = api
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		api.ServeHTTP(w, q)
		r.answered.Add(1)
	}))
	r.url = server.URL
	t.Cleanup(server.Close)
	t.Cleanup(func() { _ = api.Close() })
	return r
}

// worker starts a worker, changed from the usual one, and waits until it is ready.
func (r *rig) worker(change func(*role)) *program {
	role := role{Role: roleWork}
	if change != nil {
		change(&role)
	}
	return r.start(role)
}

// asker starts the program that asks, and waits until it is ready.
func (r *rig) asker() *program { return r.start(role{Role: roleAsk}) }

// longest bounds every wait of an experiment.
const longest = 3 * time.Minute

func (r *rig) await(what string, done func() bool) {
	r.t.Helper()
	for end := time.Now().Add(longest); !done(); r.sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("waited %s until %s: in vain", longest, what)
		}
	}
}

// sleep ends the test when the run was interrupted.
func (r *rig) sleep(d time.Duration) {
	r.t.Helper()
	select {
	case <-time.After(d):
	case <-interrupted.Done():
		r.t.Fatal("interrupted")
	}
}

// awaitDone waits until nothing is queued, pending or under way: two looks in a
// row, since something may be between two places in one.
func (r *rig) awaitDone(p *program) {
	r.t.Helper()
	quiet := 0
	r.await("nothing is left to do", func() bool {
		r.sleep(50 * time.Millisecond)
		if l := p.look(); l.Tasks+l.Pending == 0 && r.api.Stats().InFlight == 0 {
			quiet++
		} else {
			quiet = 0
		}
		return quiet == 2
	})
}

// info reads one number of Redis's INFO.
func (r *rig) info(section, field string) float64 {
	r.t.Helper()
	text, err := r.rdb.Info(context.Background(), section).Result()
	require.NoError(r.t, err)
	_, after, found := strings.Cut(text, "\n"+field+":")
	require.True(r.t, found, field)
	value, _, _ := strings.Cut(after, "\r")
	n, err := strconv.ParseFloat(value, 64)
	require.NoError(r.t, err)
	return n
}

// produce calls f for 0 to n-1, as many at a time as producers, unless the run
// is interrupted.
func produce(n int, f func(i int)) {
	const producers = 16
	var wait sync.WaitGroup
	for p := range producers {
		wait.Go(func() {
			for i := p; i < n && interrupted.Err() == nil; i += producers {
				f(i)
			}
		})
	}
	wait.Wait()
}
