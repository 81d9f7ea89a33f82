package lanes

import (
	flags "flag" // the package has a func flag
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

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
}

// stage is where a batch is, besides its lease in Redis.
type stage struct {
	Batch
	attempt int
	step    int   // of its first start, and
	start   int64 // when that was
	running bool  // a worker makes the call
	stored  bool  // purge:call is in asynq
}

// model is a plain picture of what producers were promised. It knows nothing of
// how Redis keeps it.
type model struct {
	*rig
	rt      *rapid.T
	step    int
	wishes  []*wish
	batches []*stage
	last    Absorption // for the repeats of go-redis
}

func (m *model) nowMS() int64 { return m.time().UnixMilli() }

var families = []tasks.Lane{normal, {Project: "prj", Kind: tasks.SrcImage, Operation: tasks.Invalidate, DeadlineSeconds: tasks.NoDeadline, Priority: tasks.Normal}}

func (m *model) drawLane() tasks.Lane {
	lane := rapid.SampledFrom(families).Draw(m.rt, "family")
	return lane.With(rapid.SampledFrom(tasks.Priorities[:]).Draw(m.rt, "priority"))
}

func (m *model) absorbSome(*rapid.T) {
	ms := func(name string, of ...int) time.Duration {
		return time.Duration(rapid.SampledFrom(of).Draw(m.rt, name)) * time.Millisecond
	}
	a := Absorption{
		Request: m.id("request-"), Lane: m.drawLane(),
		Items:   rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 1, 3, rapid.ID).Draw(m.rt, "items"),
		Settle:  ms("settle", 0, 0, 0, 300, 1500, 60_000),
		Rebound: ms("rebound", 0, 0, 0, 700, 20_000),
	}
	if wait := ms("not before", 0, 0, 0, 90_000); wait > 0 {
		a.NotBefore = m.time().Add(wait)
	}
	m.ask(a)
	m.last = a
	due := max(m.nowMS()+a.Settle.Milliseconds(), a.NotBefore.UnixMilli())
	for _, item := range a.Items {
		m.wishes = append(m.wishes, &wish{family: a.Lane.Family(), item: item, accepted: m.step, due: due, rebound: a.Rebound.Milliseconds()})
	}
}

// absorbAgain is go-redis, whose reply was lost.
func (m *model) absorbAgain(t *rapid.T) {
	if m.last.Request == "" {
		t.Skip("nothing was absorbed")
	}
	m.ask(m.last)
}

func (m *model) claimSome(*rapid.T) {
	got := m.tryClaim(m.drawLane())
	if got.Batch == nil {
		return
	}
	b := *got.Batch
	if rapid.Bool().Draw(m.rt, "reply lost") {
		again, err := m.Claim(m.ctx(), m.pace, b.Lane, b.ID)
		require.NoError(m.rt, err)
		require.Equal(m.rt, got, again)
	}
	m.batches = append(m.batches, &stage{Batch: b, attempt: 1, step: m.step, start: m.nowMS(), running: true})
	for _, w := range m.wishes {
		if w.family == b.Lane.Family() && slices.Contains(b.Items, w.item) && w.due <= m.nowMS() && !w.claimed {
			w.claimed = true
			if w.rebound > 0 {
				m.wishes = append(m.wishes, &wish{family: w.family, item: w.item, accepted: m.step, due: m.nowMS() + w.rebound})
			}
		}
	}
}

// draw picks a batch that is in a state.
func (m *model) draw(t *rapid.T, in func(*stage) bool) *stage {
	var fit []*stage
	for _, b := range m.batches {
		if in(b) {
			fit = append(fit, b)
		}
	}
	if len(fit) == 0 {
		t.Skip("no such batch")
	}
	return rapid.SampledFrom(fit).Draw(t, "batch")
}

func running(b *stage) bool { return b.running }
func stored(b *stage) bool  { return b.stored && !b.running }

func (m *model) end(b *stage, succeeded bool) {
	_, err := m.Finish(m.ctx(), "acme", b.Batch, b.attempt, succeeded)
	require.NoError(m.rt, err)
	b.running = false
}

// keep marks what a call (or a dead letter) that began at a step settles.
func (m *model) keep(b *stage) {
	for _, w := range m.wishes {
		if w.family == b.Lane.Family() && slices.Contains(b.Items, w.item) && w.accepted <= b.step && w.due <= b.start {
			w.kept = true
		}
	}
}

func (m *model) succeed(t *rapid.T) {
	b := m.draw(t, running)
	m.keep(b)
	m.end(b, true)
	b.stored = false
}

func (m *model) die(t *rapid.T) {
	b := m.draw(t, running)
	m.keep(b)
	b.stored = rapid.Bool().Draw(t, "replayed")
	m.end(b, false)
	b.attempt = 0
}

func (m *model) retry(t *rapid.T) {
	b := m.draw(t, running)
	b.stored = true
	if rapid.Bool().Draw(t, "finished") {
		m.end(b, false)
	}
	b.running = false // else it died in between
}

func (m *model) crash(t *rapid.T) { m.draw(t, running).running = false }

func (m *model) handBack(t *rapid.T) {
	b := m.draw(t, running)
	m.restore(b.Batch, false)
	m.end(b, false)
	b.stored = false
}

func (m *model) split(t *rapid.T) {
	b := m.draw(t, running)
	for i, item := range b.Items {
		half := *b
		half.ID, half.Items, half.attempt, half.running, half.stored = fmt.Sprintf("%s.%d", b.ID, i), []string{item}, 0, false, true
		m.batches = append(m.batches, &half)
	}
	m.end(b, false)
	b.stored = false
}

