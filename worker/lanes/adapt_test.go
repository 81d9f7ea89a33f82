package lanes

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func (r *rig) adapt(event Event, told int) {
	r.t.Helper()
	require.NoError(r.t, r.Adapt(r.ctx(), r.pace, event, told))
}

func (r *rig) slowed() int {
	r.t.Helper()
	s, err := r.Status(r.ctx(), r.pace.Account, r.pace.Per)
	require.NoError(r.t, err)
	return s.Slowed
}

func TestAdapt_HalvesAndComesBackByTenths(t *testing.T) {
	t.Parallel()
	r := simulated(t)
	r.pace.Calls = 40
	r.adapt(Failed, 0)
	r.adapt(Failed, 0)
	assert.Zero(t, r.slowed(), "two failures may be chance")
	r.adapt(Succeeded, 0)
	r.adapt(Failed, 0)
	r.adapt(Failed, 0)
	assert.Zero(t, r.slowed(), "a success in between")
	r.adapt(Failed, 0)
	assert.Equal(t, 20, r.slowed())
	for _, want := range []int{10, 5, 2, 1, 1} {
		for range 3 {
			r.adapt(Failed, 0)
		}
		assert.Equal(t, want, r.slowed())
	}
	for _, want := range []int{5, 9, 13, 17, 21, 25, 29, 33, 37, 0} {
		r.pass(r.pace.Per / 10)
		r.adapt(Succeeded, 0)
		r.adapt(Succeeded, 0)
		assert.Equal(t, want, r.slowed(), "one step a tenth of the window, however many successes")
	}
}

func TestAdapt_SlowsClaims(t *testing.T) {
	t.Parallel()
	for name, calls := range map[string]int{"budget": 40, "without a budget the calls under way": 0} {
		r := simulated(t)
		r.pace.Calls, r.pace.InFlight = calls, 40
		r.absorb(normal, numbered(160)...)
		r.adapt(Restarted, 0)
		b := r.claim(normal)
		assert.True(t, b.Adapting, name)
		assert.NotEmpty(t, r.tryClaim(normal).Refused, "%s: after a hold it starts with one call", name)
	}
}

func TestAdapt_RaisesALearnedLimit(t *testing.T) {
	t.Parallel()
	r := simulated(t)
	r.pace.Calls = 40
	require.NoError(t, r.Pause(r.ctx(), r.pace.Account, time.Second, 3))
	r.adapt(Succeeded, 2)
	r.adapt(Succeeded, 0)
	s, err := r.Status(r.ctx(), r.pace.Account, r.pace.Per)
	require.NoError(t, err)
	assert.Equal(t, 3, s.Learned, "only a 429 lowers it")
	r.adapt(Succeeded, 9)
	s, err = r.Status(r.ctx(), r.pace.Account, r.pace.Per)
	require.NoError(t, err)
	assert.Equal(t, 9, s.Learned)
}

// bare is a 429 that told no limit, of a call that is claimed.
func (r *rig) bare(wait time.Duration) {
	r.t.Helper()
	got := r.tryClaim(normal)
	for ; got.Batch == nil; got = r.tryClaim(normal) {
		r.pass(max(got.Wait, time.Millisecond))
	}
	require.NoError(r.t, r.PauseLimited(r.ctx(), r.pace, wait, 0, ulid.Make().String(), 1))
	r.finish(*got.Batch, false)
	r.pass(wait)
}

// run makes calls that succeed for so long, as many as the budget lets go.
func (r *rig) run(long time.Duration) (calls int) {
	r.t.Helper()
	for end := r.time().Add(long); r.time().Before(end); {
		r.absorb(normal, r.id("post-"))
		if got := r.tryClaim(normal); got.Batch != nil {
			r.finish(*got.Batch, true)
			calls++
		} else {
			r.pass(max(got.Wait, time.Millisecond))
		}
	}
	return calls
}

func tenASecond(t *testing.T) *rig {
	t.Helper()
	r := simulated(t)
	r.pace.Calls, r.pace.Per, r.pace.MaxItems, r.pace.Full = 10, time.Second, 1, 1
	r.absorb(normal, numbered(50)...)
	return r
}

// Refused calls are no calls that fitted: a few bare 429s must not bring 10 calls a
// second down to 1, and what they cost comes back within a few windows.
func TestInfer_BareRefusalsDoNotRatchet(t *testing.T) {
	t.Parallel()
	for name, between := range map[string]int{"at once": 0, "a window apart": 9, "after little": 3} {
		r := tenASecond(t)
		steady := func(calls int) {
			for range calls {
				r.absorb(normal, r.id("post-"))
				if got := r.tryClaim(normal); got.Batch != nil {
					r.finish(*got.Batch, true)
				}
				r.pass(110 * time.Millisecond)
			}
		}
		steady(27)
		for range 4 {
			r.bare(time.Second)
			steady(between)
		}
		s := r.status()
		assert.True(t, s.Learned == 0 || s.Learned >= 4, "%s: learned %d", name, s.Learned)
		r.run(12 * time.Second)
		assert.Zero(t, r.status().Learned, name)
		assert.GreaterOrEqual(t, r.run(4*time.Second), 36, name)
	}
}

func TestInfer_NothingFromAWindowWithoutASuccess(t *testing.T) {
	t.Parallel()
	r := tenASecond(t)
	for range 5 {
		r.bare(100 * time.Millisecond)
	}
	assert.Zero(t, r.status().Learned)
	assert.Empty(t, r.rdb.HGet(r.ctx(), keysOf(r.pace.Account).state(), "limit").Val())
}

