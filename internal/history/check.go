package history

import (
	"maps"
	"slices"
	"sort"
	"time"
)

// Report is what Check found.
type Report struct {
	// Requests counts ids. Asked counts the items of all of them, repeats included;
	// each is one of Purged, Dead and Lost.
	Requests, Asked int
	// Purged items have their call. Collapsed is how many of them have one only with what
	// a rule put in their place.
	Purged, Collapsed int
	// Dead items are in a dead letter and have no call.
	Dead int
	// Lost items have neither, in the order of the requests. While a run goes
	// on, what still waits is among them.
	Lost []Loss
	// Waits says, by id, how long after Accepted the last item of a request was
	// purged. Requests of which an item was not purged are missing.
	Waits map[string]time.Duration
	// Use says what the calls were spent on.
	Use
	// Broken is the calls that broke a limit of the API.
	Broken []Breach
}

// Loss is one item of one request that was lost.
type Loss struct {
	Request string
	Family
	Item string
	// Due is when its call should have started at the earliest.
	Due time.Time
}

// Dropped is how many items needed no sending of their own because a twin
// waited: those asked for less those packed into calls.
func (r *Report) Dropped() int { return max(0, r.Asked-r.Packed) }

// key is one item as a worker tells items apart.
type key struct {
	Family
	item string
}

// Check judges a run of one account, by the collapse rules that it had. It changes
// nothing that it is given, and takes O(n log n) in the number of items in all.
func Check(requests []Request, calls []Call, letters []Letter, rules ...Rule) Report {
	calls = slices.Clone(calls)
	slices.SortStableFunc(calls, func(a, b Call) int { return a.Start.Compare(b.Start) })
	purged := successes(calls)
	dead := newGraveyard(letters)

	report := Report{Use: use(calls), Broken: breaches(calls), Waits: map[string]time.Duration{}}
	whole := map[string]bool{} // by id: every item was purged so far
	for i := range requests {
		r := &requests[i]
		if _, known := whole[r.ID]; !known {
			whole[r.ID] = true
		}
		due := r.due()
		for _, item := range r.Items {
			k := key{r.Family, item}
			report.Asked++
			end, ok := purged.firstSince(k, due)
			var others []key
			if !ok && len(rules) > 0 {
				others = instead(k, rules)
				end, ok = purged.firstOf(others, due)
				report.Collapsed += count(ok)
			}
			if ok {
				report.Purged++
				report.Waits[r.ID] = max(report.Waits[r.ID], end.Sub(r.Accepted))
				continue
			}
			whole[r.ID] = false
			if dead.holds(k, r.ID, due) || slices.ContainsFunc(others, func(o key) bool { return dead.holds(o, "", due) }) {
				report.Dead++
				continue
			}
			report.Lost = append(report.Lost, Loss{Request: r.ID, Family: r.Family, Item: item, Due: due})
		}
	}
	report.Requests = len(whole)
	maps.DeleteFunc(report.Waits, func(id string, _ time.Duration) bool { return !whole[id] })
	return report
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

// span is when a successful call went.
type span struct{ start, end time.Time }

// timeline is the successful calls of each item, by start.
type timeline map[key][]span

func successes(sorted []Call) timeline {
	t := timeline{}
	for i := range sorted {
		c := &sorted[i]
		if !c.OK {
			continue
		}
		for _, item := range c.Items {
			k := key{c.Family, item}
			t[k] = append(t[k], span{c.Start, c.End})
		}
	}
	return t
}

// firstSince is the end of the first call with the item that started at due or later.
func (t timeline) firstSince(k key, due time.Time) (time.Time, bool) {
	spans := t[k]
	i := sort.Search(len(spans), func(i int) bool { return !spans[i].start.Before(due) })
	if i == len(spans) {
		return time.Time{}, false
	}
	return spans[i].end, true
}

// firstOf is the earliest end of those calls, one for each key.
func (t timeline) firstOf(keys []key, due time.Time) (first time.Time, found bool) {
	for _, k := range keys {
		if end, ok := t.firstSince(k, due); ok && (!found || end.Before(first)) {
			first, found = end, true
		}
	}
	return first, found
}

// graveyard is the dead letters: of calls the newest of each item, since it
// excuses whatever an older one does; of requests each.
type graveyard struct {
	calls    map[key]time.Time
	requests map[requested]bool
}

// requested is an item of one certain request.
type requested struct {
	key
	id string
}

func newGraveyard(letters []Letter) graveyard {
	g := graveyard{map[key]time.Time{}, map[requested]bool{}}
	for _, l := range letters {
		for _, item := range l.Items {
			k := key{l.Family, item}
			if l.Request != "" {
				g.requests[requested{k, l.Request}] = true
				continue
			}
			if at, ok := g.calls[k]; !ok || l.At.Add(l.Grain).After(at) {
				g.calls[k] = l.At.Add(l.Grain)
			}
		}
	}
	return g
}

func (g graveyard) holds(k key, id string, due time.Time) bool {
	at, ok := g.calls[k]
	return ok && !at.Before(due) || g.requests[requested{k, id}]
}
