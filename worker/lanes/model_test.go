package lanes

import (
	flags "flag" // the package has a func flag
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
)

// A wish is one item of an accepted request, or the rebound of one: the promise
// that a call which starts at due or later holds the item.
type wish struct {
	family, item string
	accepted     int   // the step of the model
	due          int64 // ms
	rebound      int64
	claimed      bool // by its first call
	kept         bool // a call succeeded, or a dead letter shows it
	receipt      string
	// as is the name under which it waits to be claimed, if not its own.
	as string
	// instead is what took the item's place, and at which step: a call with it that
	// starts then or later will do as well.
	instead map[string]int
}

// since says by which names, and from which step on, a batch may serve the wish.
func (w *wish) since() map[string]int {
	names := maps.Clone(w.instead)
	if names == nil {
		names = map[string]int{}
	}
	names[w.item] = w.accepted
	return names
}

// servedBy reports whether a call with the batch, as it began, serves the wish.
func (w *wish) servedBy(b *stage) bool {
	if w.family != b.Lane.Family() || w.due > b.start {
		return false
	}
	for name, step := range w.since() {
		if step <= b.step && slices.Contains(b.Items, name) {
			return true
		}
	}
	return false
}

// stage is where a batch is, besides its lease in Redis.
type stage struct {
	Batch
	attempt int
	step    int   // of its first start, and
	start   int64 // when that was
	running bool  // a worker makes the call
	stored  bool  // purge:call is in asynq
	// promised are the wishes whose rebounds count from the claim of this batch, and
	// rebounds are what became wishes by it.
	promised, rebounds []*wish
}

// began is the start of a call, as the API sees it.
type began struct {
	at      int64 // ms
	project string
	items   int
	urgent  bool
}

// held is a hold of a scope: no call before next but one probe then.
type held struct {
	next, step int64 // ms
	by         string
	created    bool // by that attempt
}

// model is a plain picture of what producers and the API were promised. It knows
// nothing of how Redis keeps it. Its workers have no state but their batches:
// any may die or be stopped at any step. Their clocks are months off Redis's.
type model struct {
	*rig
	rt      *rapid.T
	step    int
	wishes  []*wish
	batches []*stage
	last    Absorption // for the repeats of go-redis
	calls   []began
	holds   map[string]*held
	ended   map[string]int64 // when the hold of a scope ended last
	paused  int64
	most    map[tasks.Kind]int // learned
	failed  map[string]failed  // by family and item

	collapsed bool // items were, at some step
}

// failed is how often an item failed that waits again; due then, or else it is another purge.
type failed struct {
	times int
	due   int64
}

func (m *model) nowMS() int64 { return m.time().UnixMilli() }

var families = []tasks.Lane{
	normal, deadlineOf(60), deadlineOf(61), deadlineOf(62), // more lanes of a project than one look reads
	{Project: "blog", Kind: tasks.SrcImage, Operation: tasks.Invalidate, DeadlineSeconds: tasks.NoDeadline, Priority: tasks.Normal},
}

// begin notes the start of a call, and finds every limit kept.
func (m *model) begin(b Batch, claimed bool) {
	now := m.nowMS()
	require.LessOrEqual(m.rt, len(b.Items), m.pace.MaxItems, "invariant 3")
	if most := m.most[b.Lane.Kind]; claimed && most > 0 {
		require.LessOrEqual(m.rt, len(b.Items), most, "more than was learned")
	}
	require.GreaterOrEqual(m.rt, now, m.paused, "a call while the account pauses")
	probe := false
	for _, scope := range []string{ScopeAccount, ScopeProject(b.Lane.Project)} {
		if h := m.holds[scope]; h != nil {
			require.GreaterOrEqual(m.rt, now, h.next, "a call during the hold of %s", scope)
			h.next = now + max(h.step, m.pace.Lease.Milliseconds())
			probe = true
		}
	}
	require.Equal(m.rt, probe, b.Probe, "a probe knows that it is one")
	m.calls = append(m.calls, began{now, b.Lane.Project, len(b.Items), b.Lane.Priority == tasks.Urgent})
	m.checkBudget()
	m.checkSpread()
}

// checkBudget looks at the window that ends with the last call.
func (m *model) checkBudget() {
	if m.pace.Calls == 0 {
		return
	}
	last := m.calls[len(m.calls)-1]
	room := m.pace.Calls
	if !last.urgent {
		room -= m.pace.Reserve
	}
	n := 0
	for _, c := range m.calls {
		if c.at > last.at-m.pace.Per.Milliseconds() {
			n++
		}
	}
	require.LessOrEqual(m.rt, n, room, "invariant 4: the calls of a window")
}

// checkSpread looks at every stretch of time that ends with the last call.
func (m *model) checkSpread() {
	last := m.calls[len(m.calls)-1]
	if m.pace.Rate == 0 || m.pace.MaxDelay > 0 || last.urgent {
		return
	}
	sum := 0
	for _, c := range slices.Backward(m.calls) {
		if c.project == last.project && !c.urgent {
			sum += c.items
			most := m.pace.Burst + m.pace.Rate*float64(last.at-c.at)/1000 + float64(m.pace.MaxItems)
			require.LessOrEqual(m.rt, float64(sum), most, "invariant 4: the items of a project")
		}
	}
}

