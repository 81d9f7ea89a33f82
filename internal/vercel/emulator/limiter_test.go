package emulator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/vercel"
)

// Each step is a call at so many milliseconds and what it is told.
func TestWindow_Admit(t *testing.T) {
	type step struct {
		at        int
		ok        bool
		remaining int
		reset     int
	}
	sliding, fixed := Limit{Calls: 2, Per: time.Second, Mode: Sliding}, Limit{Calls: 2, Per: time.Second, Mode: Fixed}
	for name, tt := range map[string]struct {
		limit Limit
		steps []step
	}{
		"sliding: a place is free when the oldest call is a window old": {sliding, []step{
			{0, true, 1, 1000},
			{600, true, 0, 1000},
			{999, false, 0, 1000},
			{1000, true, 0, 1600},
			{1599, false, 0, 1600},
			{1600, true, 0, 2000},
		}},
		"sliding: refused calls cost nothing": {sliding, []step{
			{0, true, 1, 1000}, {0, true, 0, 1000}, {500, false, 0, 1000}, {500, false, 0, 1000}, {1000, true, 1, 2000},
		}},
		"sliding: a pause forgets all": {sliding, []step{{0, true, 1, 1000}, {5000, true, 1, 6000}}},
		"fixed: twice the limit fits around a border": {fixed, []step{
			{0, true, 1, 1000},
			{999, true, 0, 1000},
			{999, false, 0, 1000},
			{1000, true, 1, 2000},
			{1001, true, 0, 2000},
			{1999, false, 0, 2000},
			{2000, true, 1, 3000},
		}},
		"fixed: a window begins with a call": {fixed, []step{{0, true, 1, 1000}, {2500, true, 1, 3500}, {3499, true, 0, 3500}}},
	} {
		t.Run(name, func(t *testing.T) {
			var w window
			begin := time.Unix(1_700_000_000, 0)
			ms := func(n int) time.Time { return begin.Add(time.Duration(n) * time.Millisecond) }
			for i, s := range tt.steps {
				v := w.admit(ms(s.at), tt.limit)
				assert.Equal(t, verdict{at: ms(s.at), ok: s.ok, limit: tt.limit, remaining: s.remaining, reset: ms(s.reset)}, v, "step %d", i)
			}
		})
	}
}

func TestWindow_LoweredLimit(t *testing.T) {
	var w window
	begin := time.Unix(1_700_000_000, 0)
	for i := range 4 {
		w.admit(begin.Add(time.Duration(i)*time.Second), Limit{Calls: 4, Per: time.Minute, Mode: Sliding})
	}
	low := Limit{Calls: 2, Per: time.Minute, Mode: Sliding}
	v := w.admit(begin.Add(10*time.Second), low)
	assert.False(t, v.ok)
	assert.Equal(t, begin.Add(62*time.Second), v.reset, "two of four must be past, not one")
	assert.False(t, w.admit(v.reset.Add(-1), low).ok)
	assert.True(t, w.admit(v.reset, low).ok)
}

func TestLimiter_ForgetsIdleAccounts(t *testing.T) {
	var l limiter
	l.set(Limit{Calls: 1, Per: time.Nanosecond})
	for i := range 3 * sweepAbove {
		l.admit(fmt.Sprint(i))
	}
	assert.LessOrEqual(t, len(l.windows), sweepAbove+1)
}

