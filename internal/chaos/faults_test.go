package chaos

import (
	"context"
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/history"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
)

// The network forgets the connections of a worker without closing them: first those that
// there are, then, for a while, new ones too. Purges go on by themselves.
func TestSilentConnections(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		fall func(front)
	}{
		{"that exist", front.recover},
		{"new ones too", front.fallSilent},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, usual())
			w := s.worker(t)
			s.produce(t.Context(), 2, 50, 0, few).end(t)
			await(t, 10*time.Second, "calls", func() bool { return count(s.api.Journal(), http.StatusOK) > 0 })
			end := s.excuse(history.Excuse{})
			c.fall(s.front)
			require.NoError(t, s.ask(t.Context(), one("during", "during")))
			time.Sleep(3 * time.Second) // three timeouts of a call
			s.front.recover()
			end()
			require.NoError(t, s.ask(t.Context(), one("after", "after")))
			await(t, time.Minute, "purges go on", func() bool { return s.purged("during") && s.purged("after") })
			s.drain(t, 20*time.Second, true)
			assert.True(t, w.running())
			s.assertKept(t, s.check(t))
			s.assertMoved(t)
		})
	}
}

// Some managed Redis refuse MEMORY to everyone. Nothing but figures for people hangs on it.
func TestRedis_RefusesMemory(t *testing.T) {
	t.Parallel()
	c := usual()
	c.options = []string{"--rename-command", "MEMORY", ""}
	c.faults = emulator.Faults{ExpiredTokens: []string{tokenName}}
	s := newSite(t, c)
	s.worker(t)
	s.produce(t.Context(), 2, 100, 0, many).end(t)
	await(t, 20*time.Second, "the hold", func() bool { return len(s.holds(t)) == 1 })
	await(t, 20*time.Second, "the dead letter", func() bool { return len(s.letters(t)) == 1 })
	time.Sleep(2 * c.timeout) // the calls that were under way end; nothing follows
	assert.LessOrEqual(t, len(s.api.Journal()), c.inFlight, "calls after the hold")
	assert.Contains(t, s.run(t, "status"), "forbidden")
	assert.Contains(t, s.run(t, "dead", "list"), "forbidden")

	held := s.excuse(history.Excuse{From: s.api.Journal()[0].Start})
	require.NoError(t, s.api.SetFaults(emulator.Faults{}))
	s.run(t, "hold", "release", account)
	held()
	s.drain(t, 30*time.Second, true)
	s.assertKept(t, s.check(t))
	s.assertMoved(t)
	assert.Len(t, s.letters(t), 1)
}

// Redis is full for as long as the lease of a call and more. What waits is called once,
// or not at all until there is room; it is not called again and again.
func TestRedis_Full(t *testing.T) {
	t.Parallel()
	const full = 15 * time.Second
	c := usual()
	c.calls = 20
	s := newSite(t, c)
	s.worker(t)
	s.worker(t)
	s.produce(t.Context(), 4, 400, 0, many).end(t) // 125 calls
	await(t, 20*time.Second, "the middle of the backlog", func() bool { return len(s.api.Journal()) >= 30 && s.backlog(t).Waiting == 0 })
	end := s.excuse(history.Excuse{})
	require.NoError(t, s.rdb.ConfigSet(context.Background(), "maxmemory", "1").Err())
	time.Sleep(full)
	require.NoError(t, s.rdb.ConfigSet(context.Background(), "maxmemory", "0").Err())
	end()
	require.NoError(t, s.ask(t.Context(), one("after", "after")))
	s.drain(t, 30*time.Second, true)
	s.assertKept(t, s.check(t))
	s.assertMoved(t)
	assert.Empty(t, s.letters(t))
	sent := map[string]int{}
	for _, call := range s.api.Journal() {
		for _, item := range call.Items {
			sent[item]++
		}
	}
	for item, n := range sent {
		assert.LessOrEqual(t, n, 2, "%s was sent again and again", item)
	}
}

