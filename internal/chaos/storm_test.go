package chaos

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/history"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
)

// storm carries a schedule out.
type storm struct {
	*site
	t        *testing.T
	workers  []*process
	stopped  []stopped // by SIGTERM
	injected map[kind]int
	active   map[kind]bool
	poison   []string
	floods   []*producers
	// refusing is when the API allowed less than the budget.
	refusing []span
	// holding says that an operator has something to release.
	holding bool
	// killed is when workers died whose tasks are still to be excused.
	killed  []time.Time
	excused map[kind]func() // by fault: ends its excuse
	held    []func()        // end the excuses of what is held
	rolls
}

// stopped is a worker that was told to stop.
type stopped struct {
	*process
	at time.Time
}

// span is a stretch of time.
type span struct{ from, to time.Time }

func newStorm(t *testing.T, s *site, workers int) *storm {
	w := &storm{site: s, t: t, injected: map[kind]int{}, active: map[kind]bool{}, excused: map[kind]func(){}}
	for range workers {
		w.workers = append(w.workers, s.worker(t))
	}
	w.setWeather()
	return w
}

// step is the beginning or the end of a fault.
type step struct {
	fault
	at  time.Duration
	end bool
}

// rage goes through the schedule, and ends with everything in order again.
func (w *storm) rage(ctx context.Context, plan []fault) {
	var steps []step
	for _, f := range plan {
		steps = append(steps, step{f, f.at, false}, step{f, f.until, true})
	}
	slices.SortStableFunc(steps, func(a, b step) int { return int(a.at - b.at) })
	if slices.ContainsFunc(plan, func(f fault) bool { return f.kind == roll }) {
		w.askSlowly()
	}
	start := time.Now()
	for _, s := range steps {
		if !sleepUntil(ctx, start.Add(s.at)) {
			return
		}
		if s.end {
			w.end(s.fault)
		} else {
			w.begin(s.fault)
		}
		w.release()
		w.excuseKilled()
	}
}

// redisIsAway reports whether Redis answers nobody at the moment.
func (w *storm) redisIsAway() bool {
	return w.active[killRedis] || w.active[stopRedis] || w.active[hangAtTerm]
}

// excuseKilled excuses what killed workers had in hand, once Redis can be asked.
func (w *storm) excuseKilled() {
	if w.redisIsAway() {
		return
	}
	for _, at := range w.killed {
		w.excuseInHand(w.t, at)
	}
	w.killed = nil
}

func (w *storm) begin(f fault) {
	w.injected[f.kind]++
	w.active[f.kind] = true
	switch f.kind {
	case killRedis, stopRedis, hangAtTerm, fullRedis, silentPeers, apiHangs, apiResets, apiFails:
		w.excused[f.kind] = w.excuse(history.Excuse{})
	case apiRefuses, tokenExpires:
		w.held = append(w.held, w.excuse(history.Excuse{}))
	default: // excuses nobody
	}
	w.strike(f)
	w.setWeather()
}

func (w *storm) strike(f fault) {
	switch f.kind {
	case killWorker:
		w.workers[f.worker].kill()
		w.killed = append(w.killed, time.Now())
	case stopWorker:
		w.workers[f.worker].signal(w.t, syscall.SIGSTOP)
	case termWorker:
		w.term(w.workers[f.worker])
	case killRedis:
		w.redis.Kill(w.t)
	case stopRedis:
		w.redis.Pause(w.t)
	case apiRefuses:
		w.refusing = append(w.refusing, span{from: time.Now()})
		require.NoError(w.t, w.api.SetLimit(emulator.Limit{Calls: max(1, w.calls/20), Per: time.Second}))
	case poisonTag:
		w.askForPoison()
	case flood:
		w.flood()
	case silentPeers:
		w.front.fallSilent()
	case fullRedis:
		require.NoError(w.t, w.rdb.ConfigSet(w.t.Context(), "maxmemory", "1").Err())
	case refusal:
		require.NoError(w.t, w.rdb.Do(w.t.Context(), "ACL", "SETUSER", "default", "-memory").Err())
	case roll:
		w.roll()
	case manyLanes:
		w.askForLanes()
	case hangAtTerm:
		w.redis.Pause(w.t)
		w.term(w.workers[f.worker])
	case orphan:
		w.orphan()
	case apiHangs, apiResets, apiFails, tokenExpires:
	}
}

// term tells a worker to stop.
func (w *storm) term(p *process) {
	p.signal(w.t, syscall.SIGTERM)
	w.stopped = append(w.stopped, stopped{p, time.Now()})
}

