package worker

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
)

// A stop lets the call in hand end and be written down, and claims nothing
// more; first is the answer before the one that is in hand.
func testStop(t *testing.T, first *reply) {
	current := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, current) })
	rdb := redistest.Start(t).Client(t)
	arrived, gate := make(chan struct{}, 10), make(chan struct{})
	answers := make(chan *reply, 2)
	if first != nil {
		answers <- first
	}
	close(answers) // then nil: the emulator's
	api := newAPI(t, emulator.Config{}, func(call) *reply {
		if r := <-answers; r != nil {
			return r
		}
		arrived <- struct{}{}
		<-gate
		return nil
	})
	c := testConfig(api.URL)
	c.Accounts[0].Budget.InFlight = 1
	l := newLab(t, c, rdb).start()
	at := l.request(tasks.Purge{Tags: []string{"in-hand"}})
	select {
	case <-arrived:
	case <-time.After(patience):
		t.Fatal("no call")
	}
	l.request(tasks.Purge{Tags: []string{"waiting"}})
	eventually(t, func() bool { return len(l.pending(tagLane("prj"))) == 1 }, "the second request is absorbed")

	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		l.stop()
	}()
	eventually(t, func() bool { return l.logs.has("stopping: the calls in hand end, everything else stays in Redis") }, "the stop begins")
	late := l.request(tasks.Purge{Tags: []string{"late"}})
	select {
	case <-stopped:
		t.Fatal("it stopped with a call in hand")
	case <-time.After(200 * time.Millisecond):
	}
	close(gate)
	select {
	case <-stopped:
	case <-time.After(patience):
		t.Fatal("it does not stop")
	}

	assert.True(t, api.purged("in-hand", at))
	assert.Empty(t, l.status().InFlight, "the call was written down")
	assert.Empty(t, api.with("waiting"), "nothing is claimed after a stop")
	assert.Empty(t, api.with("late"))
	// The late request came while the servers stopped: it may be in or out.
	assert.Contains(t, l.pending(tagLane("prj")), "waiting")
	assert.Equal(t, 2, len(l.pending(tagLane("prj")))+queued(t, rdb))

	// The next worker goes on where this one stopped.
	next := newLab(t, c, rdb).start()
	eventually(t, func() bool { return api.purged("waiting", at) && api.purged("late", late) }, "the rest")
	next.stop()
	assert.Len(t, api.with("in-hand"), map[bool]int{true: 1, false: 2}[first == nil], "nothing is called twice")
}

func TestRun_StopsGracefully(t *testing.T) { testStop(t, nil) }

// The call in hand is an attempt that asynq makes.
func TestRun_StopsGracefullyDuringARetry(t *testing.T) {
	testStop(t, &reply{status: http.StatusServiceUnavailable})
}

func TestRun_StopsWhenIdle(t *testing.T) {
	current := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, current) })
	rdb, _ := redistest.Mini(t)
	l := newLab(t, testConfig(nowhere), rdb)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	eventually(t, func() bool { return l.logs.has(`"message":"working"`) }, "it works")
	start := time.Now()
	cancel()
	require.NoError(t, <-done)
	assert.Less(t, time.Since(start), 10*time.Second)
}
