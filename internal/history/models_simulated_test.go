package history_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/edgepurge/edgepurge/internal/history"
	"github.com/edgepurge/edgepurge/tasks"
)

const (
	// modelSettle is the settle time of some requests.
	modelSettle = 2 * time.Second
	// poisonTag makes the API refuse a call.
	poisonTag = "poison"
)

// overlongTag has 256 bytes and one more, in 129 characters.
var overlongTag = strings.Repeat("é", 128) + "b"

// purger is a purge program of two processes, the API that it calls and the
// producers that ask, all in virtual time: good, but for the flaws that are set.
type purger struct {
	now    time.Time
	events []event // by time
	dice   *rand.Rand
	modelRun

	pending map[string]time.Time // tag: when it is due; shared by the processes
	halves  [][]string           // of split batches, waiting for the budget
	away    map[string]int       // by tag: batches and halves that hold it
	lull    time.Time            // from here on nobody asks
	arrived int                  // calls

	collapsed bool // something was put in the place of others once

	budgets []*allowance // one for each process; good: both are the same one
	most    int          // tags in a call; good: 16

	// The flaws.
	lockedUntilSuccess, windowFromStart, countsCharacters, dropsOn5xx, dropsOn400, ignoresSettle bool
	// Of a program that collapses, and is good where only collapses is set.
	collapses, collapsesNothingInstead, collapsesIntoEarlierCall, collapsesWhatDoesNotMatch bool
}

type event struct {
	at time.Time
	do func()
}

// allowance is the calls of a budget, each by when it stops counting; the zero
// time is not known yet.
type allowance struct{ calls []*time.Time }

func (a *allowance) left(now time.Time) bool {
	a.calls = slices.DeleteFunc(a.calls, func(until *time.Time) bool { return !until.IsZero() && !until.After(now) })
	return len(a.calls) < modelBudget
}

func (a *allowance) take() *time.Time {
	call := new(time.Time)
	a.calls = append(a.calls, call)
	return call
}

// simulate runs a program with a flaw under the load of the seed until all is done.
func simulate(seed uint64, flaw func(*purger)) modelRun {
	fleet := &allowance{}
	p := &purger{
		now: at(0), dice: rand.New(rand.NewPCG(seed, 1)), modelRun: modelRun{limited: true},
		pending: map[string]time.Time{}, away: map[string]int{},
		budgets: []*allowance{fleet, fleet}, most: tasks.MaxTagsPerCall,
	}
	flaw(p)
	if p.collapses {
		p.rules = modelRules
	}
	p.load(rand.New(rand.NewPCG(seed, 2)))
	p.serve()
	for len(p.events) > 0 {
		e := p.events[0]
		p.events = p.events[1:]
		p.now = e.at
		e.do()
	}
	return p.modelRun
}

func (p *purger) after(d time.Duration, do func()) {
	e := event{p.now.Add(d), do}
	i := sort.Search(len(p.events), func(i int) bool { return p.events[i].at.After(e.at) })
	p.events = slices.Insert(p.events, i, e)
}

// load is three minutes in which more is asked for than the budget lets go, then
// some in which a tag is asked for now and then, once, and its call goes at once.
func (p *purger) load(dice *rand.Rand) {
	var wait time.Duration
	for n := range 300 {
		wait += time.Duration(200+dice.IntN(800)) * time.Millisecond
		tags := []string{fmt.Sprint("post-", dice.IntN(150)), fmt.Sprint("author-", dice.IntN(20))}
		switch n % 100 {
		case 30:
			tags = append(tags, poisonTag)
		case 60:
			tags = append(tags, overlongTag)
		}
		p.after(wait, func() { p.ask(0, tags...) })
	}
	for n := range 20 {
		wait += time.Duration(60+dice.IntN(40)) * time.Second
		tags, settle := []string{fmt.Sprint("news-", n)}, modelSettle
		if n%4 == 1 {
			tags, settle = append(tags, poisonTag), 0
		}
		p.after(wait, func() { p.ask(settle, tags...) })
	}
	p.lull = p.now.Add(wait)
}

// ask is a producer's request. A tag that is too long is refused: the producer
// hears of it, and nothing is promised.
func (p *purger) ask(settle time.Duration, tags ...string) {
	size := func(tag string) int { return len(tag) }
	if p.countsCharacters {
		size = utf8.RuneCountInString
	}
	tags = slices.DeleteFunc(tags, func(tag string) bool { return size(tag) > tasks.MaxTagBytes })
	id := fmt.Sprint(len(p.requests))
	p.requests = append(p.requests, history.Request{
		ID: id, Family: shop(), Items: tags, Asked: p.now, Accepted: p.now, Settle: settle,
	})
	if p.ignoresSettle {
		settle = 0
	}
	for _, tag := range tags {
		if p.lockedUntilSuccess && p.away[tag] > 0 {
			continue
		}
		p.add(tag, p.now.Add(settle))
	}
}

