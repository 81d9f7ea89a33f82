package lanes

import (
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
)

// crowd absorbs an item into each of n lanes of the project prj.
func (r *rig) crowd(n int) {
	r.t.Helper()
	for i := range n {
		r.absorb(deadlineOf(i), "post")
	}
}

// repair is what the sweep does every few seconds, by a pace.
func (r *rig) repair(pace Pace) (late []tasks.Lane) {
	r.t.Helper()
	paceOf := func(tasks.Lane) Pace { return pace }
	_, late, err := r.Survey(r.ctx(), "acme", paceOf)
	require.NoError(r.t, err)
	require.NoError(r.t, r.Offer(r.ctx(), "acme", late, paceOf))
	return late
}

func (v View) has(lane tasks.Lane) bool {
	for _, ready := range v.Ready {
		if ready.Lane == lane {
			return true
		}
	}
	return false
}

// However many lanes of a project are ready, and for however long: every look finds the
// lanes of the others, at each priority.
func TestInvariant5_ALookFindsEveryProject(t *testing.T) {
	each(t, func(r *rig) {
		r.crowd(300)
		for _, p := range tasks.Priorities {
			r.absorb(inProject("other").With(p), string(p))
		}
		view := r.peek()
		for _, p := range tasks.Priorities {
			assert.True(r.t, view.has(inProject("other").With(p)), p)
		}
		assert.LessOrEqual(r.t, len(view.Ready), 3+peekLanes, "and few of the crowd")
	})
}

// The lanes of a project are served in the order in which they became ready.
func TestInvariant5_ACrowdIsServedInOrder(t *testing.T) {
	r := simulated(t)
	for i := range 20 {
		r.absorb(deadlineOf(i), "post")
		r.pass(time.Millisecond)
	}
	for i := range 20 {
		first := r.peek().Ready[0].Lane
		assert.Equal(t, i, first.DeadlineSeconds)
		r.claim(first)
	}
	assert.Empty(t, r.peek().Ready)
	assert.False(t, r.peek().Waits, "all of it was claimed")
}

// What comes back, because its call was not answered or its budget was spent, goes where it
// was: in a crowd it does not wait behind all the others once more.
func TestInvariant5_WhatComesBackKeepsItsPlaceInACrowd(t *testing.T) {
	each(t, func(r *rig) {
		for i := range 20 {
			r.absorb(deadlineOf(i), "post")
			r.pass(time.Millisecond)
		}
		r.pass(time.Second)
		first := r.claim(deadlineOf(0))
		second := r.claim(deadlineOf(1))
		r.absorb(deadlineOf(1), "another") // and so the lane of the second is in line again, at its end
		require.True(r.t, r.restore(second, false))
		require.True(r.t, r.restore(first, false))
		for i := range 3 {
			next := r.peek().Ready[0].Lane
			assert.Equal(r.t, i, next.DeadlineSeconds)
			r.claim(next)
		}
	})
}

// More projects than one look reads, each with more lanes than are served meanwhile: each
// has its turn all the same.
func TestInvariant5_MoreProjectsThanALookReads(t *testing.T) {
	r := newRig(t, redistest.Start(t).Client(t)) // on miniredis it takes a minute
	r.pace.InFlight = 1000
	const projects = peekProjects + 20
	for p := range projects {
		for i := range 3 {
			lane := inProject(fmt.Sprintf("p%03d", p))
			lane.DeadlineSeconds = i
			r.absorb(lane, "post")
		}
	}
	served := map[string]bool{}
	for range projects {
		lane := inOrder(r.peek())[0]
		r.claim(lane)
		served[lane.Project] = true
	}
	assert.Len(t, served, projects)
}

