package worker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/history"
	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
)

// ledger is what producers asked for, as the checker takes it.
type ledger struct {
	mu       sync.Mutex
	requests []history.Request
	tracked  map[string]int // receipt: items
}

// ask asks for random tags of a shop: most are posts.
func (g *ledger) ask(t *testing.T, rdb redis.UniversalClient, random *rand.Rand) {
	t.Helper()
	p := filled(tasks.Purge{Priority: tasks.Priorities[random.IntN(3)], Track: random.IntN(4) == 0})
	for range 1 + random.IntN(30) {
		p.Tags = append(p.Tags, fmt.Sprintf("post-%d", random.IntN(150)))
	}
	p.Tags = append(p.Tags, fmt.Sprintf("page-%d", random.IntN(60)))
	p.Tags = distinct(p.Tags)
	switch random.IntN(6) {
	case 0:
		p.Settle = 150 * time.Millisecond
	case 1:
		p.Rebound = 200 * time.Millisecond
	}
	if p.Track {
		open(t, rdb, p.ID, len(p.Tags))
	}
	asked := time.Now()
	enqueueRequest(t, rdb, p)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.requests = append(g.requests, history.Requests(p, asked, time.Now())...)
	if p.Track {
		g.tracked[p.ID] = len(p.Tags)
	}
}

func distinct(tags []string) []string {
	seen := map[string]bool{}
	var once []string
	for _, tag := range tags {
		if !seen[tag] {
			once = append(once, tag)
		}
		seen[tag] = true
	}
	return once
}

// callsOf is the journal of the API as the checker takes it.
func callsOf(journal []emulator.Call) []history.Call {
	var calls []history.Call
	for _, c := range journal {
		if c.Kind != "" && c.Counted {
			calls = append(calls, history.Call{
				Family: history.Family{Project: c.Project, Kind: c.Kind, Operation: c.Operation, Target: c.Target},
				Items:  c.Items, StringForm: c.StringForm, Start: c.Start, End: c.End, OK: c.Applied, Status: c.Status,
			})
		}
	}
	return calls
}

// Producers ask while two workers collapse, the API fails now and then and one worker
// loses Redis for good, whatever it is at: every item is covered by a call that began late
// enough, with its own tag or with what a rule put in its place, and counted once.
func TestInvariant1_WhileCollapsing(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	api := newAPI(t, emulator.Config{Seed: 3, Faults: emulator.Faults{
		Status: map[int]float64{503: 0.06, 429: 0.04}, Reset: 0.03, AfterEffect: 0.5, Latency: 2 * time.Millisecond, LatencyJitter: 20 * time.Millisecond,
	}}, nil)
	c := collapsing(api.URL, Collapse{Match: "post-*", Over: 40, To: "posts"}, Collapse{Over: 30, To: "*"}, Collapse{Match: "page-*", Age: 300 * time.Millisecond, To: "pages"})
	c.Timeout = time.Second
	c.Accounts[0].Budget = Budget{Calls: 8, Per: 400 * time.Millisecond, Reserve: 1, InFlight: 4}
	rules := []history.Rule{
		{Project: "prj", Match: "post-*", To: "posts"}, {Project: "prj", To: "*"}, {Project: "prj", Match: "page-*", To: "pages"},
	}

	options, err := redis.ParseURL(server.URL())
	require.NoError(t, err)
	link := &cable{}
	options.Dialer = link.dial
	options.MaxRetries, options.DialerRetries, options.PoolSize = -1, 1, 10_000
	cut := redis.NewClient(options)
	t.Cleanup(func() { _ = cut.Close() })
	dying, l := newLab(t, c, cut), newLab(t, c, server.Client(t)).start()
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	// Only what claims and collapses: what asynq had handed to it would wait a minute.
	running.Go(func() { dying.pacers["default"].run(ctx) })
	running.Go(func() { dying.sweep.every(ctx, 10*time.Millisecond, "collapse", dying.sweep.collapses) })
	defer running.Wait()
	defer stop()

	rdb, asked := server.Client(t), &ledger{tracked: map[string]int{}}
	produce := func(n int) {
		var producers sync.WaitGroup
		for i := range 4 {
			random := rand.New(rand.NewPCG(uint64(i), uint64(n)))
			producers.Go(func() {
				for range n {
					asked.ask(t, rdb, random)
					time.Sleep(time.Duration(random.IntN(15)) * time.Millisecond)
				}
			})
		}
		producers.Wait()
	}
	produce(60)
	link.tear()
	produce(60)
	eventually(t, l.idle, "the queue drains")

	report := history.Check(asked.requests, callsOf(api.emulator.Journal()), nil, rules...)
	assert.Empty(t, report.Lost)
	assert.Empty(t, report.Broken)
	assert.Empty(t, letters(t, rdb))
	assert.Equal(t, 480, report.Requests)
	assert.Greater(t, report.Collapsed, 100, "of %d items, so many have no call of their own", report.Asked)
	for _, to := range []string{"posts", "*", "pages"} {
		assert.Positive(t, l.metric("edgepurge_collapsed_items_total", "to", to)+dying.metric("edgepurge_collapsed_items_total", "to", to), to)
		assert.NotEmpty(t, api.with(to), to)
	}
	for id, items := range asked.tracked {
		assert.Equal(t, ended{purged: items}, l.ended(id))
	}
	// The rules are what makes it right: held against none, most of it would be lost.
	assert.NotEmpty(t, history.Check(asked.requests, callsOf(api.emulator.Journal()), nil).Lost)
}
