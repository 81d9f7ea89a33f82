package emulator

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/vercel"
	"github.com/edgepurge/edgepurge/tasks"
)

// Equal seeds, faults and order: equal luck.
func TestDice_Repeatable(t *testing.T) {
	run := func(seed uint64) (fates []string) {
		b := start(t, Config{Seed: seed, Faults: Faults{
			Status: map[int]float64{500: 0.2, 503: 0.2, 429: 0.1}, HTML: 0.5, AfterEffect: 0.5,
		}})
		for range 60 {
			_, _ = b.purge("a")
		}
		for _, c := range b.Journal() {
			fates = append(fates, fmt.Sprint(c.Status, c.Applied))
		}
		return fates
	}
	first, second, other := run(42), run(42), run(43)
	assert.Equal(t, first, second)
	assert.NotEqual(t, first, other)
}

func TestPick(t *testing.T) {
	f := compile(Faults{Status: map[int]float64{503: 0.2, 500: 0.1}, Reset: 0.3, Hang: 0.2})
	for _, tt := range []struct {
		u      float64
		fault  Fault
		status int
	}{
		{0, FaultStatus, 500},
		{0.09, FaultStatus, 500},
		{0.11, FaultStatus, 503},
		{0.29, FaultStatus, 503},
		{0.31, FaultReset, 0},
		{0.59, FaultReset, 0},
		{0.61, FaultHang, 0},
		{0.79, FaultHang, 0},
		{0.81, NoFault, 0},
		{0.999, NoFault, 0},
	} {
		fault, status := f.pick(tt.u)
		assert.Equal(t, tt.fault, fault, "%v", tt.u)
		assert.Equal(t, tt.status, status, "%v", tt.u)
	}
}

// Probabilities come out as asked for, within what chance allows.
func TestDice_Frequencies(t *testing.T) {
	f := compile(Faults{Status: map[int]float64{503: 0.2}, Reset: 0.1, HTML: 0.5, AfterEffect: 0.25})
	d := newDice(1)
	const n = 20_000
	var status, reset, html, after float64
	for range n {
		r := d.roll(f)
		switch r.fault {
		case FaultStatus:
			status++
		case FaultReset:
			reset++
		default:
		}
		if r.html {
			html++
		}
		if r.after {
			after++
		}
	}
	assert.InDelta(t, 0.2, status/n, 0.015)
	assert.InDelta(t, 0.1, reset/n, 0.015)
	assert.InDelta(t, 0.5, html/n, 0.015)
	assert.InDelta(t, 0.25, after/n, 0.015)
	assert.Zero(t, d.roll(compile(Faults{Latency: 1, Outage: true})), "no chance, no dice")
}

func TestFault_Status(t *testing.T) {
	for _, status := range []int{301, 308, 400, 401, 402, 403, 404, 408, 410, 418, 425, 429, 500, 502, 503, 504, 599} {
		for _, html := range []float64{0, 1} {
			t.Run(fmt.Sprint(status, " ", html), func(t *testing.T) {
				b := start(t, Config{Faults: Faults{Status: map[int]float64{status: 1}, HTML: html, RetryAfter: 7 * time.Second}})
				_, err := b.purge("a")
				e, ok := errors.AsType[*vercel.StatusError](err)
				require.True(t, ok, "%v", err)
				assert.Equal(t, status, e.Status)
				assert.Contains(t, e.Message, "An emulated fault")
				assert.Equal(t, html == 1 && status >= 500, e.Code == "", "an HTML page has no code")
				if status == 429 || status == 503 {
					assert.Equal(t, 7*time.Second, e.RetryAfter)
				} else {
					assert.Zero(t, e.RetryAfter)
				}
				c := b.only(t)
				assert.Equal(t, FaultStatus, c.Fault)
				assert.Equal(t, status, c.Status)
				assert.Equal(t, []string{"a"}, c.Items, "what was asked is journaled though nothing came of it")
				assert.False(t, c.Applied)
				assert.True(t, c.Counted)
			})
		}
	}
}

