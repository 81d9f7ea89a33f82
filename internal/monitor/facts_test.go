package monitor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/deadletter"
	"github.com/edgepurge/edgepurge/internal/overview"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// calm is a fleet at work with nothing to do.
func calm() *snapshot {
	return &snapshot{Overview: &overview.Overview{
		Now: noon, Workers: []overview.Worker{{Host: "h"}},
		Accounts: []overview.Account{{Account: "acme", Configured: true, Budget: overview.Budget{Calls: 5, Left: 5, Per: time.Minute}}},
		Queues:   []overview.Queue{{Queue: tasks.QueueIntake}, {Queue: tasks.QueueUrgent}, {Queue: tasks.QueueCalls}},
	}}
}

func (s *snapshot) waits(project string, n int64, age time.Duration) {
	a := &s.Accounts[0]
	a.Lanes = append(a.Lanes, overview.Lane{Lane: lane(project).ID(), Pending: n, Oldest: noon.Add(-age)})
	a.Pending += n
}

func TestHeadline_SaysWhatMattersMost(t *testing.T) {
	t.Parallel()
	in := noon.Add(30 * time.Second)
	hold := func(scope, reason string) func(*snapshot) {
		return func(s *snapshot) {
			s.Accounts[0].Holds = append(s.Accounts[0].Holds, lanes.Hold{Scope: scope, Reason: reason})
		}
	}
	wait := func(n int64, age time.Duration) func(*snapshot) {
		return func(s *snapshot) { s.waits("prj", n, age) }
	}
	letters := func(s *snapshot) { s.letters = []reasonOf{{Reason: "a", N: 2}, {Reason: "b", N: 1}} }
	paused := func(s *snapshot) { s.Accounts[0].PausedUntil = &in }
	account, project := hold(lanes.ScopeAccount, "unauthorized"), hold(lanes.ScopeProject("prj"), "project_missing")
	// Each line has the trouble of the lines after it as well, and is about its own.
	for _, c := range []struct {
		name  string
		with  []func(*snapshot)
		level level
		words string
	}{
		{"no worker", []func(*snapshot){func(s *snapshot) { s.Workers = nil }, account, letters, wait(3, time.Hour)}, bad, "Nothing is purged: no worker is running. 3 items wait."},
		{"writes refused", []func(*snapshot){func(s *snapshot) { s.Workers, s.WorkersFault = nil, "MISCONF" }, account}, bad, "Redis refuses writes: nothing is taken in. Nothing waits."},
		{"queue paused", []func(*snapshot){func(s *snapshot) { s.Queues[0].Paused = true }, account, letters}, bad, "Queue edgepurge-intake is paused by hand. Nothing waits."},
		{"account held", []func(*snapshot){account, project, letters, wait(1, time.Hour)}, bad, "Account acme is held: unauthorized. 1 item waits."},
		{"project held", []func(*snapshot){project, letters, paused, wait(1500, time.Hour)}, bad, "Project prj is held: project missing. 1,500 items wait."},
		{"projects held", []func(*snapshot){project, hold(lanes.ScopeProject("p2"), "project_gone")}, bad, "2 projects are held, prj for one: project missing. Nothing waits."},
		{"far behind", []func(*snapshot){wait(9, time.Hour), letters}, bad, "Purges are up to 1 h 0 m late. 9 items wait."},
		{"behind", []func(*snapshot){wait(9, time.Minute), letters, paused}, warn, "Purges are up to 1 m late. 9 items wait."},
		{"dead letters", []func(*snapshot){wait(9, 59*time.Second), letters, paused}, warn, "Purges are on time. There are 3 dead letters. 9 items wait."},
		{"paused", []func(*snapshot){paused, wait(9, time.Second)}, warn, "Vercel limits account acme: it goes on in 30 s. 9 items wait."},
		{"for later", []func(*snapshot){wait(9, -time.Hour)}, good, "Everything due has been accepted by Vercel. 9 items wait for their time."},
		{"one for later", []func(*snapshot){wait(1, -time.Hour)}, good, "Everything due has been accepted by Vercel. 1 item waits for its time."},
		{"on the way in", []func(*snapshot){func(s *snapshot) { s.Queues[1].Pending = 4 }}, good, "Purges are on time. 4 requests on the way in."},
		{"nothing", nil, good, "Everything due has been accepted by Vercel. Nothing waits."},
	} {
		s := calm()
		for _, change := range c.with {
			change(s)
		}
		h := factsOf(s).headline()
		assert.Equal(t, c.level, h.Level, c.name)
		assert.Equal(t, c.words, h.Words, c.name)
		assert.NotContains(t, h.Short, "items", c.name)
	}
}