// check holds the state of Redis against what was promised.
func (m *model) check(*rapid.T) {
	m.step++
	steps++
	now := m.nowMS()
	latest := map[string]int64{} // family and item → until when a call is certain to come
	for _, family := range families {
		for _, p := range tasks.Priorities {
			lane := family.With(p)
			again := m.again(lane)
			pending := m.pending(lane)
			for item, due := range pending {
				name := family.Family() + item
				_, twice := latest[name]
				require.False(m.rt, twice, "invariant 2: %s is pending twice", name)
				latest[name] = max(due, lastOf(again[item], due, now))
				delete(again, item)
			}
			require.Empty(m.rt, again, "later purges of what is not pending in %s", lane.ID())
			m.checkReady(lane, pending)
		}
	}
	for _, w := range m.wishes {
		if !w.kept {
			promised := false
			for name := range w.since() {
				until, pending := latest[w.family+name]
				promised = promised || pending && (w.due <= now || w.due <= until)
			}
			require.True(m.rt, promised || m.carried(w), "invariant 1: lost: %+v", *w)
		}
	}
	require.LessOrEqual(m.rt, m.rdb.ZCard(m.ctx(), keysOf("acme").inflight()).Val(), int64(m.pace.InFlight), "calls in flight")
	m.checkHolds()
	m.checkReceipts(false)
}

func (m *model) checkHolds() {
	want, got := map[string]int64{}, map[string]int64{}
	for scope, h := range m.holds {
		want[scope] = h.next
	}
	holds, err := m.Holds(m.ctx(), "acme")
	require.NoError(m.rt, err)
	for _, h := range holds {
		got[h.Scope] = h.Next.UnixMilli()
	}
	require.Equal(m.rt, want, got, "next probes")
}

// carried reports whether a batch that started in time holds the item still.
func (m *model) carried(w *wish) bool {
	leased := m.rdb.HGetAll(m.ctx(), keysOf("acme").batches()).Val()
	return slices.ContainsFunc(m.batches, func(b *stage) bool {
		_, lease := leased[b.ID]
		return (lease || b.stored) && w.servedBy(b)
	})
}

// lastOf is when the last call that an entry of `again` promises may be due: a rebound
// counts from a claim that is still to come.
func lastOf(entry string, first, now int64) int64 {
	last := first
	for part := range strings.SplitSeq(entry, ",") {
		at, rebound := first, int64(0)
		if strings.HasPrefix(part, "+") {
			_, _ = fmt.Sscanf(part, "+%d", &rebound)
		} else {
			_, _ = fmt.Sscanf(part, "%d+%d", &at, &rebound)
		}
		if rebound > 0 {
			at = max(at, now) + rebound
		}
		last = max(last, at)
	}
	return last
}

// checkReady: what is pending is offered, and no later than linger, spread and
// the hold of its project ask for.
func (m *model) checkReady(lane tasks.Lane, pending map[string]int64) {
	k := keysOf("acme")
	if len(pending) == 0 {
		return
	}
	ready, err := m.rdb.ZScore(m.ctx(), k.ready(lane.Priority), lane.ID()).Result()
	require.NoError(m.rt, err, "%s is not ready", lane.ID())
	require.True(m.rt, m.rdb.HExists(m.ctx(), k.lanes(), lane.ID()).Val())
	m.checkLine(lane, int64(ready))
	turn, err := m.rdb.ZScore(m.ctx(), k.turn(lane.Priority), lane.Project).Result()
	require.NoError(m.rt, err, "%s has no turn", lane.Project)
	ahead := m.rdb.ZScore(m.ctx(), k.ahead(), lane.ID()).Val()
	at := readyAt(ready, turn, ahead).UnixMilli()
	first := slices.Min(slices.Collect(maps.Values(pending)))
	latest := max(m.nowMS(), first+m.pace.Linger.Milliseconds()) + m.pace.MaxDelay.Milliseconds()
	if h := m.holds[ScopeProject(lane.Project)]; h != nil {
		latest = max(latest, h.next)
	}
	if m.pace.MaxDelay == 0 {
		spread, _ := m.rdb.HGet(m.ctx(), k.spread(lane.Project), "until").Int64()
		latest = max(latest, spread)
	}
	require.LessOrEqual(m.rt, at, latest, "%s is ready late", lane.ID())
}

// checkLine: a ready lane is in the line of its project once, at its time.
func (m *model) checkLine(lane tasks.Lane, ready int64) {
	var found []string
	rest := strings.TrimPrefix(lane.ID(), lane.Project)
	for _, member := range m.rdb.ZRange(m.ctx(), keysOf("acme").order(), 0, -1).Val() {
		if strings.HasPrefix(member, lane.Project+":") && strings.HasSuffix(member, rest) {
			found = append(found, member)
		}
	}
	require.Equal(m.rt, []string{fmt.Sprintf("%s:%d:%015d%s", lane.Project, rank(lane.Priority), ready, rest)}, found)
}