// add makes a tag pending. If its twin is, one call serves both once both are due.
func (p *purger) add(tag string, due time.Time) {
	if twin, ok := p.pending[tag]; !ok || due.After(twin) {
		p.pending[tag] = due
	}
}

// serve lets each process make the calls that it may, five times a second.
func (p *purger) serve() {
	for _, budget := range p.budgets {
		for budget.left(p.now) {
			batch := p.claim()
			if len(batch) == 0 {
				break
			}
			p.send(batch, budget.take())
		}
	}
	if len(p.events)+len(p.pending)+len(p.halves) > 0 {
		p.after(200*time.Millisecond, p.serve)
	}
}

// claim takes the items of the next call. What is claimed is pending no longer:
// asked for from now on, it gets a call of its own.
func (p *purger) claim() []string {
	if p.collapses {
		p.collapse()
	}
	if len(p.halves) > 0 {
		half := p.halves[0]
		p.halves = p.halves[1:]
		return half
	}
	var tags []string
	for tag, due := range p.pending {
		if !due.After(p.now) {
			tags = append(tags, tag)
		}
	}
	slices.SortFunc(tags, func(a, b string) int {
		return cmp.Or(p.pending[a].Compare(p.pending[b]), strings.Compare(a, b))
	})
	tags = tags[:min(len(tags), p.most)]
	for _, tag := range tags {
		delete(p.pending, tag)
		p.away[tag]++
	}
	return tags
}

// modelRules is what the programs that collapse were asked for: all posts at once when
// more than ten wait.
var modelRules = []history.Rule{{Project: shop().Project, Match: "post-*", To: "posts"}}

// collapse replaces the posts that are due by one tag when there are more than ten.
func (p *purger) collapse() {
	var due []string
	for tag, at := range p.pending {
		if !at.After(p.now) && (strings.HasPrefix(tag, "post-") || p.collapsesWhatDoesNotMatch && strings.HasPrefix(tag, "author-")) {
			due = append(due, tag)
		}
	}
	if len(due) <= 10 {
		return
	}
	for _, tag := range due {
		delete(p.pending, tag)
	}
	if p.collapsesNothingInstead || p.collapsesIntoEarlierCall && p.collapsed {
		return
	}
	p.collapsed = true
	p.add("posts", p.now)
}

// send makes a call, which travels for a while, takes a while and travels back.
// Only when the answer is there is it known that the call is in the API's window
// no longer than a minute from now.
func (p *purger) send(tags []string, counts *time.Time) {
	sent := p.now
	if p.windowFromStart {
		*counts = sent.Add(modelPer)
	}
	p.after(p.upTo(400), func() {
		c := history.Call{Family: shop(), Items: tags, Start: p.now}
		c.Status, c.OK = p.answer(tags)
		if p.arrived++; p.arrived%3 == 0 && p.now.Before(p.lull) { // an editor saves once more
			p.after(p.upTo(100), func() { p.ask(0, tags[p.dice.IntN(len(tags))]) })
		}
		p.after(100*time.Millisecond+p.upTo(300), func() {
			c.End = p.now
			p.calls = append(p.calls, c)
			p.after(p.upTo(400), func() {
				if !p.windowFromStart {
					*counts = p.now.Add(modelPer)
				}
				p.handle(tags, c.Status, sent)
			})
		})
	})
}

func (p *purger) upTo(ms int) time.Duration {
	return time.Duration(1+p.dice.IntN(ms)) * time.Millisecond
}

// answer is the API's, and whether the purge took effect; 0: the answer was lost.
func (p *purger) answer(tags []string) (status int, ok bool) {
	switch {
	case p.arrived%6 == 5:
		return 503, false
	case len(tags) > tasks.MaxTagsPerCall || slices.ContainsFunc(tags, func(tag string) bool {
		return tag == poisonTag || len(tag) > tasks.MaxTagBytes
	}):
		return 400, false
	case p.arrived%20 == 12:
		return 0, true
	}
	return 200, true
}

// handle does what an answer asks for.
func (p *purger) handle(tags []string, status int, sent time.Time) {
	switch {
	case status == 400 && len(tags) > 1 && !p.dropsOn400:
		p.halves = append(p.halves, tags[:len(tags)/2], tags[len(tags)/2:])
		return // they are still away
	case status == 400 && len(tags) == 1:
		p.letters = append(p.letters, history.Letter{Family: shop(), Items: tags, At: sent})
	case status == 0, status >= 500 && !p.dropsOn5xx:
		for _, tag := range tags {
			p.add(tag, p.now.Add(time.Second))
		}
	}
	for _, tag := range tags {
		p.away[tag]--
	}
}
