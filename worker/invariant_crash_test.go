package worker

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// Invariant 7: a crash at any point repeats a call at worst.
func TestInvariant7_CrashRepeatsAtWorst(t *testing.T) {
	t.Parallel()
	t.Run("after the claim", func(t *testing.T) {
		t.Parallel()
		crashAfterClaim(t)
	})
	t.Run("after the retry was stored", func(t *testing.T) {
		t.Parallel()
		crashAfterStore(t)
	})
	t.Run("during the call", func(t *testing.T) {
		t.Parallel()
		crashDuringCall(t)
	})
	t.Run("of Redis", func(t *testing.T) {
		t.Parallel()
		crashOfRedis(t)
	})
}

// shortLease is a claim by a worker that dies at once.
func (l *lab) shortLease(item string) lanes.Batch {
	l.t.Helper()
	pace := l.accounts["default"].pace(tagLane("prj"))
	pace.Linger, pace.Lease = 0, 100*time.Millisecond
	_, err := l.lanes.Absorb(l.t.Context(), pace, lanes.Absorption{Request: "r", Lane: tagLane("prj"), Items: []string{item}})
	require.NoError(l.t, err)
	got, err := l.lanes.Claim(l.t.Context(), pace, tagLane("prj"), "dying")
	require.NoError(l.t, err)
	require.NotNil(l.t, got.Batch)
	return *got.Batch
}

func crashAfterClaim(t *testing.T) {
	rdb := redistest.Start(t).Client(t)
	api := answering(t, nil)
	l := newLab(t, testConfig(api.URL), rdb)
	at := time.Now()
	l.shortLease("x")
	l.start()
	eventually(t, func() bool { return api.purged("x", at) && l.idle() }, "another worker calls")
	assert.Len(t, api.with("x"), 1)
	assert.InDelta(t, 1, l.metric("edgepurge_returned_batches_total", "reason", "lease_ended"), 0)
	assert.True(t, l.logs.has("a worker died during a call: its items are back in their lane"))
}

// The retry is stored, yet the lease was not ended: the items go back to their
// lane, and the retry finds itself superseded.
func crashAfterStore(t *testing.T) {
	rdb := redistest.Start(t).Client(t)
	api := answering(t, nil)
	l := newLab(t, testConfig(api.URL), rdb)
	at := time.Now()
	b := l.shortLease("x")
	a := l.accounts["default"]
	require.NoError(t, l.attempts.store(t.Context(), a, callOf(a, b, 1), &b))
	eventually(t, func() bool {
		expired, err := l.lanes.Expired(t.Context(), "default")
		require.NoError(t, err)
		return len(expired) == 1
	}, "its lease ends")
	require.NoError(t, l.sweep.leases(t.Context()))
	l.start()
	eventually(t, func() bool { return api.purged("x", at) && l.idle() }, "a call")
	assert.Len(t, api.with("x"), 1, "the retry is superseded")
	assert.True(t, l.logs.has("superseded: its items went back to their lane"))
}

// cable is a connection to Redis that can be cut.
type cable struct {
	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

func (c *cable) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut {
		time.Sleep(10 * time.Millisecond) // one at a time: this is the only brake
		return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("the cable is cut")}
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err == nil {
		c.conns = append(c.conns, conn)
	}
	return conn, err
}

func (c *cable) tear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = true
	for _, conn := range c.conns {
		_ = conn.Close()
	}
}

// A worker that is gone for Redis, whatever it still does, for good.
func crashDuringCall(t *testing.T) {
	server := redistest.Start(t)
	options, err := redis.ParseURL(server.URL())
	require.NoError(t, err)
	link := &cable{}
	options.Dialer = link.dial
	options.MaxRetries, options.DialerRetries = -1, 1
	options.PoolSize = 10_000 // fewer failures than this start no goroutine that outlives the client
	cut := redis.NewClient(options)
	t.Cleanup(func() { _ = cut.Close() })

	arrived := make(chan struct{}, 10)
	gate := make(chan struct{})
	release := sync.OnceFunc(func() { close(gate) })
	var first sync.Once
	api := newAPI(t, emulator.Config{}, func(call) *reply {
		first.Do(func() {
			arrived <- struct{}{}
			<-gate
		})
		return nil
	})
	t.Cleanup(release)
	c := testConfig(api.URL)
	c.Timeout = time.Second // so that the lease is 6 s
	dying := newLab(t, c, cut).start()
	at := enqueueRequest(t, server.Client(t), tasks.Purge{Tags: []string{"x"}})
	select {
	case <-arrived:
	case <-time.After(patience):
		t.Fatal("no call")
	}
	api.setAnswer(nil)
	link.tear()
	release()

	l := newLab(t, c, server.Client(t)).start()
	claimedBy := time.Now()
	eventually(t, func() bool { return len(api.with("x")) == 2 && l.idle() }, "another worker calls again")
	assert.True(t, api.purged("x", at))
	assert.Greater(t, api.with("x")[1].Start.Sub(claimedBy), 4*time.Second, "not before the lease was over")
	assert.InDelta(t, 1, l.metric("edgepurge_returned_batches_total", "reason", "lease_ended"), 0)
	dying.stop()
	assert.Len(t, api.with("x"), 2)
}

// Redis dies by SIGKILL amid a backlog and comes back with what it had
// promised to keep.
func crashOfRedis(t *testing.T) {
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	rdb := server.Client(t)
	api := newAPI(t, emulator.Config{Faults: emulator.Faults{Latency: 20 * time.Millisecond}}, nil)
	c := testConfig(api.URL)
	c.Timeout = time.Second
	l := newLab(t, c, rdb).start()
	last := map[string]time.Time{}
	at := l.request(tasks.Purge{Tags: items(1000)})
	for _, item := range items(1000) {
		last[item] = at
	}
	eventually(t, func() bool { return len(api.all()) > 10 }, "calls")
	server.Kill(t)
	calls := len(api.all())
	server.Restart(t)
	eventually(t, func() bool { return len(lost(api, last)) == 0 }, "everything is called")
	eventually(t, l.idle, "the queue drains")
	assert.Greater(t, len(api.all()), calls, "it died amid the backlog")
	assert.Empty(t, letters(t, rdb))
	for _, c := range api.all() {
		assert.Equal(t, http.StatusOK, c.Status)
	}
	repeated := len(api.all()) - 63
	assert.LessOrEqual(t, repeated, 2*4+2, "only what was in flight is called again")
}