func TestTiles(t *testing.T) {
	t.Parallel()
	s := calm()
	assert.Equal(t, []tile{
		{good, "Are purges on time?", "on time", "nothing due is waiting"},
		{good, "What is waiting?", "0 items", "in 0 lanes"},
		{good, "What is failing?", "nothing", "no call failed in 5 m"},
		{good, "Are we near the limit?", "0 of 5 calls", "in 1 m, account acme"},
	}, factsOf(s).tiles())

	s.waits("new", 7, -time.Hour)
	s.waits("old", 1200, 90*time.Second)
	s.waits("mid", 1, time.Second)
	s.Accounts[0].InFlight = make([]overview.Flight, 2)
	s.Accounts[0].Budget = overview.Budget{Calls: 5, Learned: 3, Used: 3, Left: 0, Per: time.Minute}
	s.Accounts = append(s.Accounts, overview.Account{Account: "two", Budget: overview.Budget{Calls: 10, Used: 9, Left: 1, Per: time.Hour}})
	s.Queues[0].Pending, s.Queues[2] = 5, overview.Queue{Queue: tasks.QueueCalls, Retry: 2, Pending: 1, Scheduled: 1}
	s.Queues = append(s.Queues, overview.Queue{Queue: tasks.QueueDeliveries, Pending: 7})
	s.seconds = []lanes.Second{{Calls: 10, Failed: 1}, {Calls: 30}}
	s.letters = []reasonOf{{N: 4}}
	assert.Equal(t, []tile{
		{warn, "Are purges on time?", "due 1 m 30 s ago", "the oldest item, of old"},
		{good, "What is waiting?", "1,208 items", "in 3 lanes, 7 for later, 5 requests to take in, 2 calls under way"},
		{warn, "What is failing?", "4 dead letters", "1 of 40 calls failed in 5 m, 4 calls to be tried again"},
		{warn, "Are we near the limit?", "3 of 3 calls", "in 1 m, account acme"},
	}, factsOf(s).tiles(), "the account that is nearest to its limit, by what Vercel said")

	s.Accounts[0].Holds = []lanes.Hold{{Scope: lanes.ScopeAccount}}
	in := noon.Add(time.Minute)
	s.Accounts[1].PausedUntil = &in
	tiles := factsOf(s).tiles()
	assert.Equal(t, tile{bad, "What is failing?", "1 hold", "4 dead letters, 1 of 40 calls failed in 5 m, 4 calls to be tried again"}, tiles[2])
	assert.Equal(t, tile{warn, "Are we near the limit?", "paused for 1 m", "by Vercel's 429, account two"}, tiles[3])
}

// Calls that are kept for urgent items are not there for the others, and the
// warning comes before the last call is gone.
func TestTiles_NearTheLimit(t *testing.T) {
	t.Parallel()
	for used, want := range map[int64]level{0: good, 2: good, 3: warn, 4: warn, 5: warn} {
		s := calm()
		s.Accounts[0].Budget = overview.Budget{Calls: 5, Reserve: 1, Used: used, Per: time.Minute}
		limit := factsOf(s).tiles()[3]
		assert.Equal(t, want, limit.Level, "%d of 5, 1 kept", used)
		assert.Equal(t, "in 1 m, account acme, 1 of them for urgent items only", limit.Words)
	}
}

// Without a worker nothing is said to be on time.
func TestTiles_NoWorker(t *testing.T) {
	t.Parallel()
	s := calm()
	s.Workers = nil
	assert.Equal(t, tile{bad, "Are purges on time?", "no worker", "what is asked for waits until one runs"}, factsOf(s).tiles()[0])
	s.waits("old", 3, time.Hour)
	assert.Equal(t, tile{bad, "Are purges on time?", "due 1 h 0 m ago", "the oldest item, of old"}, factsOf(s).tiles()[0])
}

