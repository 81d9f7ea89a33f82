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

// BenchmarkCostPerTag: what taking in, claiming and finishing cost a tag while
// few or many others are pending, in turns, so that both see the same machine.
func BenchmarkCostPerTag(b *testing.B) {
	for _, spread := range []float64{0, 1e6} {
		b.Run(fmt.Sprintf("spread=%g", spread), func(b *testing.B) {
			f := figures{}
			for b.Loop() {
				r := newRig(b, emulator.Config{})
				few, many := newBacklog(r, "few", 1000, spread), newBacklog(r, "many", size(500_000, 20_000), spread)
				var costFew, costMany []float64
				for range size(400, 30) {
					costFew = append(costFew, few.turn())
					costMany = append(costMany, many.turn())
				}
				f.add("µs/tag", quantile(costFew, 0.5))
				f.add("many-µs/tag", quantile(costMany, 0.5))
				f.add("x-flat", quantile(costMany, 0.5)/quantile(costFew, 0.5))
				r.close()
			}
			f.report(b)
		})
	}
}

// backlog is one lane of an account with a number of pending tags.
type backlog struct {
	r     *rig
	lanes *lanes.Lanes
	pace  lanes.Pace
	lane  tasks.Lane
	next  int // number of the next tag, batch or request
}

func newBacklog(r *rig, account string, pending int, spread float64) *backlog {
	k := &backlog{
		r: r, lanes: lanes.New(r.rdb),
		pace: lanes.Pace{
			Account: account, Per: time.Minute, InFlight: 4, Lease: 15 * time.Second,
			MaxItems: tasks.MaxTagsPerCall, Full: tasks.MaxTagsPerCall, Linger: time.Second,
			Rate: spread, Burst: 1e9, MaxDelay: 15 * time.Minute,
		},
		lane: tasks.Lane{Project: project, Kind: tasks.Tag, Operation: tasks.Delete, DeadlineSeconds: tasks.NoDeadline, Priority: tasks.Normal},
	}
	for k.next < pending {
		k.absorb(1000)
	}
	return k
}

func (k *backlog) absorb(n int) {
	items := make([]string, n)
	for i := range items {
		// Scattered, as hashed ids are: in order, neighbours would share cache lines.
		items[i] = tagOf((k.next + i) * 1_000_003 % 1_000_000_007)
	}
	k.next += n
	_, err := k.lanes.Absorb(context.Background(), k.pace, lanes.Absorption{Request: fmt.Sprint(k.next), Lane: k.lane, Items: items})
	require.NoError(k.r.tb, err)
}

// turn takes in some batches' worth of tags, sends as many away and returns the
// microseconds that each took.
func (k *backlog) turn() float64 {
	const batches = 10
	start := time.Now()
	k.absorb(batches * tasks.MaxTagsPerCall)
	for i := range batches {
		got, err := k.lanes.Claim(context.Background(), k.pace, k.lane, fmt.Sprint(k.next, "-", i))
		require.NoError(k.r.tb, err)
		require.NotNil(k.r.tb, got.Batch, "refused: %s", got.Refused)
		require.Len(k.r.tb, got.Batch.Items, tasks.MaxTagsPerCall)
		_, err = k.lanes.Finish(context.Background(), k.pace.Account, *got.Batch, 1, true)
		require.NoError(k.r.tb, err)
	}
	return float64(time.Since(start).Nanoseconds()) / 1000 / (batches * tasks.MaxTagsPerCall)
}
