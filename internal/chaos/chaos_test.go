package chaos

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/edgepurge/edgepurge/internal/history"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
)

var (
	length    = flag.Duration("chaos.duration", 20*time.Second, "how long the storm lasts")
	seed      = flag.Uint64("chaos.seed", 0, "replay the storm of this seed; 0 draws one")
	fleet     = flag.Int("chaos.workers", 3, "how many workers there are")
	rate      = flag.Float64("chaos.rate", 300, "requests a second")
	faults    = flag.String("chaos.faults", "", "let only the faults go wrong whose names match this `pattern`; they are in schedule_test.go")
	laneCount = flag.Int("chaos.lanes", 300, "how many lanes the first fault of many lanes makes")
	hurry     = flag.Bool("chaos.hurry", true, "pass over waits of minutes: the leases that asynq gave dead workers, the probes of a hold")
)

// TestChaos lets everything go wrong at once, then asks whether the promises
// were kept.
func TestChaos(t *testing.T) {
	t.Parallel()
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("replay with: go test ./internal/chaos -run 'TestChaos$' -v -chaos.seed %d -chaos.duration %s -chaos.workers %d -chaos.rate %g -chaos.faults %q -chaos.lanes %d -chaos.hurry=%t",
		*seed, *length, *fleet, *rate, *faults, *laneCount, *hurry)
	c := usual()
	c.durable = true
	c.project = "shop"
	for _, p := range []string{"blog", "docs", "flood", "lanes"} {
		c.more = append(c.more, paced{p, account, 0})
	}
	c.more = append(c.more, paced{slowProject, account, slowRate})
	s := newSite(t, c)
	w := newStorm(t, s, *fleet)
	n := int(*rate * length.Seconds())
	load := s.produce(t.Context(), 8, n, *rate, func(i int) tasks.Purge { return traffic(*seed, i) })
	w.rage(t.Context(), schedule(*seed, *length, *fleet, chosen(*faults, *hurry)))
	load.end(t)
	w.calm()
	before := time.Now()
	lanes := time.Duration(*laneCount) * 2 * time.Second / time.Duration(s.calls) // a call each
	s.drain(t, time.Minute+asynqLease+lanes, *hurry)
	drained := time.Since(before)

	o := outcome{storm: w, Report: s.check(t), stalls: s.stuck(t), journal: s.api.Journal(), letters: map[string]int{}, drained: drained}
	for _, l := range s.letters(t) {
		o.letters[l.Reason]++
		if l.Reason == "bad_request" {
			assert.Contains(t, o.poison, strings.Join(l.Items(tasks.Tag), ","), "only what is poisonous dies of it")
		}
	}
	t.Logf("\n%s", o)
	o.assertKept(t)
}

// outcome is what the storm left behind.
type outcome struct {
	*storm
	history.Report
	stalls  []history.Stall
	journal []emulator.Call
	letters map[string]int // by reason
	drained time.Duration
}

func (o outcome) assertKept(t *testing.T) {
	t.Helper()
	assert.Equal(t, int(o.ledger.accepted.Load()), o.Requests)
	assert.Empty(t, first(o.Lost, 5), "lost")
	assert.Empty(t, first(o.Broken, 5), "limits broken")
	for _, stall := range first(o.stalls, 5) {
		t.Error("stuck: ", stall)
	}
	assert.Empty(t, first(misfits(o.journal), 5), "calls that the API found malformed")
	assert.LessOrEqual(t, o.peak(), o.calls, "the budget was exceeded")
	assert.Empty(t, first(o.excess(), 5), "429 while the API allowed the budget")
	assert.Subset(t, []string{"forbidden", "bad_request"}, keys(o.letters), "dead letters of another cause")
	assert.LessOrEqual(t, o.letters["forbidden"], o.injected[tokenExpires], "an expired token costs one dead letter")
}

// peak is the most calls that began within any second, refused ones included.
func (o outcome) peak() int {
	return emulator.PeakInWindow(o.journal, time.Second, func(c emulator.Call) bool { return c.Kind != "" })
}

// excess is the calls that were refused as too many outside of a storm of 429.
func (o outcome) excess() []emulator.Call {
	var found []emulator.Call
	for _, c := range o.journal {
		if c.Status == 429 && !o.refused(c.Start) {
			found = append(found, c)
		}
	}
	return found
}

func (o outcome) String() string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(name string, format string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	row("seed", "%d", *seed)
	row("storm", "%s, %d workers, drained in %s", *length, *fleet, o.drained.Round(100*time.Millisecond))
	for _, tr := range traits {
		row(string(tr.kind), "%d", o.injected[tr.kind])
	}
	row("requests", "%d acknowledged, %d tries were not", o.Requests, o.ledger.refused.Load())
	row("items", "%d asked for, %d purged, %d in dead letters", o.Asked, o.Purged, o.Dead)
	row("lost", "%d", len(o.Lost))
	row("stuck", "%d", len(o.stalls))
	row("waits", "%s", o.waits())
	row("calls", "%d: %s", len(o.journal), list(byStatus(o.journal)))
	row("limits broken", "%d", len(o.Broken)+len(misfits(o.journal)))
	row("budget", "%d calls in any second at most, of %d; %d times 429 outside of a storm", o.peak(), o.calls, len(o.excess()))
	row("dead letters", "%s", list(o.letters))
	_ = t.Flush()
	return b.String()
}

// waits sums up how long requests waited for their last item.
func (o outcome) waits() string {
	all := slices.Sorted(maps.Values(o.Waits))
	if len(all) == 0 {
		return "none"
	}
	at := func(part float64) time.Duration {
		return all[int(part*float64(len(all)-1))].Round(10 * time.Millisecond)
	}
	return fmt.Sprintf("%s at the median, 99 %% within %s, the longest %s", at(0.5), at(0.99), at(1))
}

func byStatus(journal []emulator.Call) map[string]int {
	counts := map[string]int{}
	for _, c := range journal {
		status := fmt.Sprint(c.Status)
		if c.Status == 0 {
			status = "no answer"
		}
		counts[status]++
	}
	return counts
}

func keys(m map[string]int) []string {
	all := []string{}
	for k := range m {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}

func list(m map[string]int) string {
	var parts []string
	for _, k := range keys(m) {
		parts = append(parts, fmt.Sprintf("%d %s", m[k], k))
	}
	return strings.Join(parts, ", ")
}