func TestFault_Reset(t *testing.T) {
	for _, after := range []float64{0, 1} {
		b := start(t, Config{Faults: Faults{Reset: 1, AfterEffect: after}})
		_, err := b.purge("a")
		e, ok := errors.AsType[*vercel.TransportError](err)
		require.True(t, ok, "%v", err)
		assert.ErrorIs(t, err, syscall.ECONNRESET)
		assert.False(t, e.Timeout())
		c := b.only(t)
		assert.Equal(t, FaultReset, c.Fault)
		assert.Equal(t, 0, c.Status)
		assert.Equal(t, after == 1, c.Applied)
	}
}

func TestFault_HangUntilTheClientLeaves(t *testing.T) {
	b := start(t, Config{Faults: Faults{Hang: 1, AfterEffect: 1}})
	client := b.with(t, vercel.Config{Timeout: 50 * time.Millisecond})
	_, err := client.Purge(context.Background(), request("a"))
	e, ok := errors.AsType[*vercel.TransportError](err)
	require.True(t, ok, "%v", err)
	assert.True(t, e.Timeout())
	require.Eventually(t, func() bool { return len(b.Journal()) == 1 }, 5*time.Second, time.Millisecond)
	c := b.only(t)
	assert.Equal(t, FaultHang, c.Fault)
	assert.Equal(t, 0, c.Status)
	assert.True(t, c.Applied)
	assert.GreaterOrEqual(t, c.End.Sub(c.Start), 40*time.Millisecond)
}

func TestFault_HangUntilClose(t *testing.T) {
	b := start(t, Config{Faults: Faults{Hang: 1}})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_, err := b.purge("a")
			_, ok := errors.AsType[*vercel.TransportError](err)
			assert.True(t, ok, "%v", err)
		})
	}
	require.Eventually(t, func() bool { return b.Stats().InFlight == 8 }, 5*time.Second, time.Millisecond)
	require.NoError(t, b.Close())
	wg.Wait()
	assert.Len(t, b.Journal(), 8)
	assert.Equal(t, int64(8), b.Stats().PeakInFlight)
}

func TestFault_Latency(t *testing.T) {
	b := start(t, Config{Faults: Faults{Latency: 30 * time.Millisecond, LatencyJitter: 20 * time.Millisecond}})
	for range 5 {
		_, err := b.purge("a")
		require.NoError(t, err)
	}
	spread := map[time.Duration]bool{}
	for _, c := range b.Journal() {
		took := c.End.Sub(c.Start)
		assert.GreaterOrEqual(t, took, 30*time.Millisecond)
		spread[took.Truncate(time.Millisecond)] = true
	}
	assert.Greater(t, len(spread), 1, "jitter")
	assert.Equal(t, 40*time.Millisecond, compile(b.Faults()).latency(roll{jitter: 0.5}))
}

// A client that times out during the latency has purged all the same.
func TestFault_ClientLeavesDuringLatency(t *testing.T) {
	b := start(t, Config{Faults: Faults{Latency: 10 * time.Second}})
	client := b.with(t, vercel.Config{Timeout: 30 * time.Millisecond})
	_, err := client.Purge(context.Background(), request("a"))
	require.Error(t, err)
	require.Eventually(t, func() bool { return len(b.Journal()) == 1 }, 5*time.Second, time.Millisecond)
	c := b.only(t)
	assert.Equal(t, FaultClientLeft, c.Fault)
	assert.True(t, c.Applied)
	assert.Equal(t, 0, c.Status)
}

func TestFault_LatencyEndsWithClose(t *testing.T) {
	b := start(t, Config{Faults: Faults{Latency: MaxLatency}})
	go func() {
		for b.Stats().InFlight == 0 {
			time.Sleep(time.Millisecond)
		}
		_ = b.Close()
	}()
	_, err := b.purge("a")
	require.NoError(t, err)
}

