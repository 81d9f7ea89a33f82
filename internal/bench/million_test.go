package bench

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
)

// BenchmarkMillion: what a worker holds resident while it takes in a million
// tags, and then while it sends them away as fast as it can; and what a claim
// takes of a million pending tags and of a thousand, in turns.
func BenchmarkMillion(b *testing.B) {
	million := size(1_000_000, 20_000)
	b.Run("resident", func(b *testing.B) {
		f := figures{}
		for b.Loop() {
			r := newRig(b, emulator.Config{})
			stops := len(r.stops)
			pid := r.start(childWorker) // a budget of 5 calls a minute keeps them pending
			produce(million/each, func(i int) { r.purge(someTags(i * each)...) })
			r.await("all is taken in", func() bool { return r.queued() == 0 && r.pending() >= million-10*tasks.MaxTagsPerCall })
			f.add("intake-MiB", peakResident(b, pid))
			r.stop(stops)

			pid = r.start(childUnlimited)
			r.await("half is purged", func() bool { return r.answered.Load() > int64(million/2/tasks.MaxTagsPerCall) })
			f.add("purge-MiB", peakResident(b, pid))
			r.close()
		}
		f.report(b)
	})
	b.Run("claim", func(b *testing.B) {
		f := figures{}
		for b.Loop() {
			r := newRig(b, emulator.Config{})
			few, many := newBacklog(r, "few", 1000, 0), newBacklog(r, "many", million, 0)
			var claimFew, claimMany []float64
			for range size(3000, 100) {
				claimFew = append(claimFew, few.claimOne())
				claimMany = append(claimMany, many.claimOne())
			}
			f.add("µs", quantile(claimFew, 0.5))
			f.add("million-µs", quantile(claimMany, 0.5))
			f.add("million-p99-µs", quantile(claimMany, 0.99))
			f.add("x-flat", quantile(claimMany, 0.5)/quantile(claimFew, 0.5))
			r.close()
		}
		f.report(b)
	})
}

// claimOne takes in as many tags as a call holds, claims so many and returns the
// microseconds that the claim alone took.
func (k *backlog) claimOne() float64 {
	k.absorb(tasks.MaxTagsPerCall)
	start := time.Now()
	got, err := k.lanes.Claim(context.Background(), k.pace, k.lane, fmt.Sprint("claim-", k.next))
	took := time.Since(start)
	require.NoError(k.r.tb, err)
	require.Len(k.r.tb, got.Batch.Items, tasks.MaxTagsPerCall)
	_, err = k.lanes.Finish(context.Background(), k.pace.Account, *got.Batch, 1, true)
	require.NoError(k.r.tb, err)
	return float64(took.Nanoseconds()) / 1000
}

// start starts a program as child does, and returns its process.
func (r *rig) start(program string) int { return r.child(program, r.server.URL())().PID }

// peakResident is the most memory that a process has held resident, in MiB.
func peakResident(tb testing.TB, pid int) float64 {
	tb.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if os.IsNotExist(err) {
		tb.Skip("there is no /proc")
	}
	require.NoError(tb, err)
	_, after, found := strings.Cut(string(status), "VmHWM:")
	require.True(tb, found)
	kib, err := strconv.ParseFloat(strings.Fields(after)[0], 64)
	require.NoError(tb, err)
	return kib / 1024
}
