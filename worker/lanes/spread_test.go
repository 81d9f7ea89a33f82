package lanes

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/tasks"
)

func TestSpread_DebtIsWaitedOff(t *testing.T) {
	r := simulated(t)
	r.pace.Rate, r.pace.Burst = 10, 20
	r.absorb(normal, numbered(100)...)
	assert.Len(t, r.claim(normal).Items, 16) // 4 left
	assert.Len(t, r.claim(normal).Items, 16, "a full batch may take the bucket into debt")
	assert.Equal(t, 1201*time.Millisecond, r.refused(normal, RefusedSpread))
	assert.Empty(t, r.peek().Ready)
	r.pass(1200 * time.Millisecond)
	r.refused(normal, RefusedSpread)
	r.pass(time.Millisecond)
	assert.Len(t, r.claim(normal).Items, 16)
	r.pass(time.Hour)
	r.claim(normal)
	r.claim(normal)
	assert.Positive(t, r.refused(normal, RefusedSpread), "a long rest fills no more than the bucket")
}

func TestSpread_OnBothServers(t *testing.T) {
	each(t, func(r *rig) {
		r.pace.Rate, r.pace.Burst = 0.01, 1
		r.absorb(normal, numbered(20)...)
		r.claim(normal)
		assert.InDelta(r.t, 1500, r.refused(normal, RefusedSpread).Seconds(), 5)
		b := Batch{ID: "b", Lane: normal, Items: []string{"x"}}
		got := r.acquire(b, 2, false)
		assert.Equal(r.t, RefusedSpread, got.Refused)
		assert.InDelta(r.t, 1500, got.Wait.Seconds(), 5)
		b.Lane = urgent
		assert.NotNil(r.t, r.acquire(b, 2, false).Batch)
		assert.InDelta(r.t, 1600, r.refused(normal, RefusedSpread).Seconds(), 5, "an attempt is charged")
	})
}

func TestSpread_UrgentPassesAndIsCharged(t *testing.T) {
	r := simulated(t)
	r.pace.Rate, r.pace.Burst = 10, 10
	r.absorb(normal, numbered(100)...)
	r.claim(normal) // debt 6
	r.absorb(urgent, "u1", "u2", "u3", "u4")
	assert.Len(t, r.claim(urgent).Items, 4)
	assert.Equal(t, 1001*time.Millisecond, r.refused(normal, RefusedSpread))
}

func TestSpread_OtherProjectsHaveTheirOwn(t *testing.T) {
	r := simulated(t)
	r.pace.Rate, r.pace.Burst = 1, 1
	r.absorb(normal, numbered(20)...)
	r.claim(normal)
	r.refused(normal, RefusedSpread)
	r.absorb(inProject("other"), "a")
	r.claim(inProject("other"))
}

func TestSpread_Weights(t *testing.T) {
	for _, c := range []struct {
		name string
		item string
		want float64
	}{
		{"equal", "layout", 20},
		{"prefix", "layout:main", 500},
		{"the first that matches", "layout:main:x", 500},
		{"no prefix of an exact match", "layouts", 1},
		{"free", "free", 0},
		{"no pattern", "a%a", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := simulated(t)
			r.pace.Rate, r.pace.Burst = 1, 1000
			r.pace.Weights = []Weight{{"layout", false, 20}, {"layout:", true, 500}, {"layout:main:", true, 7}, {"free", false, 0}, {"%a", true, 9}}
			r.absorb(normal, c.item)
			r.claim(normal)
			left, err := r.rdb.HGet(r.ctx(), keysOf("acme").spread("prj"), "tokens").Float64()
			require.NoError(t, err)
			assert.InDelta(t, 1000-c.want, left, 1e-6)
		})
	}
}

// A bucket that holds nothing would let nothing go, ever.
func TestSpread_NoBurstMeansRate(t *testing.T) {
	r := simulated(t)
	r.pace.Rate = 0.5
	r.absorb(normal, "a", "b")
	r.pace.MaxItems = 1
	r.claim(normal)
	r.refused(normal, RefusedSpread)
	r.pass(2 * time.Second)
	r.claim(normal)
}

// An hour of backlog within a delay of 10 minutes: the rate rises, evenly.
func TestSpread_MaxDelayRaisesTheRate(t *testing.T) {
	r := simulated(t)
	r.pace.Rate, r.pace.Burst, r.pace.MaxDelay = 0.2, 1, 10*time.Minute
	r.absorb(normal, numbered(720)...)
	f := fleet{rig: r, workers: 2, takes: func() time.Duration { return 0 }}
	f.run(5 * time.Minute)
	assert.InDelta(t, 360, sum(f.calls), 720*0.03)
	f.run(5*time.Minute + time.Second)
	assert.Equal(t, 720, sum(f.calls))
	assert.LessOrEqual(t, f.fullest(time.Minute, itemsOf), 72+2*16, "no stampede at the end")
}

