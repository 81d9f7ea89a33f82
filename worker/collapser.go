package worker

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/rs/zerolog"

	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// collapser carries out the collapse rules of one account's projects. It is asked before
// each claim from a lane that has rules, and by the sweep for the lanes that nothing is
// claimed from, since it is then that backlogs grow. A lane without rules costs nothing.
type collapser struct {
	account *account
	lanes   *lanes.Lanes
	metrics *metrics
	log     zerolog.Logger

	mu    sync.Mutex
	busy  map[string]bool      // by lane: somebody in this process looks at it
	rests map[string]time.Time // by lane: until when it is not searched again
}

const (
	// leastRest and restFactor keep the searches of a lane in vain, or nearly so, to a
	// twentieth of the time.
	leastRest  = time.Second
	restFactor = 20
	// longestLook bounds a look; what is left to be replaced waits for the next one.
	longestLook = time.Second
	// stillLooking is when a lane is asked for again that a look was not done with.
	stillLooking = 10 * time.Millisecond
)

func newCollapser(a *account, l *lanes.Lanes, m *metrics, log zerolog.Logger) *collapser {
	return &collapser{account: a, lanes: l, metrics: m, log: log, busy: map[string]bool{}, rests: map[string]time.Time{}}
}

// rules are the collapse rules of a lane.
func (a *account) rules(lane tasks.Lane) []Collapse {
	if lane.Kind != tasks.Tag {
		return nil
	}
	return a.project(lane.Project).Collapse
}

// hasRules reports whether any project of the account has collapse rules.
func (a *account) hasRules() bool {
	for _, p := range a.projects {
		if len(p.Collapse) > 0 {
			return true
		}
	}
	return a.rest != nil && len(a.rest.Collapse) > 0
}

// look replaces what the rules of a lane ask for, and reports whether it is done: a lane
// with which it is not should not be claimed from yet.
func (c *collapser) look(ctx context.Context, lane tasks.Lane) (bool, error) {
	rules := c.account.rules(lane)
	if len(rules) == 0 {
		return true, nil
	}
	if !c.begin(lane) {
		return false, nil
	}
	defer c.end(lane)
	until := time.Now().Add(longestLook)
	for {
		more, err := c.round(ctx, lane, rules, until)
		if err != nil || !more {
			return err == nil, err
		}
		if !time.Now().Before(until) {
			return false, nil
		}
	}
}

// round applies each rule once to what the earlier ones left, and reports whether to go
// on: there was no time for all, or it was so much that as much may have come meanwhile.
func (c *collapser) round(ctx context.Context, lane tasks.Lane, rules []Collapse, until time.Time) (more bool, err error) {
	backlog, err := c.lanes.Backlog(ctx, c.account.Name, lane)
	if err != nil {
		return false, err
	}
	due, waited := backlog.Due, backlog.Now.Sub(backlog.Oldest)
	if !mayFire(rules, due, waited) || c.isResting(lane) {
		return false, nil
	}
	began := time.Now()
	for i := range rules {
		if !rules[i].fires(due, waited) {
			continue // whatever matches, it cannot be enough
		}
		replaced, done, err := c.apply(ctx, lane, &rules[i], backlog.Now, until)
		if err != nil {
			return false, err
		}
		due -= max(0, replaced-1)
		more = more || !done
	}
	// A quarter and not half: the embedded Redis pages by position, so that a search which
	// removes what it finds misses every other page.
	if more || 4*(backlog.Due-due) >= backlog.Due {
		return true, nil
	}
	c.rest(lane, max(leastRest, restFactor*time.Since(began)))
	return false, nil
}

// mayFire reports whether any rule could fire if everything that is due matched it.
func mayFire(rules []Collapse, due int, waited time.Duration) bool {
	for i := range rules {
		if rules[i].fires(due, waited) {
			return true
		}
	}
	return false
}

// apply replaces what a rule matches if it fires, until a moment, and says how much that
// was and whether it came to the end.
func (c *collapser) apply(ctx context.Context, lane tasks.Lane, rule *Collapse, now, until time.Time) (replaced int, done bool, err error) {
	fires, err := c.fires(ctx, lane, rule, now)
	if err != nil || !fires {
		return 0, true, err
	}
	defer func() { c.tell(lane, rule, replaced) }() // after an error, too
	var found []string
	replace := func(least int) error {
		for len(found) >= least && len(found) > 0 {
			chunk := found[:min(len(found), lanes.MostCollapsed)]
			n, err := c.lanes.Collapse(ctx, c.account.pace(lane), lane, ulid.Make().String(), rule.To, chunk)
			if err != nil {
				return err
			}
			replaced += n
			found = found[len(chunk):]
		}
		return nil
	}
	for page, err := range c.lanes.Matching(ctx, c.account.Name, lane, rule.Match, now) {
		if err != nil {
			return replaced, false, err
		}
		for _, item := range page {
			if rule.matches(item.Name) {
				found = append(found, item.Name)
			}
		}
		if err := replace(lanes.MostCollapsed); err != nil {
			return replaced, false, err
		}
		if !time.Now().Before(until) {
			return replaced, false, replace(1)
		}
	}
	return replaced, true, replace(1)
}

// fires looks through a lane until it has seen enough for a rule to fire, or everything.
func (c *collapser) fires(ctx context.Context, lane tasks.Lane, rule *Collapse, now time.Time) (bool, error) {
	seen, oldest := map[string]bool{}, now // a search may find an item twice
	for page, err := range c.lanes.Matching(ctx, c.account.Name, lane, rule.Match, now) {
		if err != nil {
			return false, err
		}
		for _, item := range page {
			if !rule.matches(item.Name) {
				continue
			}
			if len(seen) <= rule.Over {
				seen[item.Name] = true
			}
			if item.Due.Before(oldest) {
				oldest = item.Due
			}
		}
		if rule.fires(len(seen), now.Sub(oldest)) {
			return true, nil
		}
	}
	return false, nil
}

// tell counts and logs what a rule replaced.
func (c *collapser) tell(lane tasks.Lane, rule *Collapse, replaced int) {
	if replaced == 0 {
		return
	}
	c.metrics.collapsed.WithLabelValues(c.account.project(lane.Project).Project, rule.To).Add(float64(replaced))
	c.log.Info().Str("project", lane.Project).Str("lane", lane.ID()).Stringer("rule", rule).
		Int("items", replaced).Str("to", rule.To).Msg("collapsed: one item took the place of these")
}

// all looks at every lane of the account that has rules.
func (c *collapser) all(ctx context.Context) error {
	if !c.account.hasRules() {
		return nil
	}
	all, err := c.lanes.All(ctx, c.account.Name)
	for _, lane := range all {
		if _, err := c.look(ctx, lane); err != nil {
			return err
		}
	}
	return err
}

func (c *collapser) begin(lane tasks.Lane) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy[lane.ID()] {
		return false
	}
	c.busy[lane.ID()] = true
	return true
}

func (c *collapser) end(lane tasks.Lane) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.busy, lane.ID())
}

func (c *collapser) isResting(lane tasks.Lane) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Before(c.rests[lane.ID()])
}

// rest keeps a lane from being searched for a while, and forgets those that were long enough.
func (c *collapser) rest(lane tasks.Lane, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(c.rests, func(_ string, until time.Time) bool { return !now.Before(until) })
	c.rests[lane.ID()] = now.Add(d)
}
