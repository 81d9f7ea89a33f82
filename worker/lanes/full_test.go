package lanes

import (
	"path"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
)

// makeFull makes a Redis as full as can be: it refuses every write that may take memory.
func makeFull(t *testing.T, rdb redis.UniversalClient) {
	t.Helper()
	require.NoError(t, rdb.Do(t.Context(), "CONFIG", "SET", "maxmemory-policy", "noeviction").Err())
	require.NoError(t, rdb.Do(t.Context(), "CONFIG", "SET", "maxmemory", "1").Err())
	require.ErrorContains(t, rdb.Set(t.Context(), "x", "y", 0).Err(), "OOM")
}

// onFull is what one script does on a full Redis. prepare runs while there is room and
// returns what runs when there is none.
type onFull struct {
	refused bool
	prepare func(r *rig) (run func() error)
}

// fullCases has an entry for each script. Each runs the first write that can be the
// script's first: no budget, nothing expired, nothing tracked.
var fullCases = map[string]onFull{
	"absorb": {refused: true, prepare: func(r *rig) func() error {
		r.absorb(normal, "twin")
		// The twin moves up: without more, the script would begin with a removal.
		return func() error {
			_, err := r.Absorb(r.ctx(), r.pace, Absorption{Request: "late", Lane: urgent, Items: []string{"twin"}})
			return err
		}
	}},
	"take": {refused: true, prepare: func(r *rig) func() error {
		r.open("r", 1)
		return func() error { _, err := r.Take(r.ctx(), "acme", "r", "task", 0); return err }
	}},
	"adopt": {refused: true, prepare: func(r *rig) func() error {
		r.absorb(normal, "a")
		to := r.pace
		to.Account = "other"
		_, err := r.Absorb(r.ctx(), to, Absorption{Request: "twin", Lane: bulk, Items: []string{"a"}})
		require.NoError(r.t, err) // it moves up: without more, the script would begin with a removal
		return func() error { _, err := r.Adopt(r.ctx(), "acme", to, normal); return err }
	}},
	"parcel": {prepare: func(r *rig) func() error {
		r.absorb(normal, "a")
		return func() error {
			k := keysOf("acme")
			return parcelScript.Run(r.ctx(), r.rdb, []string{k.pending(normal), k.again(normal), k.receipts(normal), k.origins(normal), k.failed(normal)}, 1).Err()
		}
	}},
	"give": {prepare: func(r *rig) func() error {
		return func() error { // a lane that is empty leaves the index
			_, err := r.Adopt(r.ctx(), "acme", r.pace, normal)
			return err
		}
	}},
	"peek": {prepare: func(r *rig) func() error {
		r.absorb(normal, "a")
		return func() error { _, err := r.Peek(r.ctx(), "acme"); return err }
	}},
	"backlog": {prepare: func(r *rig) func() error {
		r.absorb(normal, "a")
		return func() error { _, err := r.Backlog(r.ctx(), "acme", normal); return err }
	}},
	"claim": {prepare: func(r *rig) func() error {
		r.pace.Rate, r.pace.Burst, r.pace.StaggerMin, r.pace.StaggerOver = 1000, 1000, time.Second, time.Minute
		r.absorb(normal, numbered(40)...)
		return func() error {
			got, err := r.Claim(r.ctx(), r.pace, normal, "b")
			if err == nil {
				assert.NotNil(r.t, got.Batch)
			}
			return err
		}
	}},
	"acquire": {prepare: func(r *rig) func() error {
		r.acquire(Batch{ID: "b", Lane: normal, Items: []string{"a"}}, 2, false) // again: nothing to remove
		return func() error {
			got, err := r.Acquire(r.ctx(), r.pace, Batch{ID: "b", Lane: normal, Items: []string{"a"}}, 2, false)
			if err == nil {
				assert.NotNil(r.t, got.Batch)
			}
			return err
		}
	}},
	"finish": {prepare: func(r *rig) func() error {
		r.absorb(normal, "a")
		r.pace.Calls = 5
		b := r.claim(normal)
		return func() error {
			_, err := r.Finish(r.ctx(), "acme", b, 1, true)
			assert.Empty(r.t, r.status().InFlight)
			return err
		}
	}},
	"restore": {prepare: func(r *rig) func() error {
		r.absorb(normal, "a")
		b := r.claim(normal)
		return func() error {
			_, err := r.Restore(r.ctx(), r.pace, b, false)
			assert.Equal(r.t, []string{"a"}, r.items(normal))
			return err
		}
	}},
	"settle": {prepare: func(r *rig) func() error {
		r.open("r", 1)
		r.take("r")
		r.ask(Absorption{Lane: normal, Items: []string{"a"}, Receipt: "r"})
		b := r.claim(normal)
		return func() error {
			err := r.Settle(r.ctx(), "acme", b, Purged)
			assert.Equal(r.t, 1, r.counted("r").purged)
			return err
		}
	}},
	"bury": {prepare: func(r *rig) func() error {
		r.open("r", 1)
		return func() error { return r.Bury(r.ctx(), "r", "r", 1) }
	}},
	"collapse": {prepare: func(r *rig) func() error {
		// Nothing is pending any more: it has nothing to remove.
		return func() error { _, err := r.Collapse(r.ctx(), r.pace, normal, "c", "all", []string{"a"}); return err }
	}},
	"pause": {prepare: func(r *rig) func() error {
		return func() error { return r.Pause(r.ctx(), "acme", time.Minute, 3) }
	}},
	"adapt": {prepare: func(r *rig) func() error {
		return func() error { return r.Adapt(r.ctx(), r.pace, Failed, 0) }
	}},
	"hold": {prepare: func(r *rig) func() error {
		return func() error {
			held, err := r.Hold(r.ctx(), "acme", ScopeAccount, "unauthorized", "token", Batch{ID: "b", ClaimedAt: r.time()}, 1)
			assert.True(r.t, held.Created)
			return err
		}
	}},
	"release": {prepare: func(r *rig) func() error {
		_, err := r.Hold(r.ctx(), "acme", ScopeAccount, "unauthorized", "token", Batch{ID: "b", ClaimedAt: r.time()}, 1)
		require.NoError(r.t, err)
		return func() error { _, err := r.Release(r.ctx(), "acme", ScopeAccount); return err }
	}},
	"survey": {prepare: func(r *rig) func() error {
		r.absorb(normal, "a")
		return func() error { _, _, err := r.Survey(r.ctx(), "acme", r.paceOf); return err }
	}},
	"offer": {prepare: func(r *rig) func() error {
		r.absorb(normal, "a")
		k := keysOf("acme")
		require.NoError(r.t, r.rdb.Del(r.ctx(), k.order(), k.turn(tasks.Normal)).Err()) // as an older worker leaves it
		return func() error {
			assert.Equal(r.t, []tasks.Lane{normal}, r.repair(r.pace))
			assert.Len(r.t, r.peek().Ready, 1)
			return nil
		}
	}},
	"reoffer": {prepare: func(r *rig) func() error {
		r.absorb(normal, "a")
		_, err := r.Hold(r.ctx(), "acme", ScopeProject("prj"), "not_found", "gone", Batch{ID: "b", ClaimedAt: r.time()}, 1)
		require.NoError(r.t, err)
		r.refused(normal, RefusedProjectHeld)
		return func() error {
			_, err := r.Release(r.ctx(), "acme", ScopeProject("prj"))
			assert.Len(r.t, r.peek().Ready, 1, "its lane may be served now")
			return err
		}
	}},
}