func TestFault_Outage(t *testing.T) {
	b := start(t, Config{Limit: Limit{Calls: 1}, Faults: Faults{Outage: true, HTML: 1, RetryAfter: time.Second}})
	for range 3 {
		_, err := b.purge("a")
		e, ok := errors.AsType[*vercel.StatusError](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, 503, e.Status)
		assert.Equal(t, time.Second, e.RetryAfter)
		assert.True(t, strings.HasPrefix(e.Message, "503: SERVICE_UNAVAILABLE"), e.Message)
	}
	require.Error(t, b.client.Check(context.Background()), "the whole API is out")
	for _, c := range b.Journal() {
		assert.Equal(t, FaultOutage, c.Fault)
		assert.False(t, c.Counted)
		assert.False(t, c.Applied)
	}
	require.NoError(t, b.SetFaults(Faults{}))
	_, err := b.purge("a")
	require.NoError(t, err, "an outage has spent no budget")
}

// The worst case: the purge worked and the client is told that it did not.
func TestFault_AfterEffect(t *testing.T) {
	b := start(t, Config{Faults: Faults{Status: map[int]float64{503: 1}, AfterEffect: 1}})
	_, err := b.purge("a", "b")
	e, ok := errors.AsType[*vercel.StatusError](err)
	require.True(t, ok)
	assert.Equal(t, 503, e.Status)
	c := b.only(t)
	assert.True(t, c.Applied)
	assert.Equal(t, 503, c.Status)
	assert.Equal(t, int64(2), b.Stats().AppliedItems)

	b.Reset()
	r := b.send(t, "POST", tagsPath+"?projectIdOrName=p", `{"tags":[]}`)
	assert.Equal(t, 400, r.StatusCode, "what has no effect cannot fail after it")
	assert.Equal(t, NoFault, b.only(t).Fault)
}

func TestFault_Projects(t *testing.T) {
	b := start(t, Config{Faults: Faults{Projects: map[string]int{"lost": 404, "gone": 410, "unpaid": 402}}})
	for project, want := range map[string]int{"lost": 404, "gone": 410, "unpaid": 402, "prj_a": 0} {
		r := request("a")
		r.Project = project
		_, err := b.client.Purge(context.Background(), r)
		if want == 0 {
			require.NoError(t, err)
			continue
		}
		e, ok := errors.AsType[*vercel.StatusError](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, want, e.Status)
	}
	assert.Equal(t, 404, b.send(t, "GET", "/v9/projects/lost", "").StatusCode, "the command line asks for it first")
}

func TestFault_Poison(t *testing.T) {
	b := start(t, Config{Faults: Faults{PoisonTags: []string{"bad-apple", "/bad.png"}}})
	_, err := b.purge("a", "b")
	require.NoError(t, err)
	image := vercel.Request{Project: "p", Kind: tasks.SrcImage, Operation: tasks.Delete, Items: []string{"/bad.png"}, DeadlineSeconds: tasks.NoDeadline}
	for _, r := range []vercel.Request{request("a", "bad-apple", "c"), image} {
		_, err := b.client.Purge(context.Background(), r)
		e, ok := errors.AsType[*vercel.StatusError](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, 400, e.Status)
		assert.Equal(t, "bad_request", e.Code)
		assert.NotContains(t, e.Message, "bad-apple", "finding it is the worker's to do")
		assert.NotContains(t, e.Message, "bad.png")
		_, _, ok = vercel.LearnMax(e.Message)
		assert.False(t, ok)
	}
	assert.Equal(t, int64(1), b.Stats().AppliedCalls)
}

// A recorder has no connection to reset; net/http knows what this panic means.
func TestDrop_WithoutAConnection(t *testing.T) {
	assert.PanicsWithValue(t, http.ErrAbortHandler, func() { drop(nopWriter{}) })
}

type nopWriter struct{ http.ResponseWriter }