func sum(calls []call) int {
	n := 0
	for _, c := range calls {
		n += len(c.Items)
	}
	return n
}

// However deep the debt that heavy or urgent items of the project have made.
func TestSpread_MaxDelayHoldsInDebt(t *testing.T) {
	other := normal
	other.Operation = tasks.Invalidate
	for _, c := range []struct {
		name  string
		lanes []tasks.Lane // in the order of their coming
		items []string
	}{
		{"before the heavy item", []tasks.Lane{other, normal}, []string{"light", "layout"}},
		{"after it", []tasks.Lane{normal, other}, []string{"layout", "light"}},
		{"in its lane", []tasks.Lane{normal, normal}, []string{"layout", "light"}},
		{"behind an urgent one", []tasks.Lane{urgent, normal}, []string{"layout", "light"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := simulated(t)
			r.pace.Rate, r.pace.Burst, r.pace.MaxDelay, r.pace.MaxItems = 1, 1, 10*time.Minute, 1
			r.pace.Weights = []Weight{{"layout", false, 100_000}}
			var due []time.Time
			f := fleet{rig: r, workers: 2, takes: func() time.Duration { return 0 }}
			for i, lane := range c.lanes {
				r.absorb(lane, c.items[i])
				due = append(due, r.time())
				r.pass(time.Second)
				if c.name != "before the heavy item" {
					f.run(time.Second)
				}
			}
			f.run(11 * time.Minute)
			require.Len(t, f.calls, 2)
			for _, call := range f.calls {
				i := slices.Index(c.items, call.Items[0])
				assert.LessOrEqual(t, call.at.Sub(due[i]), 10*time.Minute+2*time.Second, call.Items)
			}
		})
	}
}

// Items that come back are as old as they were: a debt that was made meanwhile
// does not keep them beyond max_delay.
func TestSpread_MaxDelayHoldsForWhatComesBack(t *testing.T) {
	r := simulated(t)
	r.pace.Rate, r.pace.Burst, r.pace.MaxDelay = 1, 1, 10*time.Minute
	r.pace.Weights = []Weight{{"layout", false, 100_000}}
	r.absorb(normal, "light")
	b := r.claim(normal)
	r.pass(9 * time.Minute)
	r.absorb(urgent, "layout")
	r.claim(urgent)
	require.True(t, r.restore(b, false))
	assert.Equal(t, epoch.Add(10*time.Minute), r.peek().Next)
	r.pass(time.Minute)
	assert.Equal(t, []string{"light"}, r.claim(normal).Items)
}

// An overdue backlog goes at once, and does not leave a debt that grows with it.
func TestSpread_OverdueBacklog(t *testing.T) {
	r := simulated(t)
	r.pace.Rate, r.pace.Burst, r.pace.MaxDelay = 1, 1, time.Minute
	r.absorb(normal, numbered(160)...)
	require.NoError(t, r.Pause(r.ctx(), "acme", time.Hour, 0))
	r.pass(time.Hour)
	for range 10 {
		assert.Len(t, r.claim(normal).Items, 16)
	}
	r.absorb(normal, "fresh")
	assert.LessOrEqual(t, r.refused(normal, RefusedSpread), 17*time.Second)
}

// An account that no longer spreads does not wait for an old debt.
func TestSpread_SwitchedOff(t *testing.T) {
	r := simulated(t)
	r.pace.Rate, r.pace.Burst = 0.001, 1
	r.absorb(normal, numbered(20)...)
	r.claim(normal)
	r.refused(normal, RefusedSpread)
	r.pace.Rate = 0
	r.absorb(bulk, "a")
	assert.Len(t, r.peek().Ready, 2, "both lanes of the project are looked at")
	r.claim(normal)
}

// The bucket of a project that has gone quiet is full again, and forgotten.
func TestSpread_KeyExpires(t *testing.T) {
	r := simulated(t)
	r.pace.Rate, r.pace.Burst = 1, 100
	r.absorb(normal, numbered(16)...)
	r.claim(normal)
	key := keysOf("acme").spread("prj")
	assert.Equal(t, 76*time.Second, r.rdb.PTTL(r.ctx(), key).Val())
	r.pace.Rate, r.pace.Burst = 0.001, 1e9
	r.absorb(normal, "a")
	r.claim(normal)
	assert.Equal(t, 365*24*time.Hour, r.rdb.PTTL(r.ctx(), key).Val())
	r.pass(366 * 24 * time.Hour)
	assert.Zero(t, r.rdb.Exists(r.ctx(), key).Val())
}

