package lanes

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/edgepurge/edgepurge/tasks"
)

// actions are what may happen at any step.
func (m *model) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"": m.check, "absorb": m.absorbSome, "absorb more": m.absorbSome, "absorb again": m.absorbAgain,
		"claim": m.claimSome, "claim more": m.claimSome, "succeed": m.succeed, "go on": m.goOn, "die": m.die, "retry": m.retry,
		"crash": m.crash, "hand back": m.handBack, "split": m.split, "attempt": m.attemptSome, "sweep": m.sweep,
		"pass": m.passSome, "rate limit": m.limit, "resume": m.resume, "hold": m.hold, "release": m.release,
		"probe": m.probe, "adapt": m.adapt, "learn": m.learn, "collapse": m.collapseSome,
		"survey": m.survey,
	}
}

func (m *model) drawLane() tasks.Lane {
	lane := rapid.SampledFrom(families).Draw(m.rt, "family")
	return lane.With(rapid.SampledFrom(tasks.Priorities[:]).Draw(m.rt, "priority"))
}

func (m *model) drawMS(name string, of ...int) time.Duration {
	return time.Duration(rapid.SampledFrom(of).Draw(m.rt, name)) * time.Millisecond
}

func (m *model) absorbSome(*rapid.T) {
	a := Absorption{
		Request: m.id("request-"), Lane: m.drawLane(),
		Items:   rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 1, 3, rapid.ID).Draw(m.rt, "items"),
		Settle:  m.drawMS("settle", 0, 0, 0, 300, 1500, 60_000),
		Rebound: m.drawMS("rebound", 0, 0, 0, 700, 20_000),
	}
	if wait := m.drawMS("not before", 0, 0, 0, 90_000); wait > 0 {
		a.NotBefore = m.time().Add(wait)
	}
	if rapid.Bool().Draw(m.rt, "tracked") {
		a.Receipt = a.Request
	}
	m.ask(a)
	m.last = a
	due := max(m.nowMS()+a.Settle.Milliseconds(), a.NotBefore.UnixMilli())
	for _, item := range a.Items {
		m.wishes = append(m.wishes, &wish{family: a.Lane.Family(), item: item, accepted: m.step, due: due, rebound: a.Rebound.Milliseconds(), receipt: a.Receipt})
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
	got := m.claimOf(m.drawLane())
	if got.Batch == nil {
		return
	}
	b := *got.Batch
	if rapid.Bool().Draw(m.rt, "reply lost") {
		again, err := m.Claim(m.ctx(), m.pace, b.Lane, b.ID)
		require.NoError(m.rt, err)
		require.Equal(m.rt, got, again)
	}
	m.take(b)
}

// claimOf claims, and finds that the batch counts on from what its items have failed.
func (m *model) claimOf(lane tasks.Lane) Claim {
	waiting := m.pending(lane)
	got := m.tryClaim(lane)
	m.counts(got.Batch, waiting)
	return got
}

func (m *model) counts(b *Batch, waiting map[string]int64) {
	if b == nil {
		return
	}
	for _, item := range b.Items {
		name, times := b.Lane.Family()+item, 0
		if f, ok := m.failed[name]; ok && f.due == waiting[item] {
			times = f.times
		}
		delete(m.failed, name)
		require.Equal(m.rt, times+1, b.Attempt, "%s goes with items that failed as often", item)
	}
}

// take starts the call of a batch that was claimed; its rebounds are promised now.
func (m *model) take(b Batch) {
	m.begin(b, true)
	s := &stage{Batch: b, attempt: b.Attempt, step: m.step, start: m.nowMS(), running: true}
	m.batches = append(m.batches, s)
	for _, w := range m.wishes {
		name := cmp.Or(w.as, w.item)
		if w.family == b.Lane.Family() && slices.Contains(b.Items, name) && w.due <= m.nowMS() && !w.claimed {
			w.claimed = true
			s.promised = append(s.promised, w)
			if w.rebound > 0 {
				rebound := &wish{family: w.family, item: name, accepted: m.step, due: m.nowMS() + w.rebound}
				m.wishes, s.rebounds = append(m.wishes, rebound), append(s.rebounds, rebound)
			}
		}
	}
}

