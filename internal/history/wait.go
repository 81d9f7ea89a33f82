package history

import (
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
	tries := attempts(sorted)
	var all []wait
	for i := range requests {
		r := &requests[i]
		for _, item := range r.Items {
			k := key{r.Family, item}
			keys := append([]key{k}, instead(k, rules)...)
			all = append(all, t.waitsOf(r, k, tries.since(keys, r.due()), dead.holds(k, r.ID, r.due()))...)
		}
	}
	return all
}

// waitsOf goes through the calls that held one item of a request, in their order.
func (t *Terms) waitsOf(r *Request, k key, calls []*Call, died bool) []wait {
	w := wait{key: k, request: r.ID, urgent: r.Priority == tasks.Urgent}
	w.from = later(r.due(), r.Accepted)
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
		w.failed, w.from = c.End, later(w.from, c.End.Add(t.Backoff))
	}
	if died {
		return all
	}
	w.to, w.call = t.Until, nil
	return append(all, w)
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
