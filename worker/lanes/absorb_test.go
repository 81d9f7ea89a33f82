package lanes

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/tasks"
)

func TestAbsorb_DropsDuplicatesOfWhatIsPending(t *testing.T) {
	each(t, func(r *rig) {
		assert.Equal(r.t, Absorbed{Added: 2}, r.absorb(normal, "a", "b"))
		assert.Equal(r.t, Absorbed{Added: 1, Duplicate: 2}, r.absorb(normal, "b", "c", "a"))
		assert.Equal(r.t, []string{"a", "b", "c"}, r.claim(normal).Items)
	})
}

// A claimed twin covers nothing that is asked for afterwards.
func TestInvariant1_NoDuplicateOfAClaimedItem(t *testing.T) {
	each(t, func(r *rig) {
		r.absorb(normal, "a")
		r.claim(normal)
		assert.Equal(r.t, Absorbed{Added: 1}, r.absorb(normal, "a"))
		assert.Equal(r.t, []string{"a"}, r.claim(normal).Items)
	})
}

func TestAbsorb_ManyItemsInChunks(t *testing.T) {
	each(t, func(r *rig) {
		all := numbered(2500)
		assert.Equal(r.t, Absorbed{Added: 1250}, r.absorb(normal, all[:1250]...))
		assert.Equal(r.t, Absorbed{Added: 1250, Duplicate: 1250}, r.absorb(normal, all...))
		assert.Len(r.t, r.items(normal), 2500)
		// With a rebound each item takes the longer way.
		assert.Equal(r.t, Absorbed{Again: 2500}, r.ask(Absorption{Lane: normal, Items: all, Rebound: time.Minute}))
		assert.Len(r.t, r.again(normal), 2500)
	})
}

// go-redis sends a script again when its reply was lost.
func TestAbsorb_IsIdempotentByItsRequest(t *testing.T) {
	each(t, func(r *rig) {
		first := Absorption{Request: "r1", Lane: normal, Items: []string{"a", "b"}, Rebound: time.Minute}
		assert.Equal(r.t, Absorbed{Added: 2}, r.ask(first))
		before := r.dump()
		assert.Equal(r.t, Absorbed{Added: 2}, r.ask(first))
		assert.Equal(r.t, before, r.dump())

		r.claim(normal)
		assert.Equal(r.t, Absorbed{Added: 2}, r.ask(first), "the batch that was claimed holds its items")
		r.refused(normal, RefusedLinger)
	})
	r := simulated(t)
	first := Absorption{Request: "r1", Lane: normal, Items: []string{"a"}}
	r.ask(first)
	r.claim(normal)
	r.pass(31 * time.Second)
	assert.Equal(t, Absorbed{Added: 1}, r.ask(first), "the note of a request is not kept for ever")
}

// dump is everything in Redis, but for what only says when.
func (r *rig) dump() map[string]any {
	all := map[string]any{}
	for _, key := range keysOf(r.pace.Account).all(normal) {
		kind := r.rdb.Type(r.ctx(), key).Val()
		switch kind {
		case "zset":
			all[key] = r.rdb.ZRangeWithScores(r.ctx(), key, 0, -1).Val()
		case "hash":
			all[key] = r.rdb.HGetAll(r.ctx(), key).Val()
		}
	}
	return all
}

func TestAbsorb_TellsTheWorkers(t *testing.T) {
	each(t, func(r *rig) {
		wakes := r.Wakes(r.ctx())
		defer wakes.Close()
		_, err := wakes.Receive(r.ctx()) // the subscription itself
		require.NoError(r.t, err)
		r.absorb(normal, "a")
		message, err := wakes.ReceiveMessage(r.ctx())
		require.NoError(r.t, err)
		assert.Equal(r.t, "acme", message.Payload)
		due, err := r.Due(r.ctx())
		require.NoError(r.t, err)
		assert.Equal(r.t, []string{"acme"}, due, "a hint for those who missed the message")

		require.NoError(r.t, r.SetDue(r.ctx(), "acme", time.Hour))
		due, err = r.Due(r.ctx())
		require.NoError(r.t, err)
		assert.Empty(r.t, due)
		accounts, err := r.Accounts(r.ctx())
		require.NoError(r.t, err)
		assert.Equal(r.t, []string{"acme"}, accounts)
		require.NoError(r.t, r.SetDue(r.ctx(), "acme", -1))
		accounts, err = r.Accounts(r.ctx())
		require.NoError(r.t, err)
		assert.Empty(r.t, accounts)
	})
}

