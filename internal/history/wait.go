package history

import (
	"slices"
	"sort"
	"time"

	"github.com/edgepurge/edgepurge/tasks"
)

// wait is a stretch in which an item waited for a call: from when it was due, or could be
// called again, until a call began.
type wait struct {
	key
	stretch
	request string
	urgent  bool
	// first is when the item began to wait, before any call.
	first time.Time
	// call ended it; nil: the records did.
	call *Call
	// failed is the end of the call before, which failed; zero: there was none.
	failed time.Time
}

// waits lists how long the items of all requests waited for each call that held them.
func waits(requests []Request, sorted []Call, dead graveyard, t *Terms, rules []Rule) []wait {
	tries, own := attempts(sorted), t.ownExcuses()
	var all []wait
	for i := range requests {
		r := &requests[i]
		for _, item := range r.Items {
			k := key{r.Family, item}
			keys := append([]key{k}, instead(k, rules)...)
			all = append(all, t.waitsOf(r, k, tries.since(keys, r.due()), own.of(&k, r.ID), dead.holds(k, r.ID, r.due()))...)
		}
	}
	return all
}

// waitsOf goes through the calls that held one item of a request, in their order.
func (t *Terms) waitsOf(r *Request, k key, calls []*Call, own []stretch, died bool) []wait {
	w := wait{key: k, request: r.ID, urgent: r.Priority == tasks.Urgent}
	w.from = known(later(r.due(), r.Accepted), own)
	if r.Priority == tasks.Bulk {
		w.from = w.from.Add(t.Patience)
	}
	w.first = w.from
	var all []wait
	for _, c := range calls {
		w.to, w.call = c.Start, c
		all = append(all, w) // also if it is not positive: the call was made for it
		if c.OK {
			return all
		}
		w.failed, w.from = c.End, known(later(w.from, c.End.Add(t.Backoff)), own)
	}
	if died {
		return all
	}
	w.to, w.call = t.Until, nil
	return append(all, w)
}

// ownExcuses are the excuses of requests and items, by what they name.
type ownExcuses struct {
	requests, items map[string][]*Excuse
	until           time.Time
}

func (t *Terms) ownExcuses() ownExcuses {
	own := ownExcuses{map[string][]*Excuse{}, map[string][]*Excuse{}, t.Until}
	for i := range t.Excuses {
		switch e := &t.Excuses[i]; {
		case e.Request != "":
			own.requests[e.Request] = append(own.requests[e.Request], e)
		case e.Item != "":
			own.items[e.Item] = append(own.items[e.Item], e)
		}
	}
	return own
}

// of are those of an item of a request, sorted and merged.
func (o ownExcuses) of(k *key, request string) []stretch {
	var all []stretch
	for _, e := range slices.Concat(o.requests[request], o.items[k.item]) {
		if (e.Project == "" || e.Project == k.Project) && (e.Item == "" || e.Item == k.item) {
			all = append(all, e.stretch(o.until))
		}
	}
	return union(all)
}

// known is when an item could go that could go at a time, but for its own excuses.
func known(from time.Time, own []stretch) time.Time {
	for _, s := range own {
		if !from.Before(s.from) && from.Before(s.to) {
			from = s.to
		}
	}
	return from
}

// tries is all calls with an item, by start.
type tries map[key][]*Call

func attempts(sorted []Call) tries {
	all := tries{}
	for i := range sorted {
		for _, item := range sorted[i].Items {
			k := key{sorted[i].Family, item}
			all[k] = append(all[k], &sorted[i])
		}
	}
	return all
}

// since lists the calls with one of the items that began at due or later, by start.
func (t tries) since(keys []key, due time.Time) []*Call {
	var found []*Call
	for _, k := range keys {
		calls := t[k]
		found = append(found, calls[sort.Search(len(calls), func(i int) bool { return !calls[i].Start.Before(due) }):]...)
	}
	if len(keys) > 1 {
		sort.SliceStable(found, func(i, j int) bool { return found[i].Start.Before(found[j].Start) })
	}
	return found
}
