package monitor

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/internal/deadletter"
	"github.com/edgepurge/edgepurge/internal/overview"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// snapshot is one look at everything that the page shows.
type snapshot struct {
	*overview.Overview
	spreads map[string]map[string]lanes.SpreadStatus // account → project
	calls   []lanes.MadeCall                         // newest first
	seconds []lanes.Second                           // oldest first
	letters []reasonOf                               // most letters first
	unread  []string
}

// missed notes a part that could not be read: it is as it was, or empty.
func (s *snapshot) missed(part string, err error) {
	if err != nil {
		s.unread = append(s.unread, part)
	}
}

// reasonOf is the dead letters of one reason.
type reasonOf struct {
	Reason string
	N      int
	Last   deadletter.Summary // the one that died last
}

// gatherer looks at Redis on behalf of all who watch. However many they are, and
// however much there is to read, it spends at most a fifth of the time at it.
type gatherer struct {
	rdb     redis.UniversalClient
	config  Config
	lanes   *lanes.Lanes
	box     *deadletter.Box
	state   held[*snapshot]
	letters held[[]reasonOf]
}

const (
	gatherWait  = 3 * time.Second // for one look
	stateFresh  = time.Second
	letterFresh = 5 * time.Second // there may be thousands
	restFactor  = 4               // how many times as long as a look took the next one waits
)

func newGatherer(c Config) *gatherer {
	return &gatherer{
		rdb: c.Redis, config: c, lanes: lanes.New(c.Redis), box: c.Letters,
		state:   held[*snapshot]{fresh: stateFresh, maxRest: gatherWait},
		letters: held[[]reasonOf]{fresh: letterFresh, maxRest: time.Minute},
	}
}

// held is what was read last, and until when that will do.
type held[T any] struct {
	fresh   time.Duration
	maxRest time.Duration // the longest wait after looks that failed
	mu      sync.Mutex
	until   time.Time
	value   T
	err     error
	fails   int // in a row
}

// get returns what was read a moment ago, or reads it. Those who ask meanwhile wait
// for it. After a look that failed it returns the error with what was read last, and
// waits longer each time before it looks again.
func (h *held[T]) get(read func() (T, error)) (T, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	start := time.Now()
	if start.Before(h.until) {
		return h.value, h.err
	}
	value, err := read()
	took := time.Since(start)
	rest := max(h.fresh-took, restFactor*took)
	if h.err = err; err == nil {
		h.value, h.fails = value, 0
	} else {
		rest = min(h.fresh<<min(h.fails, 8), h.maxRest)
		h.fails++
	}
	h.until = time.Now().Add(rest)
	return h.value, err
}

func (h *held[T]) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.until = time.Time{}
}

// forget makes the next look see what was just changed.
func (g *gatherer) forget() {
	g.state.forget()
	g.letters.forget()
}

func (g *gatherer) read(ctx context.Context) (*snapshot, error) {
	return g.state.get(func() (*snapshot, error) {
		// One who leaves must not spoil the look of the others.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), gatherWait)
		defer cancel()
		return g.look(ctx)
	})
}

func (g *gatherer) look(ctx context.Context) (*snapshot, error) {
	o, err := overview.Read(ctx, g.rdb, g.config.Accounts, g.config.Rest)
	if err != nil {
		return nil, err
	}
	s := &snapshot{Overview: o, spreads: map[string]map[string]lanes.SpreadStatus{}}
	for _, a := range o.Accounts {
		paces := map[string]lanes.Pace{}
		for _, l := range a.Lanes {
			lane, err := tasks.ParseLane(l.Lane)
			if err != nil {
				return nil, err
			}
			if spread := g.config.spread(a.Account, lane.Project); spread.Rate > 0 && len(paces) < shownLanes {
				paces[lane.Project] = lanes.Pace{Rate: spread.Rate, Burst: spread.Burst}
			}
		}
		if len(paces) == 0 {
			continue
		}
		s.spreads[a.Account], err = g.lanes.Spreads(ctx, a.Account, o.Now, paces)
		s.missed("the spreads of "+a.Account, err)
	}
	s.calls, s.seconds, err = g.lanes.Recent(ctx)
	s.missed("the last calls", err)
	if slices.ContainsFunc(o.Queues, func(q overview.Queue) bool { return q.Archived > 0 }) {
		s.letters, err = g.letters.get(func() ([]reasonOf, error) { return g.readLetters(ctx) })
		s.missed("dead letters", err)
	}
	return s, nil
}

func (g *gatherer) readLetters(ctx context.Context) ([]reasonOf, error) {
	letters, err := g.box.List(ctx, deadletter.Filter{})
	if err != nil {
		return nil, err
	}
	by := map[string]*reasonOf{}
	for _, l := range letters { // the last dead first
		if r := by[l.Reason]; r != nil {
			r.N++
		} else {
			by[l.Reason] = &reasonOf{Reason: l.Reason, N: 1, Last: l}
		}
	}
	all := make([]reasonOf, 0, len(by))
	for r := range maps.Values(by) {
		all = append(all, *r)
	}
	slices.SortFunc(all, func(x, y reasonOf) int { return cmp.Or(cmp.Compare(y.N, x.N), cmp.Compare(x.Reason, y.Reason)) })
	return all, nil
}

// spread is the configured spread of a project; the zero value is unlimited.
func (c *Config) spread(account, project string) Spread {
	var rest Spread
	for _, s := range c.Spreads {
		switch {
		case s.Account != account:
		case s.Project == project:
			return s
		case s.Project == "*":
			rest = s
		}
	}
	return rest
}