// stillFailed lists the items that have a count of what they failed.
func (m *model) stillFailed() []string {
	var all []string
	for _, lane := range families {
		entries, err := m.rdb.HKeys(m.ctx(), keysOf("acme").failed(lane)).Result()
		require.NoError(m.rt, err)
		all = append(all, entries...)
	}
	return all
}

// drain lets everything come to its end, and finds every promise kept.
func (m *model) drain() {
	for range 2000 {
		busy := false
		for _, b := range m.batches {
			if stored(b) {
				busy = true
				m.attemptOf(b, false)
			}
			if b.running {
				m.keep(b, Purged)
				m.end(b, true)
				b.stored = false
			}
		}
		m.sweep(nil)
		for _, ready := range m.peek().Ready {
			if got := m.claimOf(ready.Lane); got.Batch != nil {
				m.take(*got.Batch)
				busy = true
			}
		}
		s := m.status()
		if !busy && len(s.Lanes) == 0 && len(s.InFlight) == 0 {
			break
		}
		m.step++
		if busy {
			m.pass(time.Second)
		} else {
			m.pass(20 * time.Second)
		}
	}
	for _, w := range m.wishes {
		assert.True(m.rt, w.kept, "invariant 1: never purged: %+v", *w)
	}
	for _, lane := range families {
		for _, p := range tasks.Priorities {
			assert.Empty(m.rt, m.again(lane.With(p)))
		}
	}
	m.checkReceipts(true)
	for _, of := range []string{"receipts", "carried", "origins"} {
		if of == "origins" && m.collapsed {
			// A line has the moment that was asked for, a later purge the end of that second: what
			// is collapsed in between parts them. The line is in nobody's way and expires.
			continue
		}
		left, err := m.rdb.Keys(m.ctx(), "edgepurge:{acme}:"+of+":*").Result()
		require.NoError(m.rt, err)
		assert.Empty(m.rt, left, "nobody waits for them any more")
	}
	if !m.collapsed { // those of collapsed items are void, and expire
		assert.Empty(m.rt, m.stillFailed(), "counts of items that wait no more")
	}
}

// checkReceipts: no item is counted before its call came, and in the end each is
// counted once.
func (m *model) checkReceipts(ended bool) {
	asked, kept := map[string]int{}, map[string]int{}
	for _, w := range m.wishes {
		if w.receipt != "" {
			asked[w.receipt]++
			if w.kept {
				kept[w.receipt]++
			}
		}
	}
	for id := range asked {
		n := m.counted(id)
		require.LessOrEqual(m.rt, n.purged+n.dead, kept[id], "receipt %s counts what did not happen", id)
		if ended {
			require.Equal(m.rt, asked[id], n.purged+n.dead, "receipt %s", id)
		}
	}
}

// steps counts those of a run.
var steps int

func TestInvariants1To4_UnderAnyInterleaving(t *testing.T) {
	// Thousands of steps: one costs a millisecond, on miniredis two.
	for name, value := range map[string]string{"rapid.checks": "50", "rapid.steps": "50"} {
		if f := flags.Lookup(name); f.Value.String() == f.DefValue {
			require.NoError(t, f.Value.Set(value))
			t.Cleanup(func() { _ = f.Value.Set(f.DefValue) })
		}
	}
	t.Run("miniredis", func(t *testing.T) {
		rdb, server := redistest.Mini(t)
		interleave(t, rdb, server)
	})
	t.Run("redis-server", func(t *testing.T) {
		rdb, hands := wound(t)
		interleave(t, rdb, hands)
	})
}

func interleave(t *testing.T, rdb redis.UniversalClient, clock clock) {
	t.Helper()
	steps = 0
	rapid.Check(t, func(rt *rapid.T) {
		require.NoError(rt, rdb.FlushAll(t.Context()).Err())
		clock.SetTime(epoch)
		m := &model{rig: newRig(rt, rdb), rt: rt, holds: map[string]*held{}, ended: map[string]int64{}, most: map[tasks.Kind]int{}, failed: map[string]failed{}}
		m.clock = clock
		m.pace.Linger, m.pace.MaxItems, m.pace.Full, m.pace.Lease = 200*time.Millisecond, 2, 2, 10*time.Second
		m.pace.Calls, m.pace.Per, m.pace.Reserve = rapid.SampledFrom([]int{0, 5}).Draw(rt, "budget"), 5*time.Second, 1
		m.pace.InFlight = rapid.SampledFrom([]int{100, 3}).Draw(rt, "in flight")
		m.pace.Rate, m.pace.Burst = rapid.SampledFrom([]float64{0, 1}).Draw(rt, "rate"), 4
		m.pace.MaxDelay = rapid.SampledFrom([]time.Duration{0, 10 * time.Second}).Draw(rt, "max delay")
		rt.Repeat(m.actions())
		m.drain()
	})
	t.Logf("%d steps", steps)
}
