package history_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/history"
)

// A checker that finds nothing proves something only if it finds what is there.
// So here are programs that purge in the ways that people write, each wrong in
// one thing, and the checker must find that thing and no other. The good program
// under the same load must pass: what a model shows is its fault and not the load.

// modelBudget is the calls that a model may make in any modelPer.
const (
	modelBudget = 5
	modelPer    = time.Minute
)

// caughtWithin bounds the time in which each model must be caught.
const caughtWithin = 10 * time.Second

// modelRun is the records of one run of a model.
type modelRun struct {
	requests []history.Request
	calls    []history.Call
	letters  []history.Letter
	// limited says that the API allows modelBudget calls in modelPer.
	limited bool
	// twins are the items that were asked for a second time, exactly while the
	// call with the first was under way. Nil: this run does not tell.
	twins []string
	// rules are the escalations that were asked for.
	rules []history.Rule
}

// model is a program and what is wrong with it; of what it does not name,
// nothing may be found.
type model struct {
	name string
	// seeds is how many loads it is tried on: it must be caught on each.
	seeds uint64
	run   func(t *testing.T, seed uint64) modelRun

	// lost explains a loss by the last call that held the item.
	lost func(last history.Call, l history.Loss) bool
	// unsent says that there may be no such call.
	unsent bool
	// broken is in the problem of each call that breaks a limit of the API.
	broken string
	// over says that more than the budget was spent.
	over bool
}

func simulated(name string, m model, flaw func(*purger)) model {
	m.name, m.seeds = name, 5
	m.run = func(_ *testing.T, seed uint64) modelRun { return simulate(seed, flaw) }
	return m
}

func onAsynq(name string, m model, p asynqProgram) model {
	m.name, m.seeds = name, 1
	m.run = func(t *testing.T, seed uint64) modelRun { t.Helper(); return runOnAsynq(t, seed, p) }
	return m
}

// noneSince: no call since the item was due has held it with success.
func noneSince(last history.Call, l history.Loss) bool { return !last.OK || last.Start.Before(l.Due) }

// noneBegan: the last call with the item began too early for the request.
func noneBegan(last history.Call, l history.Loss) bool { return last.Start.Before(l.Due) }

func knownBad() []model {
	return []model{
		// One task a tag, locked until it has succeeded: the commonest advice for
		// "do not purge twice". Sidekiq's until_executed and Celery Once are the same.
		onAsynq("asynq Unique", model{lost: noneBegan}, uniqueTasks),
		// The tag is the id of its task, which exists until the task has succeeded.
		// BullMQ's jobId and a Kubernetes Job named after its page are the same.
		onAsynq("asynq TaskID", model{lost: noneBegan}, taskIDs),
		// Groups forget a member after they have enqueued the aggregated task, in
		// two steps; in between its call may be over, and its twin is refused.
		onAsynq("asynq Group and TaskID", model{lost: noneBegan}, groupedTaskIDs),
		// Nothing releases the lock of a member but its time to live.
		onAsynq("asynq Group and Unique", model{lost: noneBegan}, groupedUnique),

		// SET NX purge:<tag> when asked, DEL when purged: the home-made Unique.
		simulated("dedupe kept until success", model{lost: noneBegan}, func(p *purger) { p.lockedUntilSuccess = true }),
		// A rate.Limiter in each process, and then a second replica.
		simulated("budget per process", model{over: true}, func(p *purger) { p.budgets = []*allowance{{}, {}} }),
		// A limiter that is asked before the call: what lies a minute apart here
		// lies closer at the API if the later call travels faster.
		simulated("window from the start of the call", model{over: true}, func(p *purger) { p.windowFromStart = true }),
		// if len(batch) > 16 { flush() } after the append.
		simulated("17 tags in a call", model{broken: "holds 17 items"}, func(p *purger) { p.most = 17 }),
		// tag.length <= 256 in JavaScript, or utf8.RuneCountInString: characters, not bytes.
		simulated("257 bytes in a tag", model{broken: "257 bytes"}, func(p *purger) { p.countsCharacters = true }),
		// log.Error(resp.Status); return nil. Any fetch in a webhook that nobody awaits.
		simulated("drop on 5xx", model{lost: func(last history.Call, l history.Loss) bool {
			return last.Status == 503 && !last.Start.Before(l.Due)
		}}, func(p *purger) { p.dropsOn5xx = true }),
		// "A 400 cannot be helped by a retry": true for the one tag that is bad, not
		// for the fifteen beside it.
		simulated("drop the batch on 400", model{lost: func(last history.Call, l history.Loss) bool {
			return last.Status == 400 && len(last.Items) > 1 && !last.Start.Before(l.Due)
		}}, func(p *purger) { p.dropsOn400 = true }),
		// A webhook that purges at once, while the CMS's own CDN still hands out the
		// old content, which is cached again.
		simulated("settle ignored", model{lost: func(last history.Call, l history.Loss) bool {
			return last.Start.Before(l.Due) && !last.Start.Before(l.Due.Add(-modelSettle))
		}}, func(p *purger) { p.ignoresSettle = true }),

		// DEL of a queue that has grown too long, and a purge of everything that somebody
		// is to start by hand.
		simulated("collapse into nothing", model{lost: noneSince, unsent: true}, func(p *purger) { p.collapses, p.collapsesNothingInstead = true, true }),
		// SET NX purge-all:posts EX 3600: that call began before.
		simulated("collapse into an earlier call", model{lost: noneSince, unsent: true}, func(p *purger) { p.collapses, p.collapsesIntoEarlierCall = true, true }),
		// A pattern that is wider than the one that was asked for.
		simulated("collapse of what no rule matches", model{unsent: true, lost: func(last history.Call, l history.Loss) bool {
			return strings.HasPrefix(l.Item, "author-") && noneSince(last, l)
		}}, func(p *purger) { p.collapses, p.collapsesWhatDoesNotMatch = true, true }),
	}
}

