package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// BenchmarkLanes: what one call costs Redis and the worker's client, from the look at the
// account to the finish, while a project has 1, 100 or 10,000 lanes that are ready. In
// turns, so that all see the same machine. How many calls come before the one of a project
// that asks last is counted, too.
func BenchmarkLanes(b *testing.B) {
	f := figures{}
	for b.Loop() {
		r := newRig(b, emulator.Config{})
		sizes := []int{1, 100, size(10_000, 1000)}
		crowds, costs := make([]*backlog, len(sizes)), make([][]float64, len(sizes))
		for i, n := range sizes {
			crowds[i] = newCrowd(r, n)
		}
		for range size(2000, 50) {
			for i, k := range crowds {
				costs[i] = append(costs[i], k.serve())
			}
		}
		one := quantile(costs[0], 0.5)
		f.add("µs/call", one)
		f.add("x-100", quantile(costs[1], 0.5)/one)
		f.add("x-10000", quantile(costs[2], 0.5)/one)
		f.add("calls-before", float64(crowds[2].before("late")))
		r.close()
	}
	f.report(b)
}

// newCrowd is an account whose project has n lanes with a tag in each.
func newCrowd(r *rig, n int) *backlog {
	k := newBacklog(r, fmt.Sprint("crowd", n), 0, 0)
	k.pace.Linger = 0
	for i := range n {
		lane := k.lane
		lane.DeadlineSeconds = i
		k.ask(lane)
	}
	return k
}

// ask takes a new tag into a lane.
func (k *backlog) ask(lane tasks.Lane) {
	k.next++
	_, err := k.lanes.Absorb(context.Background(), k.pace, lanes.Absorption{Request: fmt.Sprint(k.next), Lane: lane, Items: []string{tagOf(k.next)}})
	require.NoError(k.r.tb, err)
}

// first looks at the account and claims and finishes what was ready first, of the project
// that was served longest ago.
func (k *backlog) first() tasks.Lane {
	ctx := context.Background()
	view, err := k.lanes.Peek(ctx, k.pace.Account)
	require.NoError(k.r.tb, err)
	require.NotEmpty(k.r.tb, view.Ready)
	first := view.Ready[0]
	for _, ready := range view.Ready {
		if ready.ProjectServed.Before(first.ProjectServed) {
			first = ready
		}
	}
	k.next++
	got, err := k.lanes.Claim(ctx, k.pace, first.Lane, fmt.Sprint("batch-", k.next))
	require.NoError(k.r.tb, err)
	require.NotNil(k.r.tb, got.Batch, "refused: %s", got.Refused)
	_, err = k.lanes.Finish(ctx, k.pace.Account, *got.Batch, 1, true)
	require.NoError(k.r.tb, err)
	return first.Lane
}

// serve is one call; what it took from a lane is asked for again. It returns the
// microseconds of the call.
func (k *backlog) serve() float64 {
	start := time.Now()
	lane := k.first()
	took := time.Since(start)
	k.ask(lane)
	return float64(took.Nanoseconds()) / 1000
}

// before counts the calls before the one of another project that asks now.
func (k *backlog) before(project string) int {
	late := k.lane
	late.Project = project
	k.ask(late)
	for n := 0; ; n++ {
		if k.first().Project == project {
			return n
		}
		require.Less(k.r.tb, n, 20_000, "it never comes")
	}
}