// The promise that the worker's budget is tested against: whatever 16 clients
// do at once, no window of the journal holds more than the limit.
func TestLimit_NeverMoreThanNInAnyWindow(t *testing.T) {
	limit := Limit{Calls: 7, Per: 120 * time.Millisecond}
	b := start(t, Config{Limit: limit})
	deadline := time.Now().Add(6 * limit.Per)
	var wg sync.WaitGroup
	var accepted atomic.Int64
	for range 16 {
		wg.Go(func() {
			for time.Now().Before(deadline) {
				_, err := b.purge("a")
				if err == nil {
					accepted.Add(1)
					continue
				}
				e, ok := errors.AsType[*vercel.StatusError](err)
				if !assert.True(t, ok && e.Status == 429, "%v", err) {
					return
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	wg.Wait()
	is200 := func(c Call) bool { return c.Status == 200 }
	calls := b.Journal()
	assert.LessOrEqual(t, PeakInWindow(calls, limit.Per, is200), limit.Calls)
	assert.GreaterOrEqual(t, accepted.Load(), int64(4*limit.Calls), "the limit is used up, window after window")
	assert.Greater(t, PeakInWindow(calls, limit.Per, nil), limit.Calls, "and was tried")
	assert.Equal(t, limit.Calls, b.Stats().PeakCounted)
}

// Nothing but a 429 is free: a 400, a 404 and a 5xx spend what a 200 does.
func TestLimit_WhatCounts(t *testing.T) {
	b := start(t, Config{Limit: Limit{Calls: 5, Body: TooManyRequests}, Faults: Faults{Projects: map[string]int{"gone": 410, "ill": 500}}})
	path := tagsPath + "?projectIdOrName="
	assert.Equal(t, 403, b.send(t, "POST", path+"p", `{}`, "Authorization", "").StatusCode)
	assert.Equal(t, 404, b.send(t, "POST", "/nowhere", `{}`).StatusCode)
	require.NoError(t, b.client.Check(context.Background()))
	for i, tt := range []struct {
		path, body string
		want       int
	}{
		{path + "p", `{"tags":["a"]}`, 200},
		{path + "p", `{"tags":[]}`, 400},
		{path + "gone", `{"tags":["a"]}`, 410},
		{path + "ill", `{"tags":["a"]}`, 500},
		{path, `{"tags":["a"]}`, 400},
		{path + "p", `{"tags":["a"]}`, 429},
		{path + "p", `{"tags":[]}`, 429},
	} {
		r := b.send(t, "POST", tt.path, tt.body)
		assert.Equal(t, tt.want, r.StatusCode)
		assert.Equal(t, "5", r.Header.Get("X-RateLimit-Limit"))
		assert.Equal(t, fmt.Sprint(max(4-i, 0)), r.Header.Get("X-RateLimit-Remaining"), "call %d", i)
		assert.Equal(t, tt.want == 429, r.Header.Get("Retry-After") != "")
	}
}

func TestLimit_IsPerTokenAndTeam(t *testing.T) {
	b := start(t, Config{Limit: Limit{Calls: 1}})
	for _, c := range []vercel.Config{{}, {TeamID: "team_1"}, {Slug: "acme"}, {Token: "another-token"}} {
		client := b.with(t, c)
		_, err := client.Purge(context.Background(), request("a"))
		require.NoError(t, err)
		_, err = client.Purge(context.Background(), request("a"))
		require.Error(t, err)
	}
}

// Each documented body, as the client of this module reads it.
func TestLimit_Bodies(t *testing.T) {
	for body, code := range map[LimitBody]string{
		TooManyRequests: "too_many_requests", RateLimited: "rate_limited", RateLimitedMs: "rate_limited",
	} {
		t.Run(string(body), func(t *testing.T) {
			b := start(t, Config{Limit: Limit{Calls: 1, Per: 90 * time.Second, Body: body}})
			_, err := b.purge("a")
			require.NoError(t, err)
			first := b.only(t).Start
			_, err = b.purge("a")
			e, ok := errors.AsType[*vercel.StatusError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, 429, e.Status)
			assert.Equal(t, code, e.Code)
			assert.Equal(t, 1, e.Limit.Limit)
			assert.Equal(t, 0, e.Limit.Remaining)
			assert.Equal(t, 90*time.Second, e.RetryAfter)
			free := first.Add(90 * time.Second)
			assert.False(t, e.Limit.Reset.Before(free), "a client that waits for the reset comes in time")
			assert.Less(t, e.Limit.Reset.Sub(free), time.Second)
		})
	}
}

func TestLimit_BodiesAlternate(t *testing.T) {
	b := start(t, Config{Limit: Limit{Calls: 1}})
	_, err := b.purge("a")
	require.NoError(t, err)
	var seen []string
	for range 4 {
		p := b.send(t, "POST", tagsPath+"?projectIdOrName=p", `{}`).problem(t)
		form := p.Code
		if p.Limit != nil && p.Limit.Reset == p.Limit.ResetMs {
			form += "_ms"
		}
		seen = append(seen, form)
	}
	assert.Equal(t, []string{"too_many_requests", "rate_limited", "rate_limited_ms", "too_many_requests"}, seen)
}

// Waiting for Retry-After is enough.
func TestLimit_RetryAfterHolds(t *testing.T) {
	b := start(t, Config{Limit: Limit{Calls: 1, Per: 300 * time.Millisecond}})
	_, err := b.purge("a")
	require.NoError(t, err)
	_, err = b.purge("a")
	e, ok := errors.AsType[*vercel.StatusError](err)
	require.True(t, ok)
	assert.Equal(t, time.Second, e.RetryAfter, "whole seconds, rounded up")
	time.Sleep(e.RetryAfter)
	_, err = b.purge("a")
	require.NoError(t, err)
}

func TestSetLimit(t *testing.T) {
	b := start(t, Config{})
	assert.Equal(t, Limit{0, time.Minute, Sliding, Alternating}, b.Limit())
	require.NoError(t, b.SetLimit(MeasuredLimit()))
	for range 5 {
		_, err := b.purge("a")
		require.NoError(t, err)
	}
	_, err := b.purge("a")
	require.Error(t, err)
	require.NoError(t, b.SetLimit(Limit{Calls: 6}))
	_, err = b.purge("a")
	require.NoError(t, err, "a raised limit leaves room at once")
	_, err = b.purge("a")
	require.Error(t, err, "and what was counted stays counted")
	require.Error(t, b.SetLimit(Limit{Calls: -1}))
	assert.Equal(t, 6, b.Limit().Calls, "a refused change changes nothing")
	require.NoError(t, b.SetLimit(Limit{Calls: 6, Mode: Fixed}))
	_, err = b.purge("a")
	require.NoError(t, err, "another mode begins anew")
	require.NoError(t, b.SetLimit(Limit{}))
	_, err = b.purge("a")
	require.NoError(t, err)
}