func TestModels_KnownBadIsCaught(t *testing.T) {
	t.Parallel()
	for _, m := range knownBad() {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			for seed := range m.seeds {
				m.judge(t, seed)
			}
			assert.Less(t, time.Since(began), caughtWithin)
		})
	}
}

func TestModels_KnownGoodPasses(t *testing.T) {
	t.Parallel()
	t.Run("simulated", func(t *testing.T) {
		t.Parallel()
		m := simulated("", model{}, func(*purger) {})
		for seed := range m.seeds {
			r, report := m.judge(t, seed)
			// The load has in it what the bad ones stumble over.
			assert.Equal(t, modelBudget, history.Widest(r.calls, modelPer), "the whole budget was wanted")
			assert.Positive(t, report.Dropped())
			assert.Positive(t, report.Failed)
			assert.Positive(t, report.Refused)
			assert.Positive(t, report.Dead)
			assert.True(t, slices.ContainsFunc(r.calls, func(c history.Call) bool { return len(c.Items) == 16 }), "a call was full")
		}
	})
	t.Run("collapses", func(t *testing.T) {
		t.Parallel()
		m := simulated("", model{}, func(p *purger) { p.collapses = true })
		for seed := range m.seeds {
			_, report := m.judge(t, seed)
			assert.Positive(t, report.Collapsed, "items were replaced")
		}
	})
	t.Run("asynq", func(t *testing.T) {
		t.Parallel()
		m := onAsynq("", model{}, pendingSet)
		r, _ := m.judge(t, 0)
		assert.NotEmpty(t, r.twins)
	})
}

// judge runs the model and holds what the checker finds against what is wrong.
func (m *model) judge(t *testing.T, seed uint64) (modelRun, history.Report) {
	t.Helper()
	r := m.run(t, seed)
	report := history.Check(r.requests, r.calls, r.letters, r.rules...)

	if m.lost == nil {
		require.Empty(t, report.Lost, "seed %d", seed)
	} else {
		require.NotEmpty(t, report.Lost, "seed %d: not caught", seed)
	}
	var lost []string
	for _, l := range report.Lost {
		lost = append(lost, l.Item)
		last, ok := lastCall(r.calls, l)
		require.True(t, (ok || m.unsent) && m.lost(last, l), "seed %d: lost for another reason: %+v after %+v", seed, l, last)
	}
	if m.lost != nil && r.twins != nil {
		require.ElementsMatch(t, r.twins, lost)
	}

	if m.broken == "" {
		require.Empty(t, report.Broken, "seed %d", seed)
	} else {
		require.NotEmpty(t, report.Broken, "seed %d: not caught", seed)
	}
	for _, b := range report.Broken {
		require.Contains(t, b.Problem, m.broken, "seed %d", seed)
	}

	switch widest := history.Widest(r.calls, modelPer); {
	case m.over:
		require.Greater(t, widest, modelBudget, "seed %d: not caught", seed)
	case r.limited:
		require.LessOrEqual(t, widest, modelBudget, "seed %d", seed)
	}
	return r, report
}

func lastCall(calls []history.Call, l history.Loss) (last history.Call, ok bool) {
	for _, c := range calls {
		if c.Family == l.Family && slices.Contains(c.Items, l.Item) && (!ok || c.Start.After(last.Start)) {
			last, ok = c, true
		}
	}
	return last, ok
}
