package lanes

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/tasks"
)

func TestBudget_CountsCallsByTheirEnd(t *testing.T) {
	r := simulated(t)
	r.pace.Calls, r.pace.MaxItems, r.pace.Lease = 2, 1, 15*time.Second
	r.absorb(normal, numbered(10)...)
	first := r.claim(normal)
	r.claim(normal)
	assert.Equal(t, 75*time.Second+time.Millisecond, r.refused(normal, RefusedBudget), "an open call may last as long as its lease")
	r.pass(10 * time.Second)
	r.finish(first, true)
	// It may have reached the API as late as now.
	assert.Equal(t, time.Minute+time.Millisecond, r.refused(normal, RefusedBudget))
	r.pass(time.Minute)
	r.refused(normal, RefusedBudget)
	r.pass(time.Millisecond)
	r.claim(normal)
	assert.True(t, RefusedBudget.OfAccount())
	assert.Equal(t, int64(2), r.status().Used)
}

func TestBudget_OnBothServers(t *testing.T) {
	each(t, func(r *rig) {
		r.pace.Calls, r.pace.MaxItems, r.pace.Per = 3, 1, 50*time.Millisecond
		r.absorb(normal, numbered(10)...)
		for range 3 {
			r.finish(r.claim(normal), true)
		}
		wait := r.tryClaim(normal) // refused unless this machine stands still for 50 ms
		if wait.Refused != "" {
			assert.Equal(r.t, RefusedBudget, wait.Refused)
			assert.LessOrEqual(r.t, wait.Wait, 51*time.Millisecond)
		}
		r.pass(52 * time.Millisecond)
		r.claim(normal)
		assert.LessOrEqual(r.t, r.rdb.ZCard(r.ctx(), keysOf("acme").budget()).Val(), int64(4), "only the running window is kept")
	})
}

func TestBudget_ReserveIsForUrgent(t *testing.T) {
	each(t, func(r *rig) {
		r.pace.Calls, r.pace.Reserve, r.pace.MaxItems = 3, 1, 1
		r.absorb(normal, numbered(10)...)
		r.absorb(urgent, "u1", "u2")
		r.finish(r.claim(normal), true)
		r.finish(r.claim(normal), true)
		r.refused(normal, RefusedBudget)
		assert.Equal(r.t, []string{"u1"}, r.claim(urgent).Items)
		r.refused(urgent, RefusedBudget)
	})
}

// A reserve as large as the budget would leave nothing: one call stays.
func TestBudget_ReserveLeavesOne(t *testing.T) {
	each(t, func(r *rig) {
		r.pace.Calls, r.pace.Reserve = 1, 5
		r.absorb(normal, "a")
		r.claim(normal)
	})
}

func TestBudget_Unlimited(t *testing.T) {
	each(t, func(r *rig) {
		r.pace.MaxItems = 1
		r.absorb(normal, numbered(50)...)
		for range 50 {
			r.finish(r.claim(normal), true)
		}
		assert.Zero(r.t, r.rdb.Exists(r.ctx(), keysOf("acme").budget()).Val())
	})
}

func TestBudget_LearnedLimit(t *testing.T) {
	for _, c := range []struct {
		name           string
		calls, learned int
		want           int
	}{
		{"below the budget", 5, 2, 2},
		{"above the budget", 2, 5, 2},
		{"of an unlimited account", 0, 2, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := simulated(t)
			r.pace.Calls, r.pace.MaxItems = c.calls, 1
			r.absorb(normal, numbered(20)...)
			require.NoError(t, r.Pause(r.ctx(), "acme", 0, c.learned))
			for range c.want {
				r.finish(r.claim(normal), true)
			}
			r.refused(normal, RefusedBudget)
			assert.Equal(t, c.learned, r.status().Learned)
			r.pass(time.Hour)
			assert.Zero(t, r.status().Learned, "it is believed for an hour")
			claimed, could := 0, c.calls
			if c.calls == 0 {
				could = 10
			}
			for range 10 {
				if r.tryClaim(normal).Batch != nil {
					claimed++
				}
			}
			assert.Equal(t, could, claimed)
		})
	}
}

