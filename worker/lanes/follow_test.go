package lanes

import (
	"context"
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
)

func (r *rig) leased() []string {
	r.t.Helper()
	ids, err := r.rdb.ZRange(r.ctx(), keysOf(r.pace.Account).inflight(), 0, -1).Result()
	require.NoError(r.t, err)
	return ids
}

func TestFinishAndClaim(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		r := newRig(t, rdb)
		r.pace.MaxItems, r.pace.Full, r.pace.InFlight = 1, 1, 1
		r.absorb(normal, "a", "b")
		first := r.claim(normal)
		follow := func(done Batch, id string) Claim {
			t.Helper()
			got, err := r.FinishAndClaim(r.ctx(), r.pace, done, 1, normal, id)
			require.NoError(t, err)
			return got
		}

		// A restarted Redis knows neither script, and one call may be under way.
		require.NoError(t, rdb.ScriptFlush(r.ctx()).Err())
		got := follow(first, "second")
		require.NotNil(t, got.Batch)
		assert.Equal(t, []string{"b"}, got.Batch.Items)
		assert.Equal(t, []string{"second"}, r.leased(), "the first lease ended")
		assert.Equal(t, got, follow(first, "second"), "asked again, it answers the same")

		last := follow(*got.Batch, "third")
		assert.Nil(t, last.Batch)
		assert.Equal(t, RefusedEmpty, last.Refused)
		assert.Empty(t, r.leased())
	})
}

// refusing refuses one command of each pipeline.
type refusing struct{ which int }

var errRefused = errors.New("refused")

func (refusing) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (refusing) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (h refusing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		others := append(append([]redis.Cmder{}, cmds[:h.which]...), cmds[h.which+1:]...)
		err := next(ctx, others)
		cmds[h.which].SetErr(errRefused)
		return errors.Join(err, errRefused)
	}
}

func TestFinishAndClaim_OneOfThemFails(t *testing.T) {
	for which, want := range []string{"finish batch", "claim from lane"} {
		rdb, _ := redistest.Mini(t)
		r := newRig(t, rdb)
		r.pace.MaxItems, r.pace.Full = 1, 1
		r.absorb(normal, "a", "b", "c")
		first := r.claim(normal)
		r.finish(r.claim(normal), true) // both scripts are known

		rdb.AddHook(refusing{which})
		got, err := r.FinishAndClaim(r.ctx(), r.pace, first, 1, normal, "next")
		require.ErrorIs(t, err, errRefused)
		require.ErrorContains(t, err, want)
		if which == 0 {
			require.NotNil(t, got.Batch, "what was claimed is not forgotten")
			assert.ElementsMatch(t, []string{first.ID, "next"}, r.leased())
		} else {
			assert.Nil(t, got.Batch)
			assert.Empty(t, r.leased())
		}
	}
}
