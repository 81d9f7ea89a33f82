package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker"
)

// BenchmarkPaceCalls: the rate of calls under a backlog against an API whose
// limit is exactly the budget.
func BenchmarkPaceCalls(b *testing.B) {
	const calls, per = 20, time.Second
	windows := size(15, 2)
	for _, mode := range []emulator.Mode{emulator.Sliding, emulator.Fixed} {
		for _, workers := range fleets() {
			b.Run(fmt.Sprintf("limit=%s/workers=%d", mode, workers), func(b *testing.B) {
				f := figures{}
				for b.Loop() {
					limit := emulator.Limit{Calls: calls, Per: per, Mode: mode}
					journal := underBacklog(b, limit, workers, (windows*calls+1)*tasks.MaxTagsPerCall, func(c *worker.Config) {
						c.Accounts[0].Budget = worker.Budget{Calls: calls, Per: per, InFlight: 4}
					})
					require.Zero(b, limited(journal))
					require.LessOrEqual(b, emulator.PeakInWindow(journal, per, nil), calls)
					// From the first call of the first window to the first of the last.
					last := (len(journal) - 1) / calls * calls
					took := journal[last].Start.Sub(journal[0].Start)
					f.add("%budget", 100*float64(last)/(calls*took.Seconds()/per.Seconds()))
					f.add("429s", float64(limited(journal)))
				}
				f.report(b)
			})
		}
	}
}

// BenchmarkPaceItems: the rate of items under a backlog, after the burst that
// the spread allows in the beginning.
func BenchmarkPaceItems(b *testing.B) {
	const rate = 400
	for _, workers := range fleets() {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			f := figures{}
			for b.Loop() {
				journal := underBacklog(b, emulator.Limit{}, workers, size(12, 3)*rate, func(c *worker.Config) {
					c.Projects[0].Spread.Rate = rate
				})
				first := 2 * rate / tasks.MaxTagsPerCall // the burst is a second's worth
				items := 0
				for _, c := range journal[first : len(journal)-1] {
					items += len(c.Items)
				}
				took := journal[len(journal)-1].Start.Sub(journal[first].Start)
				f.add("%spread", 100*float64(items)/(rate*took.Seconds()))
			}
			f.report(b)
		})
	}
}

// fleets is how many workers share a budget or a spread.
func fleets() []int { return size([]int{1, 3}, []int{3}) }

// underBacklog purges tags by several workers, each with a client of its own,
// all asked for before these start, and returns the calls by when they started.
func underBacklog(b *testing.B, limit emulator.Limit, workers, tags int, change func(*worker.Config)) []emulator.Call {
	r := newRig(b, emulator.Config{Limit: limit})
	defer r.close()
	asked := make([]string, tags)
	for i := range asked {
		asked[i] = tagOf(i)
	}
	r.purge(asked...)
	for range workers {
		r.worker(change)
	}
	journal := r.awaitCalls(tags, tasks.MaxTagsPerCall)
	byStart(journal)
	return journal
}