func (w *storm) end(f fault) {
	delete(w.active, f.kind)
	if end := w.excused[f.kind]; end != nil {
		defer end()
		delete(w.excused, f.kind)
	}
	switch f.kind {
	case killWorker, termWorker:
		w.workers[f.worker] = w.worker(w.t)
	case stopWorker:
		w.workers[f.worker].signal(w.t, syscall.SIGCONT)
	case killRedis:
		w.restartRedis(w.t)
	case stopRedis:
		w.redis.Resume(w.t)
	case apiRefuses:
		require.NoError(w.t, w.api.SetLimit(w.limit()))
		w.refusing[len(w.refusing)-1].to = time.Now()
		w.holding = true // what a 429 taught is believed for an hour
	case tokenExpires:
		w.holding = true
	case silentPeers:
		w.front.recover()
	case fullRedis:
		require.NoError(w.t, w.rdb.ConfigSet(w.t.Context(), "maxmemory", "0").Err())
	case refusal:
		require.NoError(w.t, w.rdb.Do(w.t.Context(), "ACL", "SETUSER", "default", "+memory").Err())
	case roll:
		w.endRoll()
	case hangAtTerm:
		w.redis.Resume(w.t)
		w.workers[f.worker] = w.worker(w.t)
	case apiHangs, apiResets, apiFails, poisonTag, flood, manyLanes, orphan:
	}
	w.setWeather()
}

// setWeather makes the API as bad as the active faults ask for.
func (w *storm) setWeather() {
	f := emulator.Faults{
		Latency: 2 * time.Millisecond, LatencyJitter: 8 * time.Millisecond,
		AfterEffect: 0.5, HTML: 0.5, PoisonTags: w.poison,
	}
	if w.active[apiHangs] {
		f.Hang = 0.3
	}
	if w.active[apiResets] {
		f.Reset = 0.3
	}
	if w.active[apiFails] {
		f.Status = map[int]float64{500: 0.1, 502: 0.1, 503: 0.1, 408: 0.1}
	}
	if w.active[tokenExpires] {
		f.ExpiredTokens = []string{tokenName}
	}
	require.NoError(w.t, w.api.SetFaults(f))
}

// release does what an operator does when the API is well again. It is tried
// again later if Redis is away.
func (w *storm) release() {
	if !w.holding || w.active[tokenExpires] || w.active[apiRefuses] || w.active[fullRedis] || w.redisIsAway() {
		return
	}
	w.run(w.t, "hold", "release", "--all")
	w.holding = false
	for _, end := range w.held {
		end()
	}
	w.held = nil
}

// termBound is how long a worker may take to end, whatever Redis and the API do.
const termBound = 30 * time.Second

const poison = "poison-"

func (w *storm) askForPoison() {
	n := len(w.poison)
	w.poison = append(w.poison, fmt.Sprint(poison, n))
	w.floods = append(w.floods, w.produce(w.t.Context(), 1, 1, 0, func(int) tasks.Purge {
		return tasks.Purge{
			ID: fmt.Sprint("poison-", n), Project: "shop", Operation: tasks.Delete,
			Tags: []string{tag(1), tag(2), w.poison[n], tag(3), tag(4)},
		}
	}))
}

// flood asks for a great deal of one project at once.
func (w *storm) flood() {
	n := w.injected[flood]
	w.floods = append(w.floods, w.produce(w.t.Context(), 2, 100, 0, func(i int) tasks.Purge {
		p := tasks.Purge{ID: fmt.Sprintf("flood-%d-%d", n, i), Project: "flood", Operation: tasks.Delete}
		for k := range 50 {
			p.Tags = append(p.Tags, fmt.Sprintf("flood-%d", (i*50+k)%3000))
		}
		return p
	}))
}

// calm waits for what the storm has set going, apart from the drain.
func (w *storm) calm() {
	w.release()
	require.False(w.t, w.holding)
	w.endSlowness()
	for _, f := range w.floods {
		f.end(w.t)
	}
	for _, p := range w.stopped {
		require.Zero(w.t, p.exit(w.t, termBound), "%s after SIGTERM", p.name)
		require.Less(w.t, p.end.Sub(p.at), termBound, "%s after SIGTERM", p.name)
	}
	for _, p := range w.workers {
		require.True(w.t, p.running(), "%s has ended by itself", p.name)
	}
}

// refused reports whether the API allowed less than the budget at that time, or
// did a moment before.
func (w *storm) refused(at time.Time) bool {
	return slices.ContainsFunc(w.refusing, func(s span) bool {
		return !at.Before(s.from) && !at.After(s.to.Add(time.Second))
	})
}

// misfits are the calls that the API refused as malformed, the poisonous apart.
func misfits(journal []emulator.Call) []emulator.Call {
	var found []emulator.Call
	for _, c := range journal {
		poisonous := slices.ContainsFunc(c.Items, func(item string) bool { return strings.HasPrefix(item, poison) })
		if c.Status == 400 && !poisonous || c.Status == 404 || c.Status == 405 || c.Status == 413 {
			found = append(found, c)
		}
	}
	return found
}