// Debt of the spread, or a hold, keeps all lanes of a project back at the cost of one
// refused claim, not of one for each.
func TestInvariant5_ACrowdIsPutOffAsOne(t *testing.T) {
	for name, keepBack := range map[string]func(r *rig) Refusal{
		"spread": func(r *rig) Refusal {
			r.pace.Rate, r.pace.Burst = 0.1, 1
			r.claim(r.peek().Ready[0].Lane)
			return RefusedSpread
		},
		"hold": func(r *rig) Refusal {
			r.hold(ScopeProject("prj"), false)
			return RefusedProjectHeld
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := simulated(t)
			r.crowd(50)
			why := keepBack(r)
			refused := 0
			for range 10 {
				for _, ready := range r.peek().Ready {
					r.refused(ready.Lane, why)
					refused++
				}
			}
			assert.LessOrEqual(t, refused, peekLanes)
			view := r.peek()
			require.True(t, view.Next.After(view.Now))
			r.pass(view.Next.Sub(view.Now))
			r.claim(r.peek().Ready[0].Lane)
		})
	}
}

// max_delay holds for each lane: one whose items wait that long passes the lanes that
// stand before it, and the debt that they run up.
func TestSpread_MaxDelayOfALaneInACrowd(t *testing.T) {
	r := simulated(t)
	r.pace.Rate, r.pace.Burst, r.pace.MaxDelay = 0.001, 1, 10*time.Minute
	r.absorb(normal, numbered(40)...)
	r.claim(normal)
	r.pass(time.Minute)
	r.crowd(5)
	for _, ready := range r.peek().Ready {
		r.tryClaim(ready.Lane)
	}
	view := r.peek()
	require.False(t, view.Next.IsZero())
	assert.LessOrEqual(t, view.Next.Sub(epoch), 10*time.Minute)
	r.pass(epoch.Add(10 * time.Minute).Sub(view.Now))
	require.True(t, r.peek().has(normal))
	for range 2 {
		r.claim(normal)
	}
}

// What waits because of a slow pace goes as soon as a worker of a faster one looks, and
// so does what is new.
func TestPace_ChangeActsOnWhatWaits(t *testing.T) {
	unlimited := func(*Pace) {}
	for _, c := range []struct {
		name       string
		slow, fast func(*Pace)
	}{
		{"spread", func(p *Pace) { p.Rate, p.Burst = 0.02, 1 }, func(p *Pace) { p.Rate, p.Burst = 1000, 1000 }},
		{"spread taken away", func(p *Pace) { p.Rate, p.Burst = 0.02, 1 }, unlimited},
		{"linger", func(p *Pace) { p.Linger = time.Hour }, unlimited},
		{
			"max_delay",
			func(p *Pace) { p.Rate, p.Burst, p.MaxDelay = 0.001, 1, 24*time.Hour },
			func(p *Pace) { p.Rate, p.Burst, p.MaxDelay = 0.001, 1, time.Second },
		},
	} {
		for _, again := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/asked for more: %t", c.name, again), func(t *testing.T) {
				r := simulated(t)
				quick := r.pace
				c.slow(&r.pace)
				c.fast(&quick)
				r.absorb(normal, numbered(17)...)
				r.claim(normal)
				r.absorb(deadlineOf(1), "x")
				r.pass(2 * time.Second)
				for _, ready := range r.peek().Ready {
					require.Nil(t, r.tryClaim(ready.Lane).Batch)
				}
				require.Empty(t, r.peek().Ready)

				r.pace = quick
				if again {
					r.absorb(normal, "new")
					r.absorb(deadlineOf(1), "new")
				}
				r.repair(quick)
				r.pass(time.Second)
				claimed := 0
				for range 4 {
					for _, ready := range r.peek().Ready {
						if r.tryClaim(ready.Lane).Batch != nil {
							claimed++
						}
					}
				}
				assert.Equal(t, 2, claimed)
				assert.Empty(t, r.status().Lanes)
			})
		}
	}
}

// A hold that is gone without its lanes having been offered (a worker died in between)
// keeps nothing back.
func TestPace_HoldIsGone(t *testing.T) {
	r := simulated(t)
	r.hold(ScopeProject("prj"), false)
	r.absorb(normal, "a")
	r.refused(normal, RefusedProjectHeld)
	require.NoError(t, r.rdb.Del(r.ctx(), keysOf("acme").hold()).Err())
	require.Empty(t, r.peek().Ready)
	r.repair(r.pace)
	assert.True(t, r.peek().has(normal))
}