// Ten minutes of backlog, three workers, two lanes of a project: items within
// rate, burst and one batch of debt, and hardly fewer.
func TestInvariant4_SpreadHolds(t *testing.T) {
	const rate, burst, minutes = 2, 20, 10
	r := simulated(t)
	r.pace.Rate, r.pace.Burst = rate, burst
	images := normal
	images.Kind = tasks.SrcImage
	r.absorb(normal, numbered(1000)...)
	r.absorb(images, numbered(1000)...)
	f := fleet{rig: r, workers: 3, takes: func() time.Duration { return 200 * time.Millisecond }}
	f.run(minutes * time.Minute)
	for _, window := range []time.Duration{10 * time.Second, time.Minute, minutes * time.Minute} {
		allowed := int(rate*window.Seconds()) + burst + r.pace.MaxItems
		assert.LessOrEqual(t, f.fullest(window, itemsOf), allowed, window)
	}
	// A lane's last batch is partial, hence no closer.
	assert.InEpsilon(t, rate*60*minutes+burst, sum(f.calls), 0.02)
}

func TestStagger_DeadlinesRiseThroughTheWindow(t *testing.T) {
	for _, c := range []struct {
		name string
		each time.Duration // from one claim to the next
	}{
		{"all at once", 0},
		{"one after the other", 10 * time.Millisecond},
		{"slowly", 20 * time.Second},
		{"so slowly that the claims spread them", 10 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := simulated(t)
			r.pace.StaggerMin, r.pace.StaggerOver = 30*time.Second, 5*time.Minute
			r.absorb(normal, numbered(20*16)...)
			var deletions []time.Duration // when the entries of a batch are gone for certain
			for range 20 {
				b := r.claim(normal)
				assert.GreaterOrEqual(t, b.DeadlineSeconds, 30)
				assert.LessOrEqual(t, b.DeadlineSeconds, 330)
				deletions = append(deletions, b.ClaimedAt.Sub(epoch)+seconds(b.DeadlineSeconds))
				r.pass(c.each)
			}
			assert.Equal(t, seconds(30), deletions[0])
			if c.each < time.Minute { // else each deletion is over before the next claim
				assert.InDelta(t, seconds(330), deletions[19]-19*c.each, float64(time.Second), "the last one reaches the end")
			}
			for i := range 19 {
				// Evenly: 300 s in 19 steps, and none at the same time.
				assert.Greater(t, deletions[i+1]-deletions[i], 10*time.Second)
			}
		})
	}
}

func TestStagger_WhatIsAlone(t *testing.T) {
	r := simulated(t)
	r.pace.StaggerMin, r.pace.StaggerOver = 30*time.Second, 500*time.Millisecond
	for range 3 {
		r.absorb(normal, "a")
		assert.Equal(t, 30, r.claim(normal).DeadlineSeconds, "a backlog of one batch begins a window of its own")
		r.pass(time.Millisecond)
	}
}

// Vercel takes whole seconds; the window is not left for the sake of them.
func TestStagger_StaysInAWindowOfPartOfASecond(t *testing.T) {
	r := simulated(t)
	r.pace.StaggerMin, r.pace.StaggerOver = 30*time.Second, 1500*time.Millisecond
	r.absorb(normal, numbered(32)...)
	assert.Equal(t, 30, r.claim(normal).DeadlineSeconds)
	assert.Equal(t, 31, r.claim(normal).DeadlineSeconds)
}

func TestStagger_OnlyDeletesWithoutDeadline(t *testing.T) {
	each(t, func(r *rig) {
		r.pace.StaggerMin, r.pace.StaggerOver = 30*time.Second, 5*time.Minute
		r.absorb(normal, numbered(40)...)
		assert.Equal(r.t, 30, r.claim(normal).DeadlineSeconds)
		assert.Greater(r.t, r.claim(normal).DeadlineSeconds, 30)

		named, gentle := normal, normal
		named.DeadlineSeconds = 5
		gentle.Operation = tasks.Invalidate
		r.absorb(named, "a")
		assert.Equal(r.t, 5, r.claim(named).DeadlineSeconds)
		r.absorb(gentle, "a")
		assert.Equal(r.t, tasks.NoDeadline, r.claim(gentle).DeadlineSeconds)
	})
}