func (m *model) attemptSome(t *rapid.T) { m.attemptOf(m.draw(t, stored), rapid.Bool().Draw(t, "half")) }

func (m *model) attemptOf(b *stage, half bool) {
	got := m.acquire(b.Batch, b.attempt+1, half)
	switch {
	case got.Refused == Superseded:
		b.stored = false
	case got.Refused != "" && half: // it comes back
	case got.Refused != "":
		m.restore(b.Batch, false)
		b.stored = false
	default:
		b.attempt++
		b.running = true
		require.Equal(m.rt, got, m.acquire(b.Batch, b.attempt, half))
	}
}

func (m *model) sweep(*rapid.T) {
	for _, b := range m.expired() {
		m.restore(b, true)
	}
}

func (m *model) passSome(*rapid.T) {
	m.pass(time.Duration(rapid.SampledFrom([]int{1, 200, 1000, 5000, 30_000}).Draw(m.rt, "ms")) * time.Millisecond)
}

// check holds the state of Redis against what was promised.
func (m *model) check(*rapid.T) {
	m.step++
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
				latest[name] = max(due, lastOf(again[item], due))
				delete(again, item)
			}
			require.Empty(m.rt, again, "later purges of what is not pending in %s", lane.ID())
			m.checkReady(lane, pending)
		}
	}
	for _, w := range m.wishes {
		if !w.kept {
			until, pending := latest[w.family+w.item]
			require.True(m.rt, pending && (w.due <= now || w.due <= until) || m.carried(w), "invariant 1: lost: %+v", *w)
		}
	}
}

// carried reports whether a batch that started in time holds the item still.
func (m *model) carried(w *wish) bool {
	leased := m.rdb.HGetAll(m.ctx(), keysOf("acme").batches()).Val()
	return slices.ContainsFunc(m.batches, func(b *stage) bool {
		_, lease := leased[b.ID]
		return (lease || b.stored) && b.Lane.Family() == w.family && slices.Contains(b.Items, w.item) && w.accepted <= b.step && w.due <= b.start
	})
}

// lastOf is when the last call that an entry of `again` promises may be due.
func lastOf(entry string, first int64) int64 {
	last := first
	for part := range strings.SplitSeq(entry, ",") {
		at, rebound := first, int64(0)
		if strings.HasPrefix(part, "+") {
			_, _ = fmt.Sscanf(part, "+%d", &rebound)
		} else {
			_, _ = fmt.Sscanf(part, "%d+%d", &at, &rebound)
		}
		last = max(last, at+rebound)
	}
	return last
}

// checkReady: what is pending is offered, and no later than it has lingered.
func (m *model) checkReady(lane tasks.Lane, pending map[string]int64) {
	k := keysOf("acme")
	if len(pending) == 0 {
		return
	}
	at, err := m.rdb.ZScore(m.ctx(), k.ready(lane.Priority), lane.ID()).Result()
	require.NoError(m.rt, err, "%s is not ready", lane.ID())
	require.True(m.rt, m.rdb.HExists(m.ctx(), k.lanes(), lane.ID()).Val())
	first := slices.Min(slices.Collect(maps.Values(pending)))
	require.LessOrEqual(m.rt, int64(at), max(m.nowMS(), first+m.pace.Linger.Milliseconds())+m.pace.MaxDelay.Milliseconds())
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
				m.keep(b)
				m.end(b, true)
				b.stored = false
			}
		}
		m.sweep(nil)
		for _, ready := range m.peek().Ready {
			if got := m.tryClaim(ready.Lane); got.Batch != nil {
				m.batches = append(m.batches, &stage{Batch: *got.Batch, attempt: 1, step: m.step, start: m.nowMS(), running: true})
				busy = true
			}
		}
		s := m.status()
		if !busy && len(s.Lanes) == 0 && len(s.InFlight) == 0 {
			break
		}
		m.pass(time.Second)
		m.step++
	}
	for _, w := range m.wishes {
		assert.True(m.rt, w.kept, "invariant 1: never purged: %+v", *w)
	}
	for _, lane := range families {
		for _, p := range tasks.Priorities {
			assert.Empty(m.rt, m.again(lane.With(p)))
		}
	}
}

func TestInvariant1And2_UnderAnyInterleaving(t *testing.T) {
	if f := flags.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		require.NoError(t, f.Value.Set("15")) // a step costs a millisecond
		defer func() { _ = f.Value.Set(f.DefValue) }()
	}
	rdb, server := redistest.Mini(t)
	rapid.Check(t, func(rt *rapid.T) {
		server.FlushAll()
		server.SetTime(epoch)
		m := &model{rig: newRig(rt, rdb), rt: rt}
		m.clock = server
		m.pace.Linger, m.pace.MaxItems, m.pace.Full, m.pace.Lease = 200*time.Millisecond, 2, 2, 10*time.Second
		m.pace.Calls, m.pace.Per, m.pace.Reserve = rapid.SampledFrom([]int{0, 5}).Draw(rt, "budget"), 5*time.Second, 1
		m.pace.Rate, m.pace.Burst, m.pace.MaxDelay = rapid.SampledFrom([]float64{0, 1}).Draw(rt, "rate"), 4, 10*time.Second
		rt.Repeat(map[string]func(*rapid.T){
			"": m.check, "absorb": m.absorbSome, "absorb again": m.absorbAgain, "claim": m.claimSome, "claim more": m.claimSome,
			"succeed": m.succeed, "die": m.die, "retry": m.retry, "crash": m.crash, "hand back": m.handBack, "split": m.split,
			"attempt": m.attemptSome, "sweep": m.sweep, "pass": m.passSome,
		})
		m.drain()
	})
}