// What works off what is there runs on a full Redis; what only takes is refused, and
// changes nothing. A refused hint is no error of either.
func TestScripts_OnAFullRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	files, err := sources.ReadDir("script")
	require.NoError(t, err)
	for _, file := range files {
		name := strings.TrimSuffix(path.Base(file.Name()), ".lua")
		if !strings.Contains(read(name), "-- KEYS ") {
			continue // a part of others
		}
		t.Run(name, func(t *testing.T) {
			c, ok := fullCases[name]
			require.True(t, ok, "fullCases lacks it")
			rdb := server.Client(t)
			require.NoError(t, rdb.Do(t.Context(), "CONFIG", "SET", "maxmemory", "0").Err())
			require.NoError(t, rdb.FlushAll(t.Context()).Err())
			r := newRig(t, rdb)
			run := c.prepare(r)
			makeFull(t, rdb)
			err := run()
			if !c.refused {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, "OOM")
			require.NoError(t, rdb.Do(t.Context(), "CONFIG", "SET", "maxmemory", "0").Err())
			require.NoError(t, run(), "with room again it does what it was asked for")
		})
	}
}

// A refused absorb has changed nothing.
func TestAbsorb_OnAFullRedisChangesNothing(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	r := newRig(t, server.Client(t))
	r.absorb(normal, "twin")
	makeFull(t, r.rdb)
	_, err := r.Absorb(r.ctx(), r.pace, Absorption{Request: "late", Lane: urgent, Items: []string{"twin", "new"}})
	require.ErrorContains(t, err, "OOM")
	assert.Equal(t, []string{"twin"}, r.items(normal))
	assert.Empty(t, r.items(urgent))
}

// A whole backlog drains.
func TestLanes_DrainOnAFullRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	r := newRig(t, server.Client(t))
	r.pace.Calls = 1000
	r.absorb(normal, numbered(160)...)
	makeFull(t, r.rdb)
	seen := map[string]int{}
	for range 10 {
		b := r.claim(normal)
		for _, item := range b.Items {
			seen[item]++
		}
		r.finish(b, true)
	}
	r.refused(normal, RefusedEmpty)
	assert.Len(t, seen, 160)
	assert.Empty(t, r.status().InFlight)
	for item, n := range seen {
		assert.Equal(t, 1, n, item)
	}
}
