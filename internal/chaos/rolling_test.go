package chaos

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
)

// Every worker is replaced under load, as a deployment does: the new one starts,
// then the old one is told to stop. The budget is neither exceeded while both run
// nor left unused while one goes, and nothing is lost or cut off.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	const (
		rolls = 4
		each  = 1500 * time.Millisecond
	)
	c := usual()
	c.calls = 20 // fewer than the load needs, so that there is always more to call
	c.faults = emulator.Faults{Latency: 40 * time.Millisecond, LatencyJitter: 40 * time.Millisecond}
	s := newSite(t, c)
	workers := []*process{s.worker(t), s.worker(t)}
	length := 2*time.Second + rolls*each
	const requests = 300 // a second
	load := s.produce(t.Context(), 4, int(requests*length.Seconds()), requests, few)
	await(t, 10*time.Second, "the load", func() bool { return len(s.api.Journal()) >= 2*c.calls })

	from := time.Now()
	for i := range rolls {
		before := len(s.api.Journal())
		fresh := s.worker(t)
		await(t, 10*time.Second, "the new worker works", func() bool {
			return fresh.out.has(`"message":"call"`) && len(s.api.Journal()) > before
		})
		old := workers[i%len(workers)]
		old.signal(t, syscall.SIGTERM)
		require.Zero(t, old.exit(t, c.timeout+5*time.Second), "exit code of %s", old.name)
		workers[i%len(workers)] = fresh
		time.Sleep(time.Until(from.Add(time.Duration(i+1) * each)))
	}
	until := time.Now()
	load.end(t)
	s.drain(t, 20*time.Second, false)

	s.assertKept(t, s.check(t))
	s.assertMoved(t)
	assert.Empty(t, s.letters(t))
	journal, during := s.api.Journal(), 0
	assert.Equal(t, len(journal), count(journal, http.StatusOK), "a call was cut off")
	for _, call := range journal {
		if call.Start.After(from) && call.Start.Before(until) {
			during++
		}
	}
	// The budget counts from the end of a call (docs/decisions/0002).
	most := float64(c.calls) * until.Sub(from).Seconds() / (1 + 0.06)
	assert.Greater(t, float64(during), 0.75*most, "the budget lay idle while workers were replaced")
	t.Logf("%d workers replaced in %s: %d calls of %.0f that the budget allows, at most %d in any second", rolls,
		until.Sub(from).Round(10*time.Millisecond), during, most, emulator.PeakInWindow(journal, time.Second, nil))
}
