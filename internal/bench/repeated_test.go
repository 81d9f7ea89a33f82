package bench

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/history"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker"
)

// BenchmarkRepeatedTags: single-tag requests over few tags, evenly over some
// seconds, against an API whose limit is the budget. The obvious program makes a
// call a request by its nature, so it is not run: x-fewer-calls is the ratio.
func BenchmarkRepeatedTags(b *testing.B) {
	requests, over := size(50_000, 5000), size(10*time.Second, time.Second)
	const tags = 500
	budget := worker.Budget{Calls: 20, Per: time.Second, InFlight: 4}
	f := figures{}
	for b.Loop() {
		r := newRig(b, emulator.Config{Limit: emulator.Limit{Calls: budget.Calls, Per: budget.Per}})
		r.worker(func(c *worker.Config) { c.Accounts[0].Budget = budget })
		time.Sleep(settle)

		var mu sync.Mutex
		var asked []history.Request
		start := time.Now()
		produce(requests, func(i int) {
			time.Sleep(time.Until(start.Add(over * time.Duration(i) / time.Duration(requests))))
			at := time.Now()
			p := r.purge(tagOf(i * 7919 % tags))
			records := history.Requests(p, at, time.Now())
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, records...)
		})
		produced := time.Since(start)
		r.awaitQuiet()

		journal := r.api.Journal()
		report := history.Check(asked, callsOf(journal), nil)
		require.Empty(b, report.Lost)
		require.Empty(b, report.Broken)
		require.Zero(b, limited(journal))
		took := end(journal).Sub(start)
		f.add("requests/s", float64(requests)/produced.Seconds())
		f.add("calls/budget", float64(len(journal))/(float64(budget.Calls)*took.Seconds()/budget.Per.Seconds()))
		f.add("x-fewer-calls", float64(requests)/float64(len(journal)))
		f.add("lost", float64(len(report.Lost)))
		r.close()
	}
	f.report(b)
}

// awaitQuiet waits until nothing waits and nothing is under way.
func (r *rig) awaitQuiet() {
	r.await("nothing is pending", func() bool {
		time.Sleep(50 * time.Millisecond)
		return r.queued() == 0 && r.pending() == 0 && r.api.Stats().InFlight == 0
	})
}

func callsOf(journal []emulator.Call) []history.Call {
	calls := make([]history.Call, len(journal))
	for i, c := range journal {
		calls[i] = history.Call{
			Family: history.Family{Project: c.Project, Kind: tasks.Tag, Operation: c.Operation, Target: c.Target},
			Items:  c.Items, Start: c.Start, End: c.End, OK: c.Applied, Status: c.Status,
		}
	}
	return calls
}
