package worker

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// stopAfterClaim holds back the reply to the first claim that got a batch, as
// SIGSTOP would that hits the process just then.
type stopAfterClaim struct {
	pause time.Duration
	done  atomic.Bool
}

func (s *stopAfterClaim) DialHook(next redis.DialHook) redis.DialHook { return next }

func (s *stopAfterClaim) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if c, ok := cmd.(*redis.Cmd); ok && err == nil {
			if reply, ok := c.Val().([]any); ok && len(reply) > 0 && reply[0] == "claimed" && !s.done.Swap(true) {
				time.Sleep(s.pause)
			}
		}
		return err
	}
}

func (s *stopAfterClaim) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// Invariant 4: a worker that was stopped between its claim and its call would
// make the call when the lease is over, outside of the budget.
func TestPacer_StoppedAfterTheClaimDoesNotCall(t *testing.T) {
	t.Parallel()
	rdb, _ := redistest.Mini(t)
	var calls atomic.Int64
	api := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	defer api.Close()
	c := DefaultConfig()
	c.VercelURL, c.Timeout = api.URL, time.Second
	c.Accounts[0].Token = "token"
	c.Projects[0].Linger = 0
	rdb.AddHook(&stopAfterClaim{pause: leaseMargin + 100*time.Millisecond})
	w, err := New(c, Options{Redis: rdb, Log: zerolog.Nop()})
	require.NoError(t, err)

	lane := tasks.Lane{
		Project: "shop", Kind: tasks.Tag, Operation: tasks.Delete, DeadlineSeconds: tasks.NoDeadline, Priority: tasks.Normal,
	}
	p := w.pacers[c.Accounts[0].Name]
	_, err = p.lanes.Absorb(t.Context(), p.account.pace(lane), lanes.Absorption{Request: "r-1", Lane: lane, Items: []string{"post-1"}})
	require.NoError(t, err)
	_, err = p.serve(t.Context())
	require.NoError(t, err)
	p.calls.Wait()
	assert.Zero(t, calls.Load(), "the lease was as good as over")
	n, err := rdb.ZCard(t.Context(), "edgepurge:{"+c.Accounts[0].Name+"}:inflight").Result()
	require.NoError(t, err)
	assert.EqualValues(t, 1, n, "the batch lies under its lease until the sweep returns it")
}
