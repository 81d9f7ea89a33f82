package bench

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/enqueue"
	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/internal/redisurl"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker"
)

const (
	token   = "bench"
	project = "shop"
)

// rig is what an experiment runs on: a Redis, an API and a producer of its own.
type rig struct {
	tb       testing.TB
	server   *redistest.Server
	rdb      redis.UniversalClient // of the experiment itself
	api      *emulator.Emulator
	url      string // of the API
	answered atomic.Int64
	producer *enqueue.Client
	stops    []func()
}

func newRig(tb testing.TB, c emulator.Config) *rig {
	tb.Helper()
	r := &rig{tb: tb, server: redistest.Start(tb)}
	r.rdb = r.open(r.server.URL())
	api, err := emulator.New(c)
	require.NoError(tb, err)
	r.api = api
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		api.ServeHTTP(w, q)
		r.answered.Add(1)
	}))
	r.url = server.URL
	r.stops = append(r.stops, server.Close, func() { _ = api.Close() })
	r.producer, err = enqueue.New(enqueue.Config{Client: r.rdb})
	require.NoError(tb, err)
	return r
}

// open connects as `edgepurge worker` does.
func (r *rig) open(url string) redis.UniversalClient {
	rdb, err := redisurl.Open(url, worker.DefaultConfig().Concurrency+10)
	require.NoError(r.tb, err)
	r.stops = append(r.stops, func() { _ = rdb.Close() })
	return rdb
}

// close ends everything, so that the next experiment has the machine to itself.
func (r *rig) close() {
	r.stop(0)
	r.server.Kill(r.tb)
}

// stop ends what was started after the first n stops were noted, last first.
func (r *rig) stop(n int) {
	for i := len(r.stops) - 1; i >= n; i-- {
		r.stops[i]()
	}
	r.stops = r.stops[:n]
}

// worker starts one with a client of its own, to which hooks are added. Its
// budget is unlimited unless change says otherwise.
func (r *rig) worker(change func(*worker.Config), hooks ...redis.Hook) {
	rdb := r.open(r.server.URL())
	for _, h := range hooks {
		rdb.AddHook(h)
	}
	c := config(r.url)
	c.Accounts[0].Budget.Calls, c.Accounts[0].Budget.Reserve = 0, 0
	if change != nil {
		change(&c)
	}
	w, err := worker.New(c, worker.Options{Redis: rdb, Log: zerolog.Nop()})
	require.NoError(r.tb, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	r.stops = append(r.stops, func() {
		cancel()
		require.NoError(r.tb, <-done)
	})
}

// config is the default one with what has no default.
func config(api string) worker.Config {
	c := worker.DefaultConfig()
	c.VercelURL = api
	c.Accounts[0].Token = token
	return c
}

// purge asks for tags as a producer does.
func (r *rig) purge(tags ...string) tasks.Purge {
	p := tasks.Purge{Project: project, Operation: tasks.Delete, Tags: tags}
	receipt, err := r.producer.Purge(context.Background(), p)
	if err != nil {
		r.tb.Errorf("purge: %v", err)
	}
	p.ID = receipt.ID
	return p
}

// longest bounds every wait of an experiment.
const longest = 3 * time.Minute

// awaitCalls waits until the API has purged n different tags, with no more than
// perCall in a call, and returns the calls. They carry the times: how often this
// looks does not matter.
func (r *rig) awaitCalls(n, perCall int) []emulator.Call {
	r.tb.Helper()
	var seen int64
	r.await("all tags are purged", func() bool {
		now := r.answered.Load()
		if now == seen || now*int64(perCall) < int64(n) {
			return false
		}
		seen = now
		return distinct(r.api.Journal()) >= n
	})
	return r.api.Journal()
}

func (r *rig) await(what string, done func() bool) {
	r.tb.Helper()
	for end := time.Now().Add(longest); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.tb.Fatalf("waited %s until %s: in vain", longest, what)
		}
	}
}

func distinct(calls []emulator.Call) int {
	tags := map[string]struct{}{}
	for _, c := range calls {
		if c.Applied {
			for _, tag := range c.Items {
				tags[tag] = struct{}{}
			}
		}
	}
	return len(tags)
}

// end is when the last call was answered.
func end(calls []emulator.Call) time.Time { return calls[len(calls)-1].End }

// limited counts the calls that were answered 429.
func limited(calls []emulator.Call) (n int) {
	for _, c := range calls {
		if c.Status == http.StatusTooManyRequests {
			n++
		}
	}
	return n
}

// byStart puts calls in the order in which they arrived.
func byStart(calls []emulator.Call) {
	slices.SortFunc(calls, func(a, b emulator.Call) int { return a.Start.Compare(b.Start) })
}
