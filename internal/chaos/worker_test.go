package chaos

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
)

// few asks for tags out of a few hundred, so that most requests have twins in
// every state: pending, claimed, in flight, in the hands of a dead worker.
func few(i int) tasks.Purge {
	p := tasks.Purge{ID: fmt.Sprintf("r-%d", i), Project: "shop", Operation: tasks.Delete}
	for k := range 1 + i%3 {
		p.Tags = append(p.Tags, fmt.Sprintf("post-%d", (i*7+k*131)%400))
	}
	return p
}

func TestKill9_WorkerInABurst(t *testing.T) {
	t.Parallel()
	c := usual()
	c.faults = emulator.Faults{Latency: 20 * time.Millisecond, LatencyJitter: 60 * time.Millisecond}
	s := newSite(t, c)
	workers := []*process{s.worker(t), s.worker(t)}
	burst := s.produce(t.Context(), 4, 3000, 750, few)
	for i, at := range []int64{1000, 2000} {
		await(t, 20*time.Second, "the middle of the burst", func() bool {
			return s.ledger.accepted.Load() >= at && s.api.Stats().InFlight > 0
		})
		workers[i].kill()
		s.worker(t)
	}
	burst.end(t)
	s.drain(t, 40*time.Second, true)
	s.assertKept(t, s.check(t))
	assert.Empty(t, s.letters(t))
}

func TestSigterm_CallInHandEnds(t *testing.T) {
	t.Parallel()
	const latency = 500 * time.Millisecond
	c := usual()
	c.timeout, c.inFlight = 2*time.Second, 4
	c.faults = emulator.Faults{Latency: latency}
	s := newSite(t, c)
	w := s.worker(t)
	s.produce(t.Context(), 2, 50, 0, func(i int) tasks.Purge {
		p := tasks.Purge{ID: fmt.Sprintf("r-%d", i), Project: "shop", Operation: tasks.Delete}
		for k := range 4 {
			p.Tags = append(p.Tags, fmt.Sprintf("tag-%d", 4*i+k))
		}
		return p
	}).end(t)
	await(t, 10*time.Second, "calls in hand", func() bool { return s.api.Stats().InFlight >= 3 })

	w.signal(t, syscall.SIGTERM)
	at := time.Now()
	require.Zero(t, w.exit(t, c.timeout+3*time.Second), "exit code")
	t.Logf("ended %s after SIGTERM", time.Since(at).Round(time.Millisecond))
	inHand := 0
	for _, call := range s.api.Journal() {
		assert.Equal(t, 200, call.Status, "a call in hand was cut off")
		assert.Less(t, call.Start.Sub(at), latency/2, "claimed after SIGTERM")
		if call.End.After(at) {
			inHand++
		}
	}
	assert.NotZero(t, inHand)
	left := s.backlog(t)
	assert.NotZero(t, left.Pending, "the rest stays in Redis")
	assert.Zero(t, left.InFlight, "what came of the calls in hand is written down")

	s.worker(t)
	s.drain(t, 30*time.Second, true)
	s.assertKept(t, s.check(t))
	sent := map[string]int{}
	for _, call := range s.api.Journal() {
		for _, item := range call.Items {
			sent[item]++
		}
	}
	assert.Len(t, sent, 200)
	for item, n := range sent {
		assert.Equal(t, 1, n, "%s was sent more than once", item)
	}
}
