package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/edgepurge/edgepurge/internal/history"
	"github.com/edgepurge/edgepurge/tasks"
)

// screen is what a command writes to, and calls seen with all that was written.
type screen struct {
	mu   sync.Mutex
	b    bytes.Buffer
	seen func(text string)
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.b.Write(p)
	if s.seen != nil {
		s.seen(s.b.String())
	}
	return n, err
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func noEnv(string) string { return "" }

// Everything that the demo starts is gone when it ends.
func leavesNothing(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

func TestDemo(t *testing.T) { //nolint:paralleltest // it looks for goroutines that are left
	leavesNothing(t)
	var stdout, stderr screen
	code := run(t.Context(), []string{"demo", "--requests", "300", "--seed", "5", "--json"}, strings.NewReader(""), &stdout, &stderr, noEnv)
	require.Equal(t, exitDone, code, "%s\n%s", stdout.String(), stderr.String())

	var r demoResult
	require.NoError(t, json.Unmarshal([]byte(stdout.String()), &r))
	assert.True(t, r.OK)
	assert.False(t, r.Interrupted)
	assert.Empty(t, r.Faults)
	assert.EqualValues(t, 5, r.Seed)
	assert.Equal(t, 300, r.Planned)
	assert.LessOrEqual(t, r.Requests, 300)
	require.Greater(t, r.Requests, 300/2, "even a busy machine takes in so many")
	assert.Zero(t, r.Lost)
	assert.Zero(t, r.Waiting)
	assert.Equal(t, r.Items, r.Purged+r.DeadItems)
	assert.Equal(t, r.Items, r.Sent+r.Dropped)
	assert.Positive(t, r.Dropped)
	assert.GreaterOrEqual(t, r.Sent, r.Distinct, "each item was sent")
	assert.Equal(t, 1, r.DeadItems)

	c := r.Calls
	assert.Equal(t, c.Total, c.Batches+c.Retries+c.Limited+c.Halves)
	assert.GreaterOrEqual(t, c.Batches, c.Fewest)
	assert.Positive(t, c.Refused)
	assert.LessOrEqual(t, r.Budget.Widest, 20)
	require.Len(t, r.DeadLetters, 1)
	assert.Equal(t, []string{"post-unpurgeable"}, r.DeadLetters[0].Items)
	assert.Equal(t, "bad_request", r.DeadLetters[0].Reason)
	assert.Positive(t, r.Latency.Urgent.Requests)
	assert.Equal(t, r.Requests-1, r.Latency.Urgent.Requests+r.Latency.Normal.Requests, "all but the dead one")
	assert.InDelta(t, float64(r.Requests)/5, r.AtVercel.OnePerRequest, 1e-9)
	assert.InDelta(t, float64(c.Total)/5, r.AtVercel.These, 1e-9)

	assert.Contains(t, stderr.String(), "seed 5: 300 requests")
	assert.Contains(t, stderr.String(), "items wait")
}

// Interrupted, it tells what happened until then and calls nothing lost.
func TestDemo_Interrupted(t *testing.T) { //nolint:paralleltest // it looks for goroutines that are left
	leavesNothing(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var stdout screen
	stderr := screen{seen: func(text string) {
		if strings.Contains(text, " asked") {
			stop()
		}
	}}
	code := run(ctx, []string{"demo", "--requests", "5000", "--calls", "2"}, strings.NewReader(""), &stdout, &stderr, noEnv)
	assert.Equal(t, exitDone, code, stderr.String())
	assert.Contains(t, stdout.String(), "interrupted: ")
	assert.NotContains(t, stdout.String(), "FAULT")
	assert.NotContains(t, stdout.String(), "lost")
}

func TestDemoPlan(t *testing.T) {
	t.Parallel()
	plan := newDemoPlan(3, 400)
	assert.Equal(t, plan, newDemoPlan(3, 400), "the seed says everything")
	assert.NotEqual(t, plan.requests, newDemoPlan(4, 400).requests)
	for _, n := range []int{demoFewestRequests, 400, 4000} {
		plan := newDemoPlan(1, n)
		require.Len(t, plan.requests, n)
		urgent, poisoned := 0, 0
		last, kinds := time.Duration(0), map[string]int{}
		for _, r := range plan.requests {
			require.NoError(t, r.purge.Validate())
			assert.GreaterOrEqual(t, r.at, last)
			last = r.at
			kinds[r.purge.Project+" "+string(r.purge.Operation)]++
			if r.purge.Priority == tasks.Urgent {
				urgent++
			}
			for _, tag := range r.purge.Tags {
				if tag == plan.poison {
					poisoned++
				}
			}
		}
		assert.Less(t, last, plan.over)
		assert.GreaterOrEqual(t, plan.limit(), demoPatient)
		assert.Less(t, last, plan.limit())
		assert.Equal(t, demoUrgent, urgent, "%d requests", n)
		assert.Equal(t, 1, poisoned, "%d requests", n)
		assert.Len(t, kinds, 3)
	}
}

func TestDemoFaults(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC)
	f := demoFlags{calls: 2, per: time.Second}
	family := history.Family{Project: "shop", Kind: tasks.Tag, Operation: tasks.Delete}
	calls := func(n int) []history.Call {
		list := make([]history.Call, n)
		for i := range list {
			list[i] = history.Call{Family: family, Items: []string{"a"}, Start: at, End: at, OK: true, Status: 200}
		}
		return list
	}
	judged := func(run demoRun) demoResult {
		run.report = history.Check(run.asked, run.calls, nil)
		return newDemoResult(f, &run)
	}
	asked := []history.Request{{ID: "1", Family: family, Items: []string{"a", "b"}, Asked: at, Accepted: at}}

	r := judged(demoRun{asked: asked, calls: calls(1)})
	assert.Equal(t, []string{"lost: tag b of request 1: shop delete, no call since 05:00:00.000"}, r.Faults)
	assert.Equal(t, 1, r.Lost)
	assert.False(t, r.OK)

	r = judged(demoRun{asked: asked, calls: calls(1), interrupted: true})
	assert.True(t, r.OK)
	assert.Equal(t, 1, r.Waiting)
	assert.Zero(t, r.Lost)

	r = judged(demoRun{calls: calls(3)})
	assert.Equal(t, []string{"budget broken: 3 calls within 1s, 2 are allowed"}, r.Faults)

	r = judged(demoRun{calls: []history.Call{{Family: family, Items: []string{strings.Repeat("a", 257)}, Start: at}}})
	require.Len(t, r.Faults, 1)
	assert.Contains(t, r.Faults[0], "257 bytes")

	many := history.Request{ID: "2", Family: family, Asked: at}
	for _, c := range "abcdefghij" {
		many.Items = append(many.Items, string(c))
	}
	r = judged(demoRun{asked: []history.Request{many}})
	assert.Len(t, r.Faults, demoMostFaults+1)
	assert.Equal(t, "lost: 5 more items", r.Faults[demoMostFaults])
}

func TestGrouped(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		assert.Equal(t, want, grouped(n))
	}
}