// The halves of a split cannot go back to their lane, so claims leave them calls.
func TestBudget_HalvesBookCalls(t *testing.T) {
	r := simulated(t)
	r.pace.Calls, r.pace.MaxItems = 4, 1
	r.absorb(normal, numbered(20)...)
	r.absorb(urgent, "u")
	for range 4 {
		r.finish(r.claim(normal), true)
	}
	halves := []Batch{{ID: "b.0", Lane: normal, Items: []string{"x"}}, {ID: "b.1", Lane: normal, Items: []string{"y"}}}
	for _, h := range halves {
		got := r.acquire(h, 1, true)
		assert.Equal(t, RefusedBudget, got.Refused)
		assert.Equal(t, time.Minute+time.Millisecond, got.Wait)
	}
	assert.Equal(t, RefusedBudget, r.acquire(Batch{ID: "plain", Lane: normal, Items: []string{"z"}}, 2, false).Refused)
	r.pass(time.Minute + time.Millisecond)

	r.claim(normal)
	r.claim(normal)
	assert.Equal(t, 5*time.Second, r.refused(normal, RefusedBudget), "two are free and booked, until the bookings lapse")
	require.NotNil(t, r.acquire(halves[0], 1, true).Batch)
	r.refused(normal, RefusedBudget)
	require.NotNil(t, r.acquire(halves[1], 1, true).Batch)
	assert.Zero(t, r.rdb.Exists(r.ctx(), keysOf("acme").booked()).Val())
}

func TestBudget_BookingsLapse(t *testing.T) {
	r := simulated(t)
	r.pace.Calls, r.pace.MaxItems = 2, 1
	r.absorb(normal, numbered(20)...)
	r.finish(r.claim(normal), true)
	r.finish(r.claim(normal), true)
	for _, id := range []string{"b.0", "b.1", "b.0.0", "b.0.1"} {
		r.acquire(Batch{ID: id, Lane: normal, Items: []string{"x"}}, 1, true)
	}
	r.pass(time.Minute + time.Millisecond)
	r.claim(normal)
	r.refused(normal, RefusedBudget)
	r.pass(5 * time.Second)
	r.claim(normal)
}

// What bulk items have booked is not taken from the reserve of urgent ones.
func TestInvariant5_UrgentWaitsForNoBulkHalves(t *testing.T) {
	r := simulated(t)
	r.pace.Calls, r.pace.Reserve, r.pace.MaxItems = 5, 1, 1
	r.absorb(bulk, numbered(20)...)
	for range 4 {
		r.finish(r.claim(bulk), true)
	}
	for _, id := range []string{"b.0", "b.1"} {
		require.Equal(t, RefusedBudget, r.acquire(Batch{ID: id, Lane: bulk, Items: []string{"x"}}, 1, true).Refused)
	}
	r.absorb(urgent, "u")
	b := r.claim(urgent)
	assert.Equal(t, []string{"u"}, b.Items)
	r.finish(b, true)

	// An urgent half is kept a call from urgent claims too.
	half := Batch{ID: "u.0", Lane: urgent, Items: []string{"x"}}
	require.Equal(t, RefusedBudget, r.acquire(half, 1, true).Refused)
	r.pass(time.Minute + time.Millisecond)
	r.absorb(urgent, numbered(20)...)
	for range 4 {
		r.finish(r.claim(urgent), true)
	}
	r.refused(urgent, RefusedBudget)
	require.NotNil(t, r.acquire(half, 1, true).Batch)
	assert.Zero(t, r.rdb.Exists(r.ctx(), keysOf("acme").bookedUrgent()).Val())
}

// Ten minutes of backlog, three workers: never more calls in any window than the
// budget has, and hardly fewer.
func TestInvariant4_BudgetHoldsInEveryWindow(t *testing.T) {
	for _, c := range []struct {
		name  string
		calls int
		per   time.Duration
		run   time.Duration
		takes func() time.Duration
		least float64
	}{
		{"5 in 1 m", 5, time.Minute, 10 * time.Minute, func() time.Duration { return 0 }, 0.98},
		{"20 in 10 s", 20, 10 * time.Second, time.Minute, func() time.Duration { return 0 }, 0.98},
		// A call of 300 ms may count at its beginning or its end.
		{"slow calls", 5, time.Minute, 10 * time.Minute, func() time.Duration { return 300 * time.Millisecond }, 0.98},
		{"calls of any length", 5, time.Minute, 10 * time.Minute, func() time.Duration { return time.Duration(rand.IntN(3000)) * time.Millisecond }, 0.90},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := simulated(t)
			r.pace.Calls, r.pace.Per, r.pace.MaxItems = c.calls, c.per, 4
			r.absorb(normal, numbered(600)...)
			r.absorb(inProject("other"), numbered(4000)...)
			f := fleet{rig: r, workers: 3, takes: c.takes}
			f.run(c.run)
			assert.LessOrEqual(t, f.fullest(c.per, one), c.calls)
			could := int(c.run/c.per) * c.calls
			assert.GreaterOrEqual(t, float64(len(f.calls)), c.least*float64(could))
			shares := map[string]int{}
			for _, b := range f.calls {
				shares[b.Lane.Project]++
			}
			assert.InDelta(t, shares["prj"], shares["other"], 1, "one backlog does not starve the other")
		})
	}
}

