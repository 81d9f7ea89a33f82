package chaos

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
)

// What a worker may spend while Redis is away: a share of a core, and lines a
// second in the log once it has said what is wrong.
const (
	idleShare = 0.05
	idleLines = 5
)

func one(id, tag string) tasks.Purge {
	return tasks.Purge{ID: id, Project: "shop", Operation: tasks.Delete, Tags: []string{tag}}
}

// purged reports whether a call with the item took effect.
func (s *site) purged(item string) bool {
	for _, c := range s.api.Journal() {
		for _, i := range c.Items {
			if i == item && c.Applied {
				return true
			}
		}
	}
	return false
}

func TestRedis_DownAtStart(t *testing.T) {
	t.Parallel()
	s := newSite(t, usual())
	s.redis.Kill(t)
	w := s.worker(t)
	await(t, 5*time.Second, "the worker says what is wrong", func() bool {
		return strings.Contains(w.out.String(), "Redis does not answer: waiting for it")
	})
	assert.Contains(t, w.out.String(), "connection refused")
	assert.Contains(t, w.out.String(), "redis.url")
	before := w.cost(t)
	time.Sleep(4 * time.Second) // what it does meanwhile is the test
	require.True(t, w.running())
	w.assertIdle(t, before, idleShare, 1)

	s.restartRedis(t)
	require.NoError(t, s.ask(t.Context(), one("r-1", "post-1")))
	await(t, 20*time.Second, "the worker works by itself", func() bool { return s.purged("post-1") })
	s.drain(t, 10*time.Second, false)
	s.assertKept(t, s.check(t))
}

func TestRedis_RestartedInABurst(t *testing.T) {
	t.Parallel()
	c := usual()
	c.durable = true
	c.faults = emulator.Faults{Latency: 10 * time.Millisecond, LatencyJitter: 40 * time.Millisecond}
	s := newSite(t, c)
	workers := []*process{s.worker(t), s.worker(t)}
	burst := s.produce(t.Context(), 4, 2000, 500, few)
	await(t, 20*time.Second, "the middle of the burst", func() bool {
		return s.ledger.accepted.Load() >= 700 && s.api.Stats().InFlight > 0
	})
	s.redis.Kill(t)
	before := []cost{workers[0].cost(t), workers[1].cost(t)}
	time.Sleep(2 * time.Second) // the outage
	for i, w := range workers {
		w.assertIdle(t, before[i], 2*idleShare, 60) // both see it coming and give up what they were at
	}
	s.restartRedis(t)
	burst.end(t)
	s.drain(t, 40*time.Second, true)
	for _, w := range workers {
		assert.True(t, w.running(), "%s goes on by itself", w.name)
	}
	s.assertKept(t, s.check(t))
	assert.Empty(t, s.letters(t))
}

// Each kill falls into the work of three workers and their producers.
func TestRedis_KilledFiveTimesInABurst(t *testing.T) {
	t.Parallel()
	const kills, requests = 5, 3000
	c := usual()
	c.durable = true
	c.faults = emulator.Faults{Latency: 10 * time.Millisecond, LatencyJitter: 40 * time.Millisecond}
	s := newSite(t, c)
	workers := []*process{s.worker(t), s.worker(t), s.worker(t)}
	burst := s.produce(t.Context(), 8, requests, 600, few)
	for k := range int64(kills) {
		await(t, 20*time.Second, "the middle of the burst", func() bool {
			return s.ledger.accepted.Load() >= (k+1)*requests/(kills+1) && s.api.Stats().InFlight > 0
		})
		s.redis.Kill(t)
		time.Sleep(time.Duration(k) * 150 * time.Millisecond) // the outage; the first is none to speak of
		s.restartRedis(t)
	}
	require.Less(t, s.ledger.accepted.Load(), int64(requests), "the burst outlasts the kills")
	burst.end(t)
	s.drain(t, 40*time.Second, true)
	for _, w := range workers {
		assert.True(t, w.running(), "%s goes on by itself", w.name)
	}
	r := s.check(t)
	s.assertKept(t, r)
	assert.Empty(t, s.letters(t))
	t.Logf("Redis killed %d times: %d requests acknowledged, %d tries were not; %d items, %d lost", kills, r.Requests, s.ledger.refused.Load(), r.Asked, len(r.Lost))
}

// Redis answers, but with errors. asynq asks again at once after each.
func TestRedis_RefusesEverything(t *testing.T) {
	t.Parallel()
	c := usual()
	c.calls = 10 // so that something waits all the while
	s := newSite(t, c)
	workers := []*process{s.worker(t), s.worker(t)}
	for i, c := range []struct {
		name          string
		refuse, allow []any
	}{
		{
			"no permission",
			[]any{"ACL", "SETUSER", "default", "-@all", "+acl", "+auth", "+hello", "+client"},
			[]any{"ACL", "SETUSER", "default", "+@all"},
		},
		{"out of memory", []any{"CONFIG", "SET", "maxmemory", "1"}, []any{"CONFIG", "SET", "maxmemory", "0"}},
		{"read only", []any{"REPLICAOF", "127.0.0.1", "1"}, []any{"REPLICAOF", "NO", "ONE"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := context.Background()
			request := func(k int) tasks.Purge { return one(fmt.Sprintf("r-%d-%d", i, k), fmt.Sprintf("post-%d-%d", i, k)) }
			s.produce(ctx, 2, 300, 0, request).end(t)
			calls := len(s.api.Journal())
			await(t, 10*time.Second, "calls", func() bool { return len(s.api.Journal()) > calls })
			require.NoError(t, s.rdb.Do(ctx, c.refuse...).Err())
			time.Sleep(time.Second) // what was under way ends
			before := []cost{workers[0].cost(t), workers[1].cost(t)}
			time.Sleep(3 * time.Second) // what they do meanwhile is the test
			for k, w := range workers {
				w.assertIdle(t, before[k], idleShare, idleLines)
			}
			require.NoError(t, s.rdb.Do(ctx, c.allow...).Err())
			id := fmt.Sprintf("after-%d", i)
			require.NoError(t, s.ask(ctx, one(id, id)))
			await(t, 15*time.Second, "the workers work by themselves", func() bool { return s.purged(id) })
		})
	}
	s.drain(t, 40*time.Second, true)
	s.assertKept(t, s.check(t))
	assert.Empty(t, s.letters(t))
}