func TestAbsorb_NotBefore(t *testing.T) {
	for _, c := range []struct {
		name      string
		notBefore time.Time
		settle    time.Duration
		want      time.Time
	}{
		{name: "part of a millisecond is rounded up", notBefore: epoch.Add(time.Hour + time.Nanosecond), want: epoch.Add(time.Hour + time.Millisecond)},
		{name: "whole milliseconds stay", notBefore: epoch.Add(time.Hour + time.Millisecond), want: epoch.Add(time.Hour + time.Millisecond)},
		{name: "settle ends later", notBefore: epoch.Add(time.Second), settle: time.Minute, want: epoch.Add(time.Minute)},
		{name: "past", notBefore: epoch.Add(-time.Hour), want: epoch},
		{name: "none", want: epoch},
		{name: "far", notBefore: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), want: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := simulated(t)
			r.ask(Absorption{Lane: normal, Items: []string{"a"}, NotBefore: c.notBefore, Settle: c.settle})
			assert.Equal(t, map[string]int64{"a": c.want.UnixMilli()}, r.pending(normal))
		})
	}
}

func TestInvariant2_OneFamilyHoldsAnItemOnce(t *testing.T) {
	for _, c := range []struct {
		name          string
		first, second tasks.Lane
		at            tasks.Lane
	}{
		{"more urgent moves up", bulk, urgent, urgent},
		{"by one", bulk, normal, normal},
		{"less urgent stays", urgent, bulk, urgent},
		{"by one stays", urgent, normal, urgent},
		{"equal", normal, normal, normal},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(r *rig) {
				r.absorb(c.first, "a")
				assert.Equal(r.t, Absorbed{Duplicate: 1}, r.absorb(c.second, "a"))
				for _, lane := range []tasks.Lane{urgent, normal, bulk} {
					want := []string{}
					if lane == c.at {
						want = []string{"a"}
					}
					assert.Equal(r.t, want, r.items(lane), lane.Priority)
				}
				assert.Equal(r.t, []string{"a"}, r.claim(c.at).Items)
				assert.Empty(r.t, r.again(c.at))
			})
		})
	}
}

func TestAbsorb_MovingUpTakesLaterPurgesAlong(t *testing.T) {
	r := simulated(t)
	tomorrow := epoch.Add(24 * time.Hour)
	r.absorb(bulk, "a", "b")
	r.ask(Absorption{Lane: bulk, Items: []string{"a"}, NotBefore: tomorrow})
	require.Len(t, r.again(bulk), 1)
	assert.Equal(t, Absorbed{Duplicate: 1}, r.absorb(urgent, "a"))
	assert.Empty(t, r.again(bulk))
	assert.Equal(t, []string{"b"}, r.items(bulk))
	assert.Equal(t, []string{"a"}, r.claim(urgent).Items)
	assert.Equal(t, map[string]int64{"a": tomorrow.UnixMilli()}, r.pending(urgent))
}

// An emptied lane may still be ready: the next claim clears it away.
func TestAbsorb_MovingUpLeavesTheLane(t *testing.T) {
	each(t, func(r *rig) {
		r.absorb(bulk, "a")
		r.absorb(urgent, "a")
		r.refused(bulk, RefusedEmpty)
		s := r.status()
		require.Len(r.t, s.Lanes, 1)
		assert.Equal(r.t, urgent, s.Lanes[0].Lane)
	})
}

func TestAbsorb_OtherFamiliesKeepTheirOwn(t *testing.T) {
	each(t, func(r *rig) {
		r.absorb(normal, "a")
		for _, change := range []func(*tasks.Lane){
			func(l *tasks.Lane) { l.Project = "other" },
			func(l *tasks.Lane) { l.Kind = tasks.SrcImage },
			func(l *tasks.Lane) { l.Operation = tasks.Invalidate },
			func(l *tasks.Lane) { l.Target = tasks.Preview },
			func(l *tasks.Lane) { l.DeadlineSeconds = 0 },
		} {
			lane := normal
			change(&lane)
			assert.Equal(r.t, Absorbed{Added: 1}, r.absorb(lane, "a"), lane.ID())
		}
		assert.Len(r.t, r.status().Lanes, 6)
	})
}

// Whatever bytes an item has, the call carries them.
func TestAbsorb_ItemsComeOutAsTheyWentIn(t *testing.T) {
	odd := []string{"1", "1e3", "true", "null", " ", "a b", `q"\/`, "<&>", "é", "日本", "\x01\x7f", "🦆", "\u2028", "-inf", "{}", "%d"}
	each(t, func(r *rig) {
		r.absorb(normal, odd...)
		b := r.claim(normal)
		assert.ElementsMatch(r.t, odd, b.Items)
		require.True(r.t, r.restore(b, false))
		assert.ElementsMatch(r.t, odd, r.claim(normal).Items)
	})
}