// Two workers of different pace, as in a rolling restart, do not undo each other's work
// for ever: their sweeps change nothing that is right for both, and what the faster one
// may send goes.
func TestPace_TwoWorkersOfDifferentPace(t *testing.T) {
	r := simulated(t)
	slow, fast := r.pace, r.pace
	slow.Rate, slow.Burst, slow.Linger = 0.02, 1, time.Hour
	fast.Rate, fast.Burst = 1000, 1000
	for i := range 10 {
		r.pace = []Pace{slow, fast}[i%2]
		r.absorb(deadlineOf(i), "x")
		r.absorb(inProject("other"), fmt.Sprint(i))
	}
	offered, claims := 0, map[string]int{}
	for i := range 40 {
		for _, r.pace = range []Pace{slow, fast} {
			offered += len(r.repair(r.pace))
			for _, ready := range r.peek().Ready {
				if got := r.tryClaim(ready.Lane); got.Batch != nil {
					claims[ready.Lane.Project] += len(got.Batch.Items)
				}
			}
		}
		if len(r.status().Lanes) == 0 {
			assert.LessOrEqual(t, offered, 60)
			break
		}
		r.pass(3 * time.Second)
		require.Less(t, i, 30, "it does not end: %v", r.status().Lanes)
	}
	assert.Equal(t, map[string]int{"prj": 10, "other": 10}, claims)
	assert.Empty(t, r.repair(slow))
}

// A worker of an older version writes `ready` alone. What it puts there is found, and what
// it took away does no harm.
func TestSurvey_OlderWorkers(t *testing.T) {
	each(t, func(r *rig) {
		r.crowd(3)
		r.absorb(inProject("gone"), "a")
		k := keysOf("acme")
		score := func(ahead time.Duration) float64 { return float64(r.time().Add(ahead).UnixMilli()) }

		// It served a lane, emptied one, and was asked for more.
		require.NoError(r.t, r.rdb.ZAdd(r.ctx(), k.ready(tasks.Normal), redis.Z{Score: score(0), Member: deadlineOf(0).ID()}).Err())
		require.NoError(r.t, r.rdb.ZRem(r.ctx(), k.ready(tasks.Normal), inProject("gone").ID()).Err())
		require.NoError(r.t, r.rdb.HDel(r.ctx(), k.lanes(), inProject("gone").ID()).Err())
		require.NoError(r.t, r.rdb.Del(r.ctx(), k.pending(inProject("gone"))).Err())
		asked := inProject("asked")
		r.absorb(asked, "b")
		require.NoError(r.t, r.rdb.ZRem(r.ctx(), k.turn(tasks.Normal), "asked").Err())
		require.NoError(r.t, r.rdb.ZRem(r.ctx(), k.order(), fmt.Sprintf("asked:2:%015.0f%s",
			r.rdb.ZScore(r.ctx(), k.ready(tasks.Normal), asked.ID()).Val(), asked.ID()[len("asked"):])).Err())
		assert.False(r.t, r.peek().Idle(), "what waits is not forgotten")

		r.repair(r.pace)
		for range 8 {
			for _, ready := range r.peek().Ready {
				r.claim(ready.Lane)
			}
		}
		assert.Empty(r.t, r.status().Lanes)
		assert.False(r.t, r.peek().Waits, "all of it was claimed")
		assert.Zero(r.t, r.rdb.Exists(r.ctx(), k.order(), k.turn(tasks.Normal), k.ahead()).Val(), "nothing is left behind")
	})
}

// An upgrade finds many lanes in `ready` and none in line.
func TestSurvey_Upgrade(t *testing.T) {
	each(t, func(r *rig) {
		r.crowd(205)
		k := keysOf("acme")
		require.NoError(r.t, r.rdb.Del(r.ctx(), k.order(), k.turn(tasks.Normal), k.ahead()).Err())
		require.Empty(r.t, r.peek().Ready)
		assert.Len(r.t, r.repair(r.pace), 205)
		assert.Empty(r.t, r.repair(r.pace))
		assert.EqualValues(r.t, 205, r.rdb.ZCard(r.ctx(), k.order()).Val())
		assert.Len(r.t, r.peek().Ready, peekLanes)
	})
}
