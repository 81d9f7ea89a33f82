package lanes

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/tasks"
)

func TestSpreads_AsOfNow(t *testing.T) {
	r := simulated(t)
	r.pace.Rate, r.pace.Burst = 2, 10
	spreads := func() map[string]SpreadStatus {
		found, err := r.Spreads(r.ctx(), "acme", r.time(), map[string]Pace{"prj": r.pace, "quiet": r.pace})
		require.NoError(t, err)
		return found
	}
	assert.Empty(t, spreads(), "a full bucket is not stored")
	r.absorb(normal, numbered(16)...)
	require.Len(t, r.claim(normal).Items, 16)

	s := spreads()
	require.Len(t, s, 1)
	assert.InDelta(t, -6, s["prj"].Tokens, 0.001, "10 - 16")
	assert.WithinDuration(t, r.time().Add(3*time.Second), s["prj"].Until, 10*time.Millisecond)
	r.pass(4 * time.Second)
	assert.InDelta(t, 2, spreads()["prj"].Tokens, 0.001)
	r.pass(time.Hour)
	if s, ok := spreads()["prj"]; ok {
		assert.InDelta(t, 10, s.Tokens, 0.001, "no more than the burst")
	}
}

// More lanes than one round trip reads.
func TestStatus_ManyLanes(t *testing.T) {
	each(t, func(r *rig) {
		const n = 2*statusChunk + 7
		for i := range n {
			lane := normal
			lane.Project = fmt.Sprintf("p%04d", i)
			_, err := r.Absorb(r.ctx(), r.pace, Absorption{Request: r.id("r"), Lane: lane, Items: []string{"a", "b"}[:1+i%2]})
			require.NoError(t, err)
		}
		s, err := r.Status(r.ctx(), "acme", time.Minute)
		require.NoError(t, err)
		require.Len(t, s.Lanes, n)
		for i, l := range s.Lanes {
			assert.Equal(t, fmt.Sprintf("p%04d", i), l.Lane.Project)
			assert.Equal(t, tasks.Normal, l.Lane.Priority)
			assert.EqualValues(t, 1+i%2, l.Pending)
			assert.WithinDuration(t, s.Now, l.Oldest, time.Minute)
			assert.WithinDuration(t, s.Now, l.ReadyAt, time.Minute)
		}
	})
}
