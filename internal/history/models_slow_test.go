package history_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/edgepurge/edgepurge/internal/history"
	"github.com/edgepurge/edgepurge/tasks"
)

// modelTick is how often a scheduler looks at what it may do.
const modelTick = 100 * time.Millisecond

// scheduler is a purge program with lanes, projects and a budget of five calls a second,
// and the API that it calls, in virtual time: fair and live, but for the flaws that are
// set. It is not the simulated purger: that one loses purges, this one leaves them lying.
type scheduler struct {
	modelRun
	terms history.Terms
	now   time.Time
	dice  *rand.Rand

	asks     []history.Request // what is asked for, by time
	lanes    []*modelLane
	served   map[string]time.Time // by project
	inFlight []*modelCall
	again    []*modelCall // calls that failed, by when they may be tried again
	counts   []time.Time  // calls of the window, by their end; the zero time is under way
	wakes    time.Time    // it sleeps until then
	paused   time.Time
	spread   map[string]time.Time // by project: in debt until then
	calls5xx int

	// What it is like. latency is the API's, every how often it looks, claims how many
	// calls it starts at most in one look, rate the spread of project "slow".
	latency, every time.Duration
	claims         int
	rate           float64
	answer         func(s *scheduler, project string) int // nil: 200
	// event happens once a tick, before all else.
	event func(s *scheduler)

	// The flaws.
	looksAt                                             int // lanes; 0: at all
	newestFirst, keepsOldPace, leaksSlots, neverRetries bool
	forgets                                             int // the n-th request is never taken in
	ignores                                             string
	unreachable                                         bool // its calls reach nobody
}

type modelLane struct {
	id, project string
	priority    tasks.Priority
	items       []modelItem
	ready       time.Time
	blocked     time.Time // by the pace of the time when it was served last
}

type modelItem struct {
	item string
	due  time.Time
}

type modelCall struct {
	lane  *modelLane
	items []modelItem
	ends  time.Time
	start time.Time
	code  int
}

const (
	modelLatency = 200 * time.Millisecond
	modelLength  = 10 * time.Minute
)

// schedule runs a scheduler for ten minutes under the load of the seed: projects "busy" and
// "slow" ask all the time, "quiet" now and then.
func schedule(seed uint64, set func(*scheduler)) *scheduler {
	s := &scheduler{
		now: at(0), dice: rand.New(rand.NewPCG(seed, 7)), latency: modelLatency, every: modelTick, claims: 100,
		served: map[string]time.Time{}, spread: map[string]time.Time{},
		terms: history.Terms{
			Until: at(0).Add(modelLength), Bound: 30 * time.Second, Calls: 5, Per: time.Second, Backoff: 10 * time.Second,
			Passes: 50, Patience: time.Minute, Pause: 20 * time.Second,
		},
	}
	for n := range 600 {
		s.ask(time.Duration(n)*time.Second, "busy", "", fmt.Sprint("b", n), fmt.Sprint("b", n+s.dice.IntN(50)))
	}
	for n := range 19 {
		s.ask(time.Duration(20+30*n)*time.Second, "quiet", "", fmt.Sprint("q", n))
		s.ask(time.Duration(25+30*n)*time.Second, "slow", "", fmt.Sprint("s", n))
	}
	set(s)
	slices.SortStableFunc(s.asks, func(a, b history.Request) int { return a.Asked.Compare(b.Asked) })
	for n := 0; s.now.Before(s.terms.Until); s.now = s.now.Add(modelTick) {
		if s.event != nil {
			s.event(s)
		}
		for ; n < len(s.asks) && !s.asks[n].Asked.After(s.now); n++ {
			s.takeIn(n)
		}
		s.endCalls()
		if s.now.Before(s.wakes) {
			continue
		}
		s.wakes = s.now.Add(s.every)
		s.work()
	}
	for _, c := range s.inFlight {
		c.ends = s.now
	}
	s.endCalls()
	return s
}

func (s *scheduler) ask(after time.Duration, project string, p tasks.Priority, items ...string) {
	f := shop()
	f.Project = project
	at := at(0).Add(after)
	s.asks = append(s.asks, history.Request{
		ID: fmt.Sprint(project, len(s.asks)), Family: f, Items: items, Asked: at, Accepted: at, Priority: p,
	})
}

// manyLanes makes project "busy" ask for many items at once, each in a lane of its own.
func (s *scheduler) manyLanes(after time.Duration, n int) {
	for i := range n {
		s.ask(after, "busy", "", fmt.Sprint("lane", i))
	}
}

