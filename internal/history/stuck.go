package history

import (
	"fmt"
	"slices"
	"sort"
	"time"
)

// Stall is an item that could have been called and was not.
type Stall struct {
	Request string
	Family
	Item string
	// Due is when it was due, or could go again after a call that failed.
	Due time.Time
	// Since and Until are the stretch in which nothing kept it and no call took it.
	Since, Until time.Time
	// Why says for people what makes that certain.
	Why string
}

// String is the stall in one line.
func (s Stall) String() string {
	return fmt.Sprintf("%s %q of %s (%s %s, request %s): %s", s.Kind, s.Item, s.Project, s.Operation, s.Target, s.Request, s.Why)
}

// Stuck says what did not go although it could: items that were due, with the budget free
// and nothing in their way, that had no call within terms.Bound; and items that calls for
// others passed more than terms.Passes times. It names an item once, in the order of the
// requests, for the first stretch in which it was stuck.
//
// A program may be slow. So the clock of an item begins anew with each call of its project
// that held something that had waited as long, or less by no more than the bound: whoever
// is served in turn moves. What nothing moves towards is stuck. Stuck changes nothing that
// it is given.
func Stuck(requests []Request, calls []Call, letters []Letter, terms Terms, rules ...Rule) []Stall {
	calls = slices.Clone(calls)
	slices.SortStableFunc(calls, func(a, b Call) int { return a.Start.Compare(b.Start) })
	j := judge{Terms: &terms, calls: calls, projects: map[string][]turn{}, barredBy: map[lane][]stretch{}, keptBy: map[lane][]stretch{}}
	all := waits(requests, calls, newGraveyard(letters), &terms, rules)
	j.readTurns(all)
	var found []Stall
	named := map[key]bool{}
	for i := range all {
		w := &all[i]
		if named[w.key] || w.length() <= 0 {
			continue
		}
		if stall, ok := j.judge(w); ok {
			named[w.key] = true
			found = append(found, stall)
		}
	}
	return found
}

// judge holds waits against the terms.
type judge struct {
	*Terms
	calls            []Call            // by start
	turns            []turn            // of all projects, by start
	projects         map[string][]turn // the same by project
	barredBy, keptBy map[lane][]stretch
}

// lane is what items are kept back by.
type lane struct {
	project string
	urgent  bool
}

// turn is a call as those see it who wait.
type turn struct {
	at      time.Time
	project string
	// since is when the item of it that waited the longest began to wait.
	since  time.Time
	urgent bool
}

func (j *judge) readTurns(all []wait) {
	since, urgent := map[*Call]time.Time{}, map[*Call]bool{}
	for i := range all {
		w := &all[i]
		if w.call == nil {
			continue
		}
		from := earlier(w.first, w.to)
		if first, ok := since[w.call]; !ok || from.Before(first) {
			since[w.call] = from
		}
		urgent[w.call] = urgent[w.call] || w.urgent
	}
	for i := range j.calls {
		c := &j.calls[i]
		t := turn{c.Start, c.Project, c.Start, urgent[c]}
		if from, ok := since[c]; ok {
			t.since = from
		}
		j.turns = append(j.turns, t)
		j.projects[c.Project] = append(j.projects[c.Project], t)
	}
}

// judge goes through the stretches of a wait in which nothing moved towards its item.
func (j *judge) judge(w *wait) (Stall, bool) {
	from := w.from
	for _, t := range during(j.projects[w.Project], w.stretch) {
		if t.since.After(w.from.Add(j.Bound)) {
			continue // a younger one
		}
		if stall, ok := j.stall(w, stretch{from, t.at}); ok {
			return stall, true
		}
		from = t.at
	}
	return j.stall(w, stretch{from, w.to})
}

// stall judges one stretch in which nothing moved towards the item.
func (j *judge) stall(w *wait, still stretch) (Stall, bool) {
	s := Stall{Request: w.request, Family: w.Family, Item: w.item, Due: w.from}
	if j.Bound > 0 && still.length() > j.Bound {
		for _, free := range without(still, j.barredFor(w)) {
			if free.length() > j.Bound {
				s.Since, s.Until = free.from, free.to
				s.Why = j.explain(w, free)
				return s, true
			}
		}
	}
	if j.Passes == 0 || w.urgent || len(during(j.turns, still)) <= j.Passes {
		return s, false
	}
	for _, awake := range without(still, j.keptFor(w)) {
		younger, others := j.passed(w, awake)
		switch {
		case younger > j.Passes:
			s.Why = fmt.Sprintf("%s; from %s to %s %d calls of its project went to items that had waited less, the bound is %d",
				w.due(), clock(awake.from), clock(awake.to), younger, j.Passes)
		case others > j.Passes:
			s.Why = fmt.Sprintf("%s; from %s to %s its project had no call while others had %d in a row, the bound is %d",
				w.due(), clock(awake.from), clock(awake.to), others, j.Passes)
		default:
			continue
		}
		s.Since, s.Until = awake.from, awake.to
		return s, true
	}
	return s, false
}

// passed counts the calls of a stretch that passed an item: those of its own project, and
// the most of other projects while its own had none.
func (j *judge) passed(w *wait, in stretch) (younger, others int) {
	row := 0
	for _, t := range during(j.turns, in) {
		switch {
		case t.project == w.Project:
			row = 0
			if !t.urgent && !t.at.Equal(in.from) {
				younger++
			}
		case !t.urgent:
			row++
			others = max(others, row)
		}
	}
	return younger, others
}

// explain says since when an item could go, and what makes that certain.
func (j *judge) explain(w *wait, free stretch) string {
	most, underWay := 0, 0
	for i := range j.calls {
		c := &j.calls[i]
		if c.Start.After(free.from) && c.Start.Before(free.to) {
			most++
		}
		if c.Start.Before(free.to) && c.End.After(free.to) {
			underWay++
		}
	}
	budget := "no budget bounds it"
	if j.Calls > 0 {
		budget = fmt.Sprintf("never %d of them in %s", j.Calls, j.Per)
	}
	return fmt.Sprintf("%s; from %s to %s (%s) it could go: %d calls began (%s) and %d were under way at the end, no pause, hold or spread kept it, "+
		"and no call held it or what waits before it; the bound is %s",
		w.due(), clock(free.from), clock(free.to), free.length().Round(time.Millisecond), most, budget, underWay, j.Bound)
}

// due says when an item was due, or could go again.
func (w *wait) due() string {
	if w.failed.IsZero() {
		return "due at " + clock(w.from)
	}
	return fmt.Sprintf("its call failed at %s and could go again at %s", clock(w.failed), clock(w.from))
}

func clock(t time.Time) string { return t.Format("15:04:05.000") }

// barredFor and keptFor are the stretches of the item of a wait.
func (j *judge) barredFor(w *wait) []stretch { return j.stretches(w, j.barredBy, j.barred) }
func (j *judge) keptFor(w *wait) []stretch   { return j.stretches(w, j.keptBy, j.kept) }

func (j *judge) stretches(w *wait, known map[lane][]stretch, read func([]Call, lane) []stretch) []stretch {
	l := lane{w.Project, w.urgent}
	all, ok := known[l]
	if !ok {
		all = read(j.calls, l)
		known[l] = all
	}
	return all
}

// during are the turns that began within a stretch.
func during(turns []turn, s stretch) []turn {
	from := sort.Search(len(turns), func(i int) bool { return !turns[i].at.Before(s.from) })
	to := sort.Search(len(turns), func(i int) bool { return !turns[i].at.Before(s.to) })
	if to < from {
		return nil
	}
	return turns[from:to]
}
