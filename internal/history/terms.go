package history

import (
	"cmp"
	"net/http"
	"slices"
	"time"
)

// Terms are what a run was bound by: what it was allowed to do, and when something kept
// it from working. Stuck holds the waits of its items against them. The zero value has no
// bound; see each field.
type Terms struct {
	// Until is when the records end: what has no call by then waited until then.
	Until time.Time
	// Bound is how long an item that could go may wait for its call; linger is part of
	// it. 0: Stuck finds nothing of this kind.
	Bound time.Duration
	// Calls in any Per are the budget, of which Reserve are kept for urgent items. 0: unlimited.
	Calls, Reserve int
	Per            time.Duration
	// InFlight bounds the calls under way. 0: unlimited.
	InFlight int
	// Backoff is how long after a call that failed its items may wait before they could go
	// again.
	Backoff time.Duration
	// Pause is how long a 429 may pause the account.
	Pause time.Duration
	// Passes is how many calls in a row may go to others while an item could go: calls of
	// other projects while its own has none, and calls of its project with nothing that waited
	// as long. Calls with urgent items do not count. 0: any number.
	Passes int
	// Patience is how long bulk items wait behind the others before they compete.
	Patience time.Duration
	Spreads  []Spread
	Excuses  []Excuse
}

// Spread is how fast the items of a project may go from a moment on.
type Spread struct {
	Project string
	From    time.Time
	// Rate is items a second, of which Burst may go at once after a quiet time. Rate 0: unlimited.
	Rate, Burst float64
}

// Excuse is a stretch in which items need not go. Project, Request and Item narrow it down;
// empty means all. One of a request or an item says that nobody could know of it: its wait
// begins when the excuse ends.
type Excuse struct {
	From time.Time
	To   time.Time // zero: until the end
	// Project, Request and Item are whom it excuses.
	Project, Request, Item string
}

// isOf reports whether the excuse is one of all items of a project.
func (e *Excuse) isOf(project string) bool {
	return e.Request == "" && e.Item == "" && (e.Project == "" || e.Project == project)
}

func (e *Excuse) stretch(until time.Time) stretch {
	if e.To.IsZero() {
		return stretch{e.From, until}
	}
	return stretch{e.From, e.To}
}

// stretch is a stretch of time.
type stretch struct{ from, to time.Time }

func (s stretch) length() time.Duration { return s.to.Sub(s.from) }

// union merges stretches and sorts them.
func union(all []stretch) []stretch {
	slices.SortFunc(all, func(a, b stretch) int { return a.from.Compare(b.from) })
	var merged []stretch
	for _, s := range all {
		switch n := len(merged); {
		case s.length() <= 0:
		case n > 0 && !s.from.After(merged[n-1].to):
			merged[n-1].to = later(merged[n-1].to, s.to)
		default:
			merged = append(merged, s)
		}
	}
	return merged
}

// without is what stretches, of which none overlaps another, leave of one.
func without(whole stretch, blocked []stretch) []stretch {
	var free []stretch
	at, _ := slices.BinarySearchFunc(blocked, whole.from, func(s stretch, from time.Time) int { return s.to.Compare(from) })
	for ; at < len(blocked) && blocked[at].from.Before(whole.to); at++ {
		if whole.from.Before(blocked[at].from) {
			free = append(free, stretch{whole.from, blocked[at].from})
		}
		whole.from = later(whole.from, blocked[at].to)
	}
	if whole.length() > 0 {
		free = append(free, whole)
	}
	return free
}

// kept is when something kept the items of a project, sorted and merged: an excuse or its
// spread, which urgent ones pass over.
func (t *Terms) kept(calls []Call, l lane) []stretch {
	var all []stretch
	for i := range t.Excuses {
		if t.Excuses[i].isOf(l.project) {
			all = append(all, t.Excuses[i].stretch(t.Until))
		}
	}
	if !l.urgent {
		all = append(all, t.inDebt(calls, l.project)...)
	}
	return union(all)
}

// barred is kept, and when the account could make no call: its budget was spent, too many
// calls were under way, or a 429 had paused it.
func (t *Terms) barred(calls []Call, l lane) []stretch {
	all := t.kept(calls, l)
	for i := range calls {
		if calls[i].Status == http.StatusTooManyRequests {
			all = append(all, stretch{calls[i].Start, calls[i].End.Add(t.Pause)})
		}
	}
	if t.Calls > 0 {
		most := t.Calls
		if !l.urgent {
			most -= t.Reserve
		}
		all = append(all, crowded(calls, t.Per, most)...)
	}
	if t.InFlight > 0 {
		all = append(all, crowded(calls, 0, t.InFlight)...)
	}
	return union(all)
}

// crowded is when at least most calls counted, each from its start until a time after its end.
func crowded(calls []Call, after time.Duration, most int) []stretch {
	type edge struct {
		at time.Time
		by int
	}
	edges := make([]edge, 0, 2*len(calls))
	for i := range calls {
		edges = append(edges, edge{calls[i].Start, 1}, edge{calls[i].End.Add(after), -1})
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Or(a.at.Compare(b.at), a.by-b.by) })
	var all []stretch
	var from time.Time
	n := 0
	for _, e := range edges {
		n += e.by
		switch {
		case e.by > 0 && n == most:
			from = e.at
		case e.by < 0 && n == most-1:
			all = append(all, stretch{from, e.at})
		}
	}
	return all
}

// inDebt is when a project's spread had less than an item left.
func (t *Terms) inDebt(calls []Call, project string) []stretch {
	spreads := slices.DeleteFunc(slices.Clone(t.Spreads), func(s Spread) bool { return s.Project != project })
	slices.SortFunc(spreads, func(a, b Spread) int { return a.From.Compare(b.From) })
	var all []stretch
	next := 0
	for i, s := range spreads {
		end := t.Until
		if i+1 < len(spreads) {
			end = spreads[i+1].From
		}
		if s.Rate == 0 {
			continue
		}
		burst := max(s.Burst, 1)
		tokens, since := burst, s.From
		for ; next < len(calls) && calls[next].Start.Before(end); next++ {
			c := &calls[next]
			if c.Project != project || c.Start.Before(s.From) {
				continue
			}
			tokens = min(burst, tokens+s.Rate*c.Start.Sub(since).Seconds()) - float64(len(c.Items))
			since = c.Start
			if tokens < 1 {
				paid := since.Add(time.Duration((1 - tokens) / s.Rate * float64(time.Second)))
				all = append(all, stretch{since, earlier(paid, end)})
			}
		}
	}
	return all
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
