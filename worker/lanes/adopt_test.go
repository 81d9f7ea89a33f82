package lanes

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// meanwhile is a hook that runs something once, after the parcel was read.
type meanwhile struct{ run func() }

func (m *meanwhile) DialHook(next redis.DialHook) redis.DialHook { return next }
func (m *meanwhile) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (m *meanwhile) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		// By its first key: go-redis sends the source the first time.
		if args := cmd.Args(); err == nil && len(args) > 3 && args[3] == keysOf("acme").pending(normal) && m.run != nil {
			run := m.run
			m.run = nil
			run()
		}
		return err
	}
}

// What is asked for in the old account while its lane moves is not lost with it.
func TestAdopt_WhatChangesMeanwhileMovesToo(t *testing.T) {
	for name, change := range map[string]func(r *rig){
		"a new item":      func(r *rig) { r.absorb(normal, "new") },
		"a later purge":   func(r *rig) { r.ask(Absorption{Lane: normal, Items: []string{"a"}, Settle: time.Hour}) },
		"another receipt": func(r *rig) { r.ask(Absorption{Lane: normal, Items: []string{"a"}, Receipt: "second"}) },
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(r *rig) {
				for _, id := range []string{"first", "second"} {
					r.open(id, 1)
					require.True(r.t, r.take(id))
				}
				r.ask(Absorption{Lane: normal, Items: []string{"a"}, Receipt: "first"})
				hook := &meanwhile{run: func() { change(r) }}
				r.rdb.AddHook(hook)
				to := r.pace
				to.Account = "other"
				// What changed is left for the next call.
				for range 2 {
					_, err := r.Adopt(r.ctx(), "acme", to, normal)
					require.NoError(r.t, err)
				}
				require.Nil(r.t, hook.run)
				assert.Empty(r.t, r.pending(normal))
				assert.Empty(r.t, r.again(normal))
				lanes, err := r.All(r.ctx(), "acme")
				require.NoError(r.t, err)
				assert.Empty(r.t, lanes)

				k := keysOf("other")
				items := r.rdb.ZRange(r.ctx(), k.pending(normal), 0, -1).Val()
				receipts := r.rdb.ZRange(r.ctx(), k.receipts(normal), 0, -1).Val()
				again := r.rdb.HGetAll(r.ctx(), k.again(normal)).Val()
				assert.Contains(r.t, items, "a")
				assert.Equal(r.t, name == "a new item", len(items) == 2)
				assert.Equal(r.t, name == "another receipt", len(receipts) == 2)
				assert.Equal(r.t, name == "a later purge", len(again) == 1)
			})
		})
	}
}

// An item that very many wait for moves too: a script unpacks some 8000 values at most.
func TestAdopt_ManyWaitForOneItem(t *testing.T) {
	each(t, func(r *rig) {
		const most = 9000
		r.open("first", most)
		require.True(r.t, r.take("first"))
		r.absorb(normal, "a")
		k := keysOf(r.pace.Account)
		members := make([]redis.Z, most)
		for i := range members {
			members[i] = redis.Z{Member: fmt.Sprintf("a\n%015d\nfirst", i)}
		}
		require.NoError(r.t, r.rdb.ZAdd(r.ctx(), k.receipts(normal), members...).Err())
		to := r.pace
		to.Account = "other"
		moved, err := r.Adopt(r.ctx(), "acme", to, normal)
		require.NoError(r.t, err)
		assert.Equal(r.t, 1, moved)
		assert.Zero(r.t, r.rdb.ZCard(r.ctx(), k.receipts(normal)).Val())
		assert.EqualValues(r.t, most, r.rdb.ZCard(r.ctx(), keysOf("other").receipts(normal)).Val())
	})
}