// collapseSome replaces what is due in a lane, or goes on with what is claimed meanwhile.
func (m *model) collapseSome(*rapid.T) {
	lane, to := m.drawLane(), rapid.SampledFrom([]string{"d", "*"}).Draw(m.rt, "to")
	items := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 1, 4, rapid.ID).Draw(m.rt, "items")
	pending, replaced := m.pending(lane), map[string]bool{}
	for _, item := range items {
		due, ok := pending[item]
		replaced[item] = ok && due <= m.nowMS() && item != to
	}
	maps.DeleteFunc(replaced, func(_ string, was bool) bool { return !was })
	id := m.id("collapse-")
	for range rapid.IntRange(1, 2).Draw(m.rt, "replies lost, and one") {
		n, err := m.Collapse(m.ctx(), m.pace, lane, id, to, items)
		require.NoError(m.rt, err)
		require.Equal(m.rt, len(replaced), n)
	}
	m.collapsed = m.collapsed || len(replaced) > 0
	for _, w := range m.wishes {
		if w.family != lane.Family() || w.due > m.nowMS() {
			continue
		}
		if name := cmp.Or(w.as, w.item); replaced[name] && !w.claimed {
			// A later purge is put off to the end of its second: it is the item's own still, and so
			// is its rebound.
			at, stays := m.pending(lane)[name]
			own := stays && at <= (w.due+999)/1000*1000 && w.rebound > 0 && reboundOf(m.again(lane)[name]) >= w.rebound
			if !own {
				w.as = to
			}
		}
		for name := range w.since() {
			if _, before := w.instead[to]; replaced[name] && !before {
				if w.instead == nil {
					w.instead = map[string]int{}
				}
				w.instead[to] = m.step
			}
		}
	}
}

// reboundOf is the rebound of the pending purge in an entry of `again`, in ms; 0: none.
func reboundOf(entry string) int64 {
	var rebound int64
	_, _ = fmt.Sscanf(entry[strings.LastIndex(entry, ",")+1:], "+%d", &rebound)
	return rebound
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
	leased := m.rdb.HExists(m.ctx(), keysOf("acme").batches(), b.ID).Val()
	_, err := m.Finish(m.ctx(), "acme", b.Batch, b.attempt, succeeded)
	require.NoError(m.rt, err)
	b.running = false
	if succeeded && leased && b.Probe {
		scopes := []string{ScopeAccount, ScopeProject(b.Lane.Project)}
		lifted := m.holds[scopes[0]] != nil || m.holds[scopes[1]] != nil
		for _, scope := range scopes {
			delete(m.holds, scope)
			if lifted {
				m.ended[scope] = m.nowMS()
			}
		}
	}
}

// keep marks what a call (or a dead letter) that began at a step settles.
func (m *model) keep(b *stage, outcome Outcome) {
	for range 2 { // the reply was lost, say
		require.NoError(m.rt, m.Settle(m.ctx(), "acme", b.Batch, outcome))
	}
	for _, w := range m.wishes {
		if w.servedBy(b) {
			w.kept = true
		}
	}
}

func (m *model) succeed(t *rapid.T) {
	b := m.draw(t, running)
	m.keep(b, Purged)
	m.end(b, true)
	b.stored = false
}

// goOn is a success and the next claim in one exchange.
func (m *model) goOn(t *rapid.T) {
	b := m.draw(t, func(b *stage) bool { return b.running && !b.Probe })
	m.keep(b, Purged)
	b.running, b.stored = false, false
	lane := m.drawLane()
	waiting := m.pending(lane)
	got, err := m.FinishAndClaim(m.ctx(), m.pace, b.Batch, b.attempt, lane, m.id("batch-"))
	require.NoError(m.rt, err)
	m.counts(got.Batch, waiting)
	if got.Batch != nil {
		m.take(*got.Batch)
	}
}

func (m *model) die(t *rapid.T) { m.bury(t, m.draw(t, running)) }

