package lanes

import (
	"cmp"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/tasks"
)

// fleet drives a simulated rig as a number of workers would: each claims by the
// order of the pacer and keeps its call under way for as long as it takes.
type fleet struct {
	*rig
	workers int
	takes   func() time.Duration // how long a call lasts
	calls   []call
	ends    []time.Time // of the calls under way
	under   []Batch
}

// call is one call as the API sees it.
type call struct {
	Batch
	at time.Time
}

// run lets the fleet work for d.
func (f *fleet) run(d time.Duration) {
	f.t.Helper()
	end := f.time().Add(d)
	for now := f.time(); now.Before(end); now = f.time() {
		next := end
		for len(f.under) < f.workers {
			wait, claimed := f.claimOne()
			if !claimed {
				next = earlier(next, now.Add(max(wait, time.Millisecond)))
				break
			}
		}
		for _, e := range f.ends {
			next = earlier(next, e)
		}
		f.pass(next.Sub(now))
		f.finishEnded()
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func (f *fleet) finishEnded() {
	now := f.time()
	for i, end := range slices.Backward(f.ends) {
		if !end.After(now) {
			f.finish(f.under[i], true)
			f.under, f.ends = slices.Delete(f.under, i, i+1), slices.Delete(f.ends, i, i+1)
		}
	}
}

// claimOne answers whether a call was begun, or for how long none may be.
func (f *fleet) claimOne() (time.Duration, bool) {
	view := f.peek()
	wait := time.Hour
	if !view.Next.IsZero() {
		wait = view.Next.Sub(view.Now)
	}
	for _, lane := range inOrder(view) {
		got := f.tryClaim(lane)
		if got.Batch != nil {
			now := f.time()
			f.calls = append(f.calls, call{*got.Batch, now})
			f.under, f.ends = append(f.under, *got.Batch), append(f.ends, now.Add(f.takes()))
			return 0, true
		}
		if got.Refused != RefusedEmpty && got.Wait < wait {
			wait = got.Wait
		}
		if got.Refused.OfAccount() {
			break
		}
	}
	return wait, false
}

// inOrder is the pacer's order in short: urgent first, then fair between projects.
func inOrder(view View) []tasks.Lane {
	ready := slices.Clone(view.Ready)
	slices.SortStableFunc(ready, func(a, b Ready) int {
		return cmp.Or(
			cmp.Compare(rank(a.Lane.Priority), rank(b.Lane.Priority)),
			a.ProjectServed.Compare(b.ProjectServed), a.Since.Compare(b.Since),
		)
	})
	lanes := make([]tasks.Lane, len(ready))
	for i, r := range ready {
		lanes[i] = r.Lane
	}
	return lanes
}

// fullest is the most calls, or what weigh says of them, in any window.
func (f *fleet) fullest(per time.Duration, weigh func(call) int) int {
	f.t.Helper()
	require.True(f.t, slices.IsSortedFunc(f.calls, func(a, b call) int { return a.at.Compare(b.at) }))
	most, sum, from := 0, 0, 0
	for _, c := range f.calls {
		sum += weigh(c)
		for ; !f.calls[from].at.After(c.at.Add(-per)); from++ {
			sum -= weigh(f.calls[from])
		}
		most = max(most, sum)
	}
	return most
}

func one(call) int       { return 1 }
func itemsOf(c call) int { return len(c.Items) }