func (s *scheduler) takeIn(n int) {
	r := s.asks[n]
	s.requests = append(s.requests, r)
	if n == s.forgets && n > 0 {
		return
	}
	for _, item := range r.Items {
		id := r.Project + string(r.Priority)
		if len(item) > 4 { // lane17
			id += item
		}
		i := slices.IndexFunc(s.lanes, func(l *modelLane) bool { return l.id == id })
		if i < 0 {
			i = len(s.lanes)
			s.lanes = append(s.lanes, &modelLane{id: id, project: r.Project, priority: r.Priority})
		}
		l := s.lanes[i]
		if len(l.items) == 0 {
			l.ready = s.now
		}
		if !slices.ContainsFunc(l.items, func(m modelItem) bool { return m.item == item }) {
			l.items = append(l.items, modelItem{item, s.now})
		}
	}
}

// work starts the calls that may go now.
func (s *scheduler) work() {
	var later []*modelCall
	for _, c := range s.again {
		if c.ends.After(s.now) || !s.mayCall() {
			later = append(later, c)
			continue
		}
		s.call(c.lane, c.items)
	}
	s.again = later
	for range s.claims {
		if !s.mayCall() {
			return
		}
		l := s.pick()
		if l == nil {
			return
		}
		n := min(len(l.items), tasks.MaxTagsPerCall)
		items := slices.Clone(l.items[:n])
		l.items = slices.Clone(l.items[n:])
		l.ready, s.served[l.project] = s.now, s.now.Add(time.Duration(len(s.calls)+len(s.inFlight)))
		if l.project == "slow" && s.rate > 0 {
			l.blocked = s.now.Add(time.Duration(float64(n) / s.rate * float64(time.Second)))
			s.spread[l.project] = l.blocked
		}
		s.call(l, items)
	}
}

// mayCall reports whether budget, calls in flight and pause let a call go.
func (s *scheduler) mayCall() bool {
	s.counts = slices.DeleteFunc(s.counts, func(end time.Time) bool { return !end.IsZero() && !end.Add(s.terms.Per).After(s.now) })
	leaked := 0
	if s.leaksSlots {
		leaked = s.calls5xx
	}
	return len(s.counts)+len(s.inFlight) < s.terms.Calls && !s.now.Before(s.paused) &&
		(s.terms.InFlight == 0 || len(s.inFlight)+leaked < s.terms.InFlight)
}

// pick is the lane that comes next: the project that was served longest ago, and of it the
// lane that waits longest; bulk comes last for a minute.
func (s *scheduler) pick() *modelLane {
	var ready []*modelLane
	for _, l := range s.lanes {
		blocked := s.spread[l.project]
		if s.keepsOldPace {
			blocked = l.blocked
		}
		if len(l.items) > 0 && l.project != s.ignores && !blocked.After(s.now) {
			ready = append(ready, l)
		}
	}
	if s.looksAt > 0 && len(ready) > s.looksAt {
		slices.SortStableFunc(ready, func(a, b *modelLane) int { return a.ready.Compare(b.ready) })
		ready = ready[:s.looksAt]
	}
	if len(ready) == 0 {
		return nil
	}
	if s.newestFirst {
		return slices.MaxFunc(ready, func(a, b *modelLane) int { return a.items[0].due.Compare(b.items[0].due) })
	}
	class := func(l *modelLane) int {
		switch {
		case l.priority == tasks.Urgent:
			return 0
		case l.priority == tasks.Bulk && (s.neverRetries || s.now.Sub(l.ready) < time.Minute):
			return 2
		}
		return 1
	}
	return slices.MinFunc(ready, func(a, b *modelLane) int {
		return cmp.Or(class(a)-class(b), s.served[a.project].Compare(s.served[b.project]), a.ready.Compare(b.ready))
	})
}

func (s *scheduler) call(l *modelLane, items []modelItem) {
	c := &modelCall{lane: l, items: items, start: s.now, ends: s.now.Add(s.latency), code: 200}
	if s.answer != nil {
		c.code = s.answer(s, l.project)
	}
	s.inFlight = append(s.inFlight, c)
}

// endCalls writes down the calls that are over, and what becomes of their items.
func (s *scheduler) endCalls() {
	var open []*modelCall
	for _, c := range s.inFlight {
		if c.ends.After(s.now) {
			open = append(open, c)
			continue
		}
		s.counts = append(s.counts, s.now)
		var items []string
		for _, m := range c.items {
			items = append(items, m.item)
		}
		f := shop()
		f.Project = c.lane.project
		if !s.unreachable {
			s.calls = append(s.calls, history.Call{Family: f, Items: items, Start: c.start, End: c.ends, Status: c.code, OK: c.code == 200})
		}
		switch {
		case s.unreachable || c.code == 503:
			s.calls5xx++
			wait := time.Duration(1+s.dice.IntN(9)) * time.Second
			if s.neverRetries {
				wait = 24 * time.Hour // as Retry-After says
			}
			s.again = append(s.again, &modelCall{lane: c.lane, items: c.items, ends: s.now.Add(wait)})
		case c.code == 429:
			s.paused = s.now.Add(15 * time.Second)
			c.lane.items = append(c.items, c.lane.items...)
		}
	}
	s.inFlight = open
}