func (m *model) bury(t *rapid.T, b *stage) {
	m.keep(b, Died)
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

// crash is a worker's end before it stored anything, or Redis's before it took it.
func (m *model) crash(t *rapid.T) { m.draw(t, running).running = false }

func (m *model) handBack(t *rapid.T) { m.giveBack(m.draw(t, running)) }

func (m *model) giveBack(b *stage) {
	m.putBack(b.Batch, false)
	m.end(b, false)
	b.stored = false
}

// putBack restores a batch: the rebounds that its claim promised count from the next one,
// and its items keep what they have failed.
func (m *model) putBack(b Batch, onlyExpired bool) {
	before := map[string]failed{}
	for _, item := range b.Items {
		name := b.Lane.Family() + item
		if f := m.failed[name]; f.times > 0 && m.dueOf(b.Lane, item) == f.due {
			before[name] = f
		}
	}
	if !m.restore(b, onlyExpired) {
		return
	}
	for _, s := range m.batches {
		if s.ID == b.ID {
			for _, w := range s.promised {
				w.claimed = false
			}
			m.wishes = slices.DeleteFunc(m.wishes, func(w *wish) bool { return slices.Contains(s.rebounds, w) })
			s.promised, s.rebounds = nil, nil
		}
	}
	for _, item := range b.Items {
		name := b.Lane.Family() + item
		delete(m.failed, name)
		if times := max(b.Attempt-1, before[name].times); times > 0 {
			m.failed[name] = failed{times, m.dueOf(b.Lane, item)}
		}
	}
}

// dueOf is when an item is due that waits in some lane of a family; 0: in none.
func (m *model) dueOf(lane tasks.Lane, item string) int64 {
	for _, p := range tasks.Priorities {
		if due, ok := m.pending(lane.With(p))[item]; ok {
			return due
		}
	}
	return 0
}

func (m *model) split(t *rapid.T) {
	b := m.draw(t, running)
	for i, item := range b.Items {
		half := *b
		half.ID, half.Items, half.Terms = fmt.Sprintf("%s.%d", b.ID, i), []string{item}, b.Terms.Slice(i, i+1)
		half.attempt, half.running, half.stored = b.attempt-1, false, true
		others := func(w *wish) bool { return cmp.Or(w.as, w.item) != item }
		half.promised = slices.DeleteFunc(slices.Clone(b.promised), others)
		half.rebounds = slices.DeleteFunc(slices.Clone(b.rebounds), others)
		m.batches = append(m.batches, &half)
	}
	m.end(b, false)
	b.stored = false
}

func (m *model) attemptSome(t *rapid.T) { m.attemptOf(m.draw(t, stored), rapid.Bool().Draw(t, "half")) }

func (m *model) attemptOf(b *stage, half bool) {
	b.Attempt = b.attempt + 1
	got := m.acquire(b.Batch, b.Attempt, half)
	switch {
	case got.Refused == Superseded:
		b.stored = false
	case got.Refused != "" && half: // it comes back
	case got.Refused != "":
		m.putBack(b.Batch, false)
		b.stored = false
	default:
		b.attempt++
		b.running = true
		b.Probe, b.Tracked = got.Batch.Probe, got.Batch.Tracked
		m.begin(*got.Batch, false)
		require.Equal(m.rt, got, m.acquire(b.Batch, b.attempt, half))
	}
}

func (m *model) sweep(*rapid.T) {
	for _, b := range m.expired() {
		m.putBack(b, true)
	}
}

// survey is a worker's, perhaps of one of another pace, as in a rolling restart.
func (m *model) survey(t *rapid.T) {
	pace := m.pace
	if rapid.Bool().Draw(t, "another pace") {
		pace.Linger, pace.Rate, pace.Burst = m.drawMS("linger", 0, 30_000), rapid.SampledFrom([]float64{0, 0.1, 100}).Draw(t, "rate"), 4
		pace.MaxDelay = m.drawMS("max delay", 0, 500, 60_000)
	}
	paceOf := func(tasks.Lane) Pace { return pace }
	_, late, err := m.Survey(m.ctx(), "acme", paceOf)
	require.NoError(m.rt, err)
	require.NoError(m.rt, m.Offer(m.ctx(), "acme", late, paceOf))
}

func (m *model) passSome(*rapid.T) { m.pass(m.drawMS("ms", 1, 200, 1000, 5000, 30_000)) }

// limit is a 429.
func (m *model) limit(t *rapid.T) {
	b := m.draw(t, running)
	wait := m.drawMS("pause", 1, 700, 20_000)
	require.NoError(m.rt, m.PauseLimited(m.ctx(), m.pace, wait, rapid.SampledFrom([]int{0, 2}).Draw(t, "limit"), ulid.Make().String(), 1))
	m.paused = max(m.paused, m.nowMS()+wait.Milliseconds())
	m.giveBack(b)
}

// resume is an operator's, and forgets all that answers taught.
func (m *model) resume(*rapid.T) {
	require.NoError(m.rt, m.Resume(m.ctx(), "acme"))
	m.paused = 0
	clear(m.most)
}

// hold is a 401, 403, 402, 404 or 410.
func (m *model) hold(t *rapid.T) { m.holdBecauseOf(t, m.draw(t, running)) }

// probe waits for the next probe of some hold and, if there is one, lets it end.
func (m *model) probe(t *rapid.T) {
	var next []int64
	for _, h := range m.holds {
		next = append(next, h.next)
	}
	if len(next) == 0 {
		t.Skip("nothing is held")
	}
	m.pass(time.Duration(max(0, slices.Min(next)-m.nowMS())) * time.Millisecond)
	for _, ready := range m.peek().Ready {
		got := m.claimOf(ready.Lane)
		if got.Batch == nil {
			continue
		}
		m.take(*got.Batch)
		b := m.batches[len(m.batches)-1]
		if rapid.Bool().Draw(t, "in vain") {
			m.holdBecauseOf(t, b)
			return
		}
		m.keep(b, Purged)
		m.end(b, true)
		return
	}
}

func (m *model) holdBecauseOf(t *rapid.T, b *stage) {
	scope := rapid.SampledFrom([]string{ScopeAccount, ScopeProject(b.Lane.Project)}).Draw(t, "scope")
	reason := "unauthorized"
	if scope != ScopeAccount {
		reason = "project_missing"
	}
	by := fmt.Sprintf("%s#%d", b.ID, b.attempt)
	if max(m.ended[scope], m.ended[ScopeAccount]) >= b.ClaimedAt.UnixMilli() {
		got, err := m.Hold(m.ctx(), "acme", scope, reason, "Not authorized", b.Batch, b.attempt)
		require.NoError(m.rt, err)
		require.False(m.rt, got.Created, "a call that began before the hold ended has no say")
		m.giveBack(b)
		return
	}
	switch h := m.holds[scope]; {
	case h == nil:
		m.holds[scope] = &held{next: m.nowMS() + 60_000, step: 60_000, by: by, created: true}
	case h.by == by: // of a batch that was restored, say, while the worker was stopped
	case b.Probe:
		step := min(2*h.step, 900_000)
		m.holds[scope] = &held{next: m.nowMS() + step, step: step, by: by}
	}
	h := m.holds[scope]
	for range rapid.IntRange(1, 2).Draw(t, "replies lost, and one") {
		got, err := m.Hold(m.ctx(), "acme", scope, reason, "Not authorized", b.Batch, b.attempt)
		require.NoError(m.rt, err)
		require.Equal(m.rt, Held{Created: h.created && h.by == by, Scope: scope}, got, "one dead letter a hold")
	}
	if h.created && h.by == by {
		m.bury(t, b)
	} else {
		m.giveBack(b)
	}
}

// release is an operator's.
func (m *model) release(t *rapid.T) {
	scope := rapid.SampledFrom([]string{ScopeAccount, ScopeProject("prj"), ScopeProject("blog")}).Draw(t, "scope")
	released, err := m.Release(m.ctx(), "acme", scope)
	require.NoError(m.rt, err)
	require.Equal(m.rt, m.holds[scope] != nil, released)
	if released {
		m.ended[scope] = m.nowMS()
	}
	delete(m.holds, scope)
}

func (m *model) adapt(t *rapid.T) {
	event := rapid.SampledFrom([]Event{Succeeded, Failed, Restarted}).Draw(t, "event")
	require.NoError(m.rt, m.Adapt(m.ctx(), m.pace, event, rapid.SampledFrom([]int{0, 4}).Draw(t, "told")))
}

func (m *model) learn(*rapid.T) {
	require.NoError(m.rt, m.LearnMax(m.ctx(), "acme", tasks.Tag, 1))
	m.most[tasks.Tag] = 1
}
