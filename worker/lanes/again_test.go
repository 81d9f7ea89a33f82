package lanes

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// calls lets time run to the end and returns when each call with the item would
// start, in seconds after the beginning, every call being made as soon as it may.
func (r *rig) calls(item string) []int {
	r.t.Helper()
	starts := []int{}
	for range 1000 {
		for _, ready := range r.peek().Ready {
			got := r.tryClaim(ready.Lane)
			if got.Batch == nil {
				continue
			}
			for _, i := range got.Batch.Items {
				if i == item {
					starts = append(starts, int(r.time().Sub(epoch)/time.Second))
				}
			}
			r.finish(*got.Batch, true)
		}
		view := r.peek()
		if view.Next.IsZero() {
			break
		}
		r.pass(max(view.Next.Sub(view.Now), time.Millisecond))
	}
	return starts
}

// wanted is a request for the item "a", its times in seconds after the beginning.
type wanted struct{ settle, notBefore, rebound int }

func TestAgain(t *testing.T) {
	const day = 86400
	for _, c := range []struct {
		name   string
		wishes []wanted
		want   []int
		last   Absorbed
	}{
		{"once", []wanted{{}}, []int{0}, Absorbed{Added: 1}},
		{"a later due is kept", []wanted{{}, {settle: 5}}, []int{0, 5}, Absorbed{Again: 1}},
		{"the later due twice", []wanted{{}, {settle: 5}, {settle: 5}}, []int{0, 5}, Absorbed{Duplicate: 1}},
		{"embargo, then now", []wanted{{notBefore: day}, {}}, []int{0, day}, Absorbed{Again: 1}},
		{"embargo, then an earlier one", []wanted{{notBefore: day}, {notBefore: 60}}, []int{60, day}, Absorbed{Again: 1}},
		{"several embargoes", []wanted{{notBefore: day}, {notBefore: 3 * day}, {notBefore: 2 * day}, {}, {notBefore: day}}, []int{0, day, 2 * day, 3 * day}, Absorbed{Duplicate: 1}},
		{"embargo that is over when it is asked for", []wanted{{}, {notBefore: -5}}, []int{0}, Absorbed{Duplicate: 1}},
		{"rebound", []wanted{{rebound: 30}}, []int{0, 30}, Absorbed{Added: 1}},
		{"the longest rebound", []wanted{{rebound: 30}, {rebound: 60}, {rebound: 10}}, []int{0, 60}, Absorbed{Duplicate: 1}},
		{"rebound of a duplicate", []wanted{{}, {rebound: 60}}, []int{0, 60}, Absorbed{Again: 1}},
		{"rebound after an embargo", []wanted{{notBefore: day, rebound: 60}}, []int{day, day + 60}, Absorbed{Added: 1}},
		// The rebound belongs to the purge it was asked for with, not to the first that comes.
		{"rebound of the later purge", []wanted{{}, {notBefore: day, rebound: 60}}, []int{0, day, day + 60}, Absorbed{Again: 1}},
		{"rebound of the pushed back purge", []wanted{{notBefore: day, rebound: 60}, {}}, []int{0, day, day + 60}, Absorbed{Again: 1}},
		{"rebound of both", []wanted{{notBefore: day, rebound: 60}, {rebound: 10}}, []int{0, 10, day, day + 60}, Absorbed{Again: 1}},
		{"rebound of the same later purge", []wanted{{}, {notBefore: day}, {notBefore: day, rebound: 9}}, []int{0, day, day + 9}, Absorbed{Again: 1}},
		{"rebound over an embargo", []wanted{{rebound: 2 * day}, {notBefore: day}}, []int{0, day, 2 * day}, Absorbed{Again: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := simulated(t)
			var last Absorbed
			for _, w := range c.wishes {
				a := Absorption{Lane: normal, Items: []string{"a"}, Settle: seconds(w.settle), Rebound: seconds(w.rebound)}
				if w.notBefore != 0 {
					a.NotBefore = epoch.Add(seconds(w.notBefore))
				}
				last = r.ask(a)
			}
			assert.Equal(t, c.last, last)
			assert.Equal(t, c.want, r.calls("a"))
			assert.Empty(t, r.again(normal))
		})
	}
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// One call that starts after all of them covers them.
func TestAgain_OneLateCallCoversWhatIsDue(t *testing.T) {
	r := simulated(t)
	for _, settle := range []int{0, 5, 10, 60} {
		r.ask(Absorption{Lane: normal, Items: []string{"a"}, Settle: seconds(settle)})
	}
	r.ask(Absorption{Lane: normal, Items: []string{"a"}, NotBefore: epoch.Add(seconds(10)), Rebound: seconds(30)})
	r.pass(seconds(20))
	assert.Equal(t, []int{20, 50, 60}, r.calls("a"), "the rebound of a covered purge counts from the call")
}

// A settle time that ends within the second is put off to its end, so that an
// item asked for without end keeps few later purges.
func TestAgain_BusyItem(t *testing.T) {
	r := simulated(t)
	r.pace.Linger = time.Hour
	for range 150 {
		r.ask(Absorption{Lane: normal, Items: []string{"a"}, Settle: seconds(2)})
		r.pass(10 * time.Millisecond)
	}
	assert.LessOrEqual(t, len(r.again(normal)["a"]), 4*len("1800000000000,"))
}

func TestAgain_IsBounded(t *testing.T) {
	r := simulated(t)
	r.absorb(normal, "a")
	for i := 1; i <= 110; i++ {
		r.ask(Absorption{Lane: normal, Items: []string{"a"}, NotBefore: epoch.Add(seconds(60 * i)), Rebound: seconds(i % 2 * 7)})
	}
	starts := r.calls("a")
	assert.LessOrEqual(t, len(starts), 1+64+64, "at most 64 moments and a rebound each; unbounded it were 1+110+55")
	for i := 1; i <= 110; i++ {
		next := slices.IndexFunc(starts, func(s int) bool { return s >= 60*i })
		require.GreaterOrEqual(t, next, 0)
		assert.Less(t, starts[next]-60*i, 60*7, "how late the purge of moment %d is", i)
	}
}

// Each member of a batch goes back with what it alone still waits for.
func TestAgain_ManyItemsOfOneBatch(t *testing.T) {
	r := simulated(t)
	r.pace.MaxItems = 3000
	r.absorb(normal, numbered(2500)...)
	for i := range 2500 {
		if i%100 == 0 {
			r.ask(Absorption{Lane: normal, Items: []string{fmt.Sprintf("post-%04d", i)}, Settle: seconds(i + 1)})
		}
	}
	require.Len(t, r.claim(normal).Items, 2500)
	left := r.pending(normal)
	require.Len(t, left, 25)
	assert.Equal(t, epoch.Add(seconds(2401)).UnixMilli(), left["post-2400"])
}

func TestAgain_OnBothServers(t *testing.T) {
	each(t, func(r *rig) {
		r.ask(Absorption{Lane: normal, Items: []string{"a", "b"}, Rebound: 20 * time.Millisecond})
		r.ask(Absorption{Lane: normal, Items: []string{"b"}, Settle: time.Hour, Rebound: time.Minute})
		b := r.claim(normal)
		assert.ElementsMatch(r.t, []string{"a", "b"}, b.Items)
		due := r.pending(normal)
		assert.Equal(r.t, b.ClaimedAt.UnixMilli()+20, due["a"])
		assert.Equal(r.t, due["a"], due["b"])
		assert.Regexp(r.t, `^\d{10}000\+60000$`, r.again(normal)["b"])
		r.pass(21 * time.Millisecond)
		assert.ElementsMatch(r.t, []string{"a", "b"}, r.claim(normal).Items)
		assert.Equal(r.t, []string{"b"}, r.items(normal))
		assert.Equal(r.t, map[string]string{"b": "+60000"}, r.again(normal))
	})
}
