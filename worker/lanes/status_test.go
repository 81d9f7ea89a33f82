package lanes

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
)

// between does something before each command of a client.
type between struct{ do func() }

func (between) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h between) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		h.do()
		return next(ctx, cmd)
	}
}

func (h between) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		h.do()
		return next(ctx, cmds)
	}
}

// Whenever a batch is claimed while Status reads, its items are seen: who waits
// until nothing is left must not be told so while a call is under way.
func TestStatus_SeesWhatIsClaimedMeanwhile(t *testing.T) {
	for at := range 12 {
		rdb, server := redistest.Mini(t)
		r := newRig(t, rdb)
		r.absorb(normal, "a")
		looking := redis.NewClient(&redis.Options{Addr: server.Addr()})
		before := 0
		looking.AddHook(between{func() {
			if before == at {
				r.claim(normal)
			}
			before++
		}})
		s, err := New(looking).Status(r.ctx(), r.pace.Account, time.Minute)
		require.NoError(t, err)
		require.NoError(t, looking.Close())
		assert.NotZero(t, len(s.Lanes)+len(s.InFlight), "claimed before command %d", at)
	}
}