// A lane that is held does not go next, a probe whose time has come has no time in
// the past, and a reason is said once.
func TestView_Held(t *testing.T) {
	t.Parallel()
	s := calm()
	s.waits("free", 1, time.Second)
	s.waits("held", 1, time.Second)
	s.Accounts[0].Holds = []lanes.Hold{{
		Scope: lanes.ScopeProject("held"), Reason: "project_missing", Detail: "project_missing: Vercel answered 404", Since: noon.Add(-time.Hour), Next: noon.Add(-2 * time.Minute),
	}}
	v := viewOf(s, &Config{})
	require.Len(t, v.Lanes, 2)
	next := map[string]string{}
	for _, l := range v.Lanes {
		next[l.Project] = l.Next
	}
	assert.Equal(t, map[string]string{"free": "next", "held": "held"}, next)
	assert.Equal(t, []holdRow{{
		Account: "acme", Scope: "project:held", What: "project held of acme", Reason: "project missing", Detail: "Vercel answered 404", Since: "1 h 0 m", Next: "with the next call",
	}}, v.Holds)

	s.Accounts[0].Holds = []lanes.Hold{{Scope: lanes.ScopeAccount, Next: noon.Add(time.Minute)}}
	assert.Equal(t, "held", viewOf(s, &Config{}).Lanes[0].Next)
	s.Accounts[0].Holds = nil
	in := noon.Add(30 * time.Second)
	s.Accounts[0].PausedUntil = &in
	assert.Equal(t, "in 30 s", viewOf(s, &Config{}).Lanes[0].Next)
}

// A delivery that cannot be mapped has no project, but a source.
func TestView_LetterOfADelivery(t *testing.T) {
	t.Parallel()
	s := calm()
	s.letters = []reasonOf{{Reason: "unmappable", N: 2, Last: deadletter.Summary{Type: tasks.TypeDelivery, Source: "blog", Message: "unmappable: tags: expected a text"}}}
	v := viewOf(s, &Config{})
	require.Len(t, v.Letters, 1)
	assert.Equal(t, "source blog", v.Letters[0].From)
	assert.Equal(t, "tags: expected a text", v.Letters[0].Message)
}

func TestChart(t *testing.T) {
	t.Parallel()
	items := func(s lanes.Second) int { return s.Items }
	none := func(lanes.Second) int { return 0 }
	failed := func(s lanes.Second) int { return s.Failed }
	assert.Equal(t, chart{}, drawChart(nil, items, none))
	assert.Equal(t, chart{}, drawChart(make([]lanes.Second, 300), items, none))
	c := drawChart([]lanes.Second{{Items: 4, Failed: 1}, {}, {Items: 2}, {Items: 1}}, items, failed)
	assert.Equal(t, chart{
		Good: "M0.0 42.0h75.0V0.0h-75.0z" + "M150.0 56.0h75.0V28.0h-75.0z" + "M225.0 56.0h75.0V42.0h-75.0z",
		Bad:  "M0.0 56.0h75.0V42.0h-75.0z", Now: 2, Peak: 4, Sum: 7,
	}, c)
	c = drawChart([]lanes.Second{{Items: 100000}, {Items: 1}}, items, none)
	assert.Contains(t, c.Good, "V54.5", "one is not nothing")
}

func TestWords(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234", -999: "-999"} {
		assert.Equal(t, want, number(n))
	}
	assert.Equal(t, "1 item", count(1, "item"))
	assert.Equal(t, "0 items", count(0, "item"))
	for d, want := range map[time.Duration]string{
		-time.Second: "0 s", 0: "0 ms", 999 * time.Millisecond: "999 ms", time.Second: "1 s", 59 * time.Second: "59 s", time.Minute: "1 m",
		90 * time.Second: "1 m 30 s", 11*time.Minute + time.Second: "11 m", 90 * time.Minute: "1 h 30 m", 49 * time.Hour: "2 days",
	} {
		assert.Equal(t, want, brief(d))
	}
	assert.Equal(t, "–", when(time.Time{}, noon))
	assert.Equal(t, "now", when(noon.Add(900*time.Millisecond), noon))
	assert.Equal(t, "in 5 s", when(noon.Add(5*time.Second), noon))
	assert.Equal(t, "1 m ago", when(noon.Add(-time.Minute), noon))
}