// A probe, a retry and a split's half pay like a claim.
func TestInvariant4_AttemptsPay(t *testing.T) {
	each(t, func(r *rig) {
		r.pace.Calls, r.pace.MaxItems = 3, 1
		r.absorb(normal, "a")
		b := r.claim(normal)
		r.finish(b, false)
		require.NotNil(r.t, r.acquire(b, 2, false).Batch)
		require.NotNil(r.t, r.acquire(Batch{ID: b.ID + ".0", Lane: normal, Items: b.Items}, 1, true).Batch)
		r.absorb(normal, "b")
		r.refused(normal, RefusedBudget)
		assert.Equal(r.t, RefusedBudget, r.acquire(b, 3, false).Refused)
		assert.Equal(r.t, int64(3), r.status().Used)
	})
}

func TestPause(t *testing.T) {
	r := simulated(t)
	r.pace.Calls = 5
	r.absorb(normal, "a")
	require.NoError(t, r.Pause(r.ctx(), "acme", time.Minute, 0))
	require.NoError(t, r.Pause(r.ctx(), "acme", time.Second, 0))
	assert.Equal(t, time.Minute, r.refused(normal, RefusedPaused), "the longer pause stays")
	assert.Equal(t, time.Minute, r.refused(urgent, RefusedPaused))
	got := r.acquire(Batch{ID: "b", Lane: normal, Items: []string{"x"}}, 2, true)
	assert.Equal(t, RefusedPaused, got.Refused)
	assert.Equal(t, time.Minute, got.Wait)
	assert.Zero(t, r.rdb.Exists(r.ctx(), keysOf("acme").booked()).Val(), "a pause books nothing")
	assert.Equal(t, epoch.Add(time.Minute), r.status().PausedUntil)
	r.pass(time.Minute)
	assert.True(t, r.status().PausedUntil.IsZero())
	r.claim(normal)
}

func TestPause_RoundsUp(t *testing.T) {
	r := simulated(t)
	require.NoError(t, r.Pause(r.ctx(), "acme", time.Nanosecond, 0))
	assert.Equal(t, time.Millisecond, r.refused(normal, RefusedPaused))
}

func TestResume(t *testing.T) {
	each(t, func(r *rig) {
		r.absorb(normal, numbered(3)...)
		require.NoError(r.t, r.Pause(r.ctx(), "acme", time.Hour, 1))
		require.NoError(r.t, r.LearnMax(r.ctx(), "acme", tasks.Tag, 1))
		r.refused(normal, RefusedPaused)
		require.NoError(r.t, r.Resume(r.ctx(), "acme"))
		assert.Len(r.t, r.claim(normal).Items, 3)
		assert.Zero(r.t, r.status().Learned)
	})
}

func TestPauseIfAhead(t *testing.T) {
	for _, c := range []struct {
		name        string
		calls, used int
		want        bool
	}{
		{"somebody else spends the limit", 3, 1, true},
		{"our own window is full as well", 3, 3, false},
		{"unlimited", 0, 3, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := simulated(t)
			r.pace.Calls, r.pace.MaxItems = c.calls, 1
			r.absorb(normal, numbered(5)...)
			for range c.used {
				r.finish(r.claim(normal), true)
			}
			require.NoError(t, r.PauseIfAhead(r.ctx(), r.pace, 30*time.Second))
			assert.Equal(t, c.want, r.status().PausedUntil.Equal(epoch.Add(30*time.Second)))
		})
	}
}

// A replayed letter begins again at attempt 1: its former call counts still.
func TestBudget_CountsBothCallsOfAReplay(t *testing.T) {
	each(t, func(r *rig) {
		r.pace.Calls = 2
		r.absorb(urgent, "a")
		r.absorb(urgent, "b")
		b := r.claim(urgent)
		r.finish(b, false) // and it becomes a dead letter
		got := r.acquire(b, 1, false)
		require.Empty(t, got.Refused)
		require.Equal(t, got, r.acquire(b, 1, false), "sent again after a lost reply")
		r.finish(b, true)
		r.absorb(urgent, "c")
		r.refused(urgent, RefusedBudget)
	})
}

// Even if all of its deaths fall into one millisecond.
func TestBudget_CountsEachCallOfManyReplays(t *testing.T) {
	r := simulated(t)
	r.pace.Calls = 4
	r.absorb(urgent, "a")
	b := r.claim(urgent)
	for range 3 {
		r.finish(b, false)
		require.Empty(t, r.acquire(b, 1, false).Refused)
	}
	r.finish(b, true)
	r.absorb(urgent, "b")
	r.refused(urgent, RefusedBudget)
}