func TestInfer_WhatSucceeded(t *testing.T) {
	t.Parallel()
	r := tenASecond(t)
	for range 7 {
		r.finish(r.claim(normal), true)
	}
	r.finish(r.claim(normal), false) // a 5xx says nothing of the limit
	r.bare(0)
	s := r.status()
	assert.Equal(t, 7, s.Learned)
	assert.True(t, s.Inferred)
	r.pass(999 * time.Millisecond)
	assert.Equal(t, 7, r.status().Learned, "for a window")
	r.pass(time.Second)
	learned := r.status().Learned
	assert.True(t, learned == 0 || learned >= 10, "back by quarters of the configured calls, not %d", learned)
}

// What Vercel says is no guess, whatever was guessed before.
func TestInfer_ToldGoesFirst(t *testing.T) {
	t.Parallel()
	r := tenASecond(t)
	for range 7 {
		r.finish(r.claim(normal), true)
	}
	r.bare(0)
	require.True(t, r.status().Inferred)
	require.NoError(t, r.PauseLimited(r.ctx(), r.pace, 0, 3, ulid.Make().String(), 1))
	s := r.status()
	assert.False(t, s.Inferred)
	assert.Equal(t, 3, s.Learned)
	r.pass(30 * time.Minute)
	assert.Equal(t, 3, r.status().Learned, "it is believed for an hour, and not raised")
}

// hour is an hour of the simulation, and what it expects of it.
type hour struct {
	name    string
	limit   int  // what the API allows a minute
	tells   bool // whether its 429 says so
	down    bool // every call fails
	low     int  // calls that were no 429, at least and at most
	top     int
	most429 int
}

// sky is the API of the simulation: a sliding limit that nobody but it knows.
type sky struct {
	rig      *rig
	arrived  []time.Time
	accepted int
	refused  int
}

// call takes one call and lets the account adapt to the answer as a worker does.
func (s *sky) call(h hour, b Batch) {
	r, now := s.rig, s.rig.time()
	window := 0
	for i := len(s.arrived) - 1; i >= 0 && now.Sub(s.arrived[i]) < time.Minute; i-- {
		window++
	}
	r.pass(50 * time.Millisecond)
	switch {
	case h.down:
		s.accepted++
		r.adapt(Failed, 0)
	case window >= h.limit:
		s.refused++
		told := h.limit
		if !h.tells {
			told = 0
		}
		require.NoError(r.t, r.PauseLimited(r.ctx(), r.pace, 10*time.Second, told, ulid.Make().String(), 1))
	default:
		s.accepted++
		s.arrived = append(s.arrived, now)
		if b.Adapting && h.tells {
			r.adapt(Succeeded, h.limit)
		} else if b.Adapting {
			r.adapt(Succeeded, 0)
		}
	}
	r.finish(b, !h.down && window < h.limit)
}

// Six hours of virtual time against an API whose limit changes under a budget of
// 12 a minute, says so or not, and which is down for an hour.
func TestAdapt_SixHours(t *testing.T) {
	t.Parallel()
	r := simulated(t)
	r.pace.Calls, r.pace.Per, r.pace.MaxItems, r.pace.Full = 12, time.Minute, 1, 1
	api := &sky{rig: r}
	var curve strings.Builder
	for _, h := range []hour{
		{"as configured", 12, true, false, 715, 721, 0},
		{"lower, and it says so", 5, true, false, 290, 305, 2},
		{"raised again, by its headers", 12, true, false, 650, 721, 0},
		{"down", 12, true, true, 55, 80, 0},
		{"up again", 12, true, false, 640, 721, 0},
		{"lower, and it does not say so", 5, false, false, 240, 305, 12},
	} {
		api.accepted, api.refused = 0, 0
		for end := r.time().Add(time.Hour); r.time().Before(end); {
			r.absorb(normal, r.id("post-"))
			if got := r.tryClaim(normal); got.Batch != nil {
				api.call(h, *got.Batch)
			} else {
				r.pass(max(got.Wait, time.Millisecond))
			}
		}
		fmt.Fprintf(&curve, "%-32s limit %2d a minute: %3d calls, %3d refused, slowed to %d\n", h.name, h.limit, api.accepted, api.refused, r.slowed())
		assert.GreaterOrEqual(t, api.accepted, h.low, h.name)
		assert.LessOrEqual(t, api.accepted, h.top, h.name)
		assert.LessOrEqual(t, api.refused, h.most429, h.name)
	}
	t.Log("\n" + curve.String())
}

// A 429 teaches once, however often its lesson is sent: replies are lost, and what
// comes after it may fail and be done again.
func TestInfer_OnceACall(t *testing.T) {
	r := simulated(t)
	r.pace.Calls, r.pace.Per = 20, time.Minute
	for i := range 3 {
		r.absorb(normal, fmt.Sprint("tag-", i))
		r.pass(time.Second)
		b := r.claim(normal)
		_, err := r.Finish(r.ctx(), r.pace.Account, b, 1, true)
		require.NoError(t, err)
	}
	var learned []int
	for range 3 {
		require.NoError(t, r.PauseLimited(r.ctx(), r.pace, 0, 0, "01BATCH", 1))
		limits, err := r.Limits(r.ctx(), r.pace.Account, r.pace.Per)
		require.NoError(t, err)
		learned = append(learned, limits.Learned)
	}
	assert.Equal(t, []int{10, 10, 10}, learned)
}
