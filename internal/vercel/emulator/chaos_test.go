package emulator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/vercel"
	"github.com/edgepurge/edgepurge/internal/vercel/api"
)

// Under every fault at once, changed while calls are under way, client and
// journal tell the same story of each call.
func TestChaos_ClientAndJournalAgree(t *testing.T) {
	b := start(t, Config{Seed: 1, Limit: Limit{Calls: 400, Per: time.Second}})
	storm := Faults{
		Status: map[int]float64{500: 0.1, 502: 0.05, 408: 0.05}, HTML: 0.5, Reset: 0.1, Hang: 0.02,
		Latency: time.Millisecond, LatencyJitter: 3 * time.Millisecond, AfterEffect: 0.5, PoisonTags: []string{"tag-3"},
	}
	require.NoError(t, b.SetFaults(storm))
	client := b.with(t, vercel.Config{Timeout: 400 * time.Millisecond})

	type told struct {
		tag string
		err error
	}
	var mu sync.Mutex
	byID := map[string]told{}
	silent := map[string]bool{} // tags of calls that got no answer
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 40 {
				if worker == 0 && i%10 == 5 { // weather changes
					f := storm
					f.Outage = i%20 == 5
					assert.NoError(t, b.SetFaults(f))
				}
				tag := fmt.Sprintf("tag-%d", worker*40+i)
				a, err := client.Purge(context.Background(), request(tag))
				mu.Lock()
				if _, ok := errors.AsType[*vercel.TransportError](err); ok {
					silent[tag] = true
				} else {
					byID[a.RequestID] = told{tag, err}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.Eventually(t, func() bool { return len(b.Journal()) == 320 }, 5*time.Second, 5*time.Millisecond)
	for _, c := range b.Journal() {
		got, answered := byID[c.RequestID]
		switch {
		case !answered:
			if len(c.Items) > 0 { // a busy machine may let an outage's answer time out
				assert.True(t, silent[c.Items[0]], "%+v", c)
			}
		case got.err == nil:
			assert.Equal(t, 200, c.Status)
			assert.True(t, c.Applied, "a success that was not applied is a lost purge")
		default:
			e, ok := errors.AsType[*vercel.StatusError](got.err)
			require.True(t, ok, "%v", got.err)
			assert.Equal(t, e.Status, c.Status)
			assert.False(t, c.Applied && c.Fault == NoFault, "only a fault can hide an effect")
		}
	}
	s := b.Stats()
	assert.Equal(t, int64(320), s.Calls)
	var applied int64
	for _, c := range b.Journal() {
		if c.Applied {
			applied++
		}
	}
	assert.Equal(t, applied, s.AppliedItems)
}

// How a worker learns a smaller maximum: from the answer, through the client.
func TestLearning_EndToEnd(t *testing.T) {
	b := start(t, Config{Schema: api.Schema{MaxTags: 4}})
	tags := []string{"a", "b", "c", "d", "e"}
	_, err := b.purge(tags...)
	e, ok := errors.AsType[*vercel.StatusError](err)
	require.True(t, ok, "%v", err)
	field, n, ok := vercel.LearnMax(e.Message)
	require.True(t, ok)
	assert.Equal(t, "tags", field)
	_, err = b.purge(tags[:n]...)
	require.NoError(t, err)
}