// A worker that is told to stop while Redis answers nothing ends all the same.
func TestSigterm_WhileRedisHangs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		within time.Duration
		load   int
	}{
		{"nothing in hand", 20 * time.Second, 0},
		{"calls in hand", 30 * time.Second, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			with := usual()
			with.faults = emulator.Faults{Latency: 200 * time.Millisecond}
			s := newSite(t, with)
			w := s.worker(t)
			require.NoError(t, s.ask(t.Context(), one("first", "post-1")))
			await(t, 20*time.Second, "the worker works", func() bool { return s.purged("post-1") })
			s.drain(t, 20*time.Second, true)
			if c.load > 0 {
				s.produce(t.Context(), 4, c.load, 0, many).end(t)
				await(t, 10*time.Second, "calls in hand", func() bool { return s.api.Stats().InFlight > 0 })
			}
			end := s.excuse(history.Excuse{})
			s.redis.Pause(t)
			at := time.Now()
			w.signal(t, syscall.SIGTERM)
			code := w.exit(t, time.Minute)
			took := time.Since(at)
			s.redis.Resume(t)
			s.excuseInHand(t, at)
			end()
			t.Logf("ended %s after SIGTERM with exit code %d", took.Round(10*time.Millisecond), code)
			assert.Less(t, took, c.within)
			s.worker(t)
			s.drain(t, time.Minute, true)
			s.assertKept(t, s.check(t))
			s.assertMoved(t)
		})
	}
}

// A rolling restart that adds a project and an account: what is asked for of those while
// old workers run makes no dead letters.
func TestRollingRestart_AddsProjectAndAccount(t *testing.T) {
	t.Parallel()
	c := usual()
	c.project = "shop"
	s := newSite(t, c)
	old := []*process{s.worker(t), s.worker(t)}
	await(t, 10*time.Second, "the old workers run", func() bool { return old[0].out.has(`"working"`) && old[1].out.has(`"working"`) })
	s.more = []paced{{"added", account, 0}, {"newcomers", newcomer, 0}}
	load := s.produce(t.Context(), 2, 60, 20, func(i int) tasks.Purge {
		p := many(i)
		p.Project = s.more[i%2].project
		return p
	})
	time.Sleep(time.Second) // only old workers run
	s.worker(t)
	time.Sleep(time.Second) // both do
	for _, w := range old {
		w.signal(t, syscall.SIGTERM)
	}
	load.end(t)
	for _, w := range old {
		require.Zero(t, w.exit(t, 20*time.Second))
	}
	s.drain(t, time.Minute, true)
	s.assertKept(t, s.check(t))
	s.assertMoved(t)
	assert.Empty(t, s.letters(t))
}

// A project with one purge is not passed by one with thousands of lanes.
func TestManyLanes_StarveNoProject(t *testing.T) {
	t.Parallel()
	const many = 10_000
	c := usual()
	c.calls = 20
	s := newSite(t, c)
	s.askForDeadlines(t, "lanes", "crowd", many).end(t)
	s.worker(t)
	await(t, 2*time.Minute, "all lanes wait", func() bool { return s.backlog(t).Waiting == 0 })
	before := len(s.api.Journal())
	for i := range 5 {
		item := fmt.Sprint("lone-", i)
		require.NoError(t, s.ask(t.Context(), one(item, item)))
		await(t, time.Minute, "the lone purge", func() bool { return s.purged(item) })
	}
	after := s.api.Journal()[before:]
	t.Logf("5 purges of one project went within %d calls, beside %d lanes of another", len(after), many)
	terms := s.terms()
	terms.Bound = 0 // the crowd takes minutes
	terms.Passes = c.calls
	assert.Empty(t, history.Stuck(s.ledger.all(), calls(s.api.Journal()), nil, terms))
}

// A request in asynq's active list, whose lease is gone, is taken back by a worker that
// lives, 35 s later: asynq itself looks at leases only.
func TestOrphan_IsTakenIn(t *testing.T) {
	t.Parallel()
	s := newSite(t, usual())
	s.worker(t)
	require.NoError(t, s.ask(t.Context(), one("first", "post-1")))
	await(t, 20*time.Second, "the worker works", func() bool { return s.purged("post-1") })
	s.orphaned(t, one("orphan", "orphan"))
	at := time.Now()
	await(t, 90*time.Second, "the orphan's call", func() bool { return s.purged("orphan") })
	t.Logf("called %s later", time.Since(at).Round(100*time.Millisecond))
	s.drain(t, 20*time.Second, false)
	s.assertKept(t, s.check(t))
	assert.Empty(t, s.letters(t))
}
