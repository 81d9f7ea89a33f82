package redisgroup

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/edgepurge/edgepurge/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gate holds pipelines back and counts them.
type gate struct {
	redis.Hook
	mu    sync.Mutex
	open  chan struct{}
	sizes []int
}

func (g *gate) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (g *gate) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (g *gate) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if cmds[0].Name() == "hello" || cmds[0].Name() == "client" {
			return next(ctx, cmds) // of a new connection
		}
		g.mu.Lock()
		g.sizes = append(g.sizes, len(cmds))
		open := g.open
		g.mu.Unlock()
		select {
		case <-open:
		case <-ctx.Done():
			return ctx.Err()
		}
		return next(ctx, cmds)
	}
}

func (g *gate) seen() []int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]int(nil), g.sizes...)
}

func gated(t *testing.T) (*Client, *gate, redis.UniversalClient) {
	t.Helper()
	rdb := redistest.Start(t).Client(t)
	g := &gate{open: make(chan struct{})}
	rdb.AddHook(g)
	return New(rdb), g, rdb
}

func (c *Client) queued() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.waiting)
}

func TestTogether_WhatComesMeanwhileGoesInOne(t *testing.T) {
	t.Parallel()
	c, g, _ := gated(t)
	var wait sync.WaitGroup
	set := func(i int) {
		wait.Go(func() {
			cmd := redis.NewStatusCmd(t.Context(), "set", fmt.Sprint("k", i), i)
			assert.NoError(t, c.Together(t.Context(), cmd))
			assert.NoError(t, cmd.Err())
			assert.Equal(t, "OK", cmd.Val())
		})
	}
	set(0)
	require.Eventually(t, func() bool { return len(g.seen()) == 1 }, 5*time.Second, time.Millisecond, "a lone caller waits for nobody")
	for i := range mostCalls + 6 {
		set(i + 1)
	}
	require.Eventually(t, func() bool { return c.queued() == mostCalls+6 }, 5*time.Second, time.Millisecond)
	close(g.open)
	wait.Wait()
	assert.Equal(t, []int{1, mostCalls, 6}, g.seen())
}

func TestTogether_EachHasItsOwnError(t *testing.T) {
	t.Parallel()
	c, g, rdb := gated(t)
	close(g.open)
	require.NoError(t, rdb.Set(t.Context(), "text", "x", 0).Err())
	wrong, right := redis.NewIntCmd(t.Context(), "incr", "text"), redis.NewIntCmd(t.Context(), "incr", "n")
	require.NoError(t, c.Together(t.Context(), wrong, right))
	require.Error(t, wrong.Err())
	require.NoError(t, right.Err())
}

func TestTogether_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	c, g, rdb := gated(t)
	ctx, cancel := context.WithCancel(t.Context())
	held := make(chan error)
	go func() { held <- c.Together(t.Context(), redis.NewStatusCmd(t.Context(), "set", "a", 1)) }()
	require.Eventually(t, func() bool { return len(g.seen()) == 1 }, 5*time.Second, time.Millisecond)
	late := make(chan error)
	go func() { late <- c.Together(ctx, redis.NewStatusCmd(ctx, "set", "b", 1)) }()
	require.Eventually(t, func() bool { return c.queued() == 1 }, 5*time.Second, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-late, context.Canceled)
	close(g.open)
	require.NoError(t, <-held)
	require.NoError(t, c.Flush(t.Context()))
	n, err := rdb.Exists(t.Context(), "a", "b").Result()
	require.NoError(t, err)
	assert.EqualValues(t, 1, n, "nobody waited for b any more")
	require.ErrorIs(t, c.Together(ctx), context.Canceled)
}

// A Redis that hangs holds each pipeline up for a second, not for ever.
func TestTogether_Hangs(t *testing.T) {
	t.Parallel()
	c, _, _ := gated(t)
	began := time.Now()
	cmd := redis.NewStatusCmd(t.Context(), "set", "a", 1)
	require.NoError(t, c.Together(t.Context(), cmd))
	require.ErrorIs(t, cmd.Err(), errUnanswered, "no error would say that it is stored")
	assert.InDelta(t, sendWithin, time.Since(began), float64(500*time.Millisecond))
}

func TestLater(t *testing.T) {
	t.Parallel()
	c, g, rdb := gated(t)
	told := make(chan error, 1)
	later := func(cmd redis.Cmder) error {
		return c.Later(t.Context(), func(err error) { told <- err }, cmd)
	}
	require.NoError(t, later(redis.NewStatusCmd(t.Context(), "set", "a", "x")))
	require.Eventually(t, func() bool { return len(g.seen()) == 1 }, 5*time.Second, time.Millisecond)
	for range mostLater {
		require.NoError(t, later(redis.NewStatusCmd(t.Context(), "set", "b", "x")))
	}
	require.ErrorIs(t, later(redis.NewStatusCmd(t.Context(), "set", "c", "x")), ErrFull)
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, c.Flush(short), context.DeadlineExceeded)
	close(g.open)
	get := redis.NewStringCmd(t.Context(), "get", "b")
	require.NoError(t, c.Together(t.Context(), get))
	assert.Equal(t, "x", get.Val(), "what was asked for earlier is sent earlier")
	require.NoError(t, later(redis.NewIntCmd(t.Context(), "incr", "b")))
	require.NoError(t, c.Flush(t.Context()))
	require.ErrorContains(t, <-told, "not an integer")
	n, err := rdb.Exists(t.Context(), "a", "b", "c").Result()
	require.NoError(t, err)
	assert.EqualValues(t, 2, n)
}

// asynq's script goes through it, also when Redis does not know the script yet.
func TestEvalSha(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		queue := asynq.NewClientFromRedisClient(New(rdb))
		var wait sync.WaitGroup
		for i := range 50 {
			wait.Go(func() {
				_, err := queue.EnqueueContext(t.Context(), asynq.NewTask("t", nil), asynq.TaskID(fmt.Sprint(i)))
				assert.NoError(t, err)
			})
		}
		wait.Wait()
		_, err := queue.Enqueue(asynq.NewTask("t", nil), asynq.TaskID("7"))
		require.ErrorIs(t, err, asynq.ErrTaskIDConflict)
		n, err := rdb.LLen(t.Context(), "asynq:{default}:pending").Result()
		require.NoError(t, err)
		assert.EqualValues(t, 50, n)
	})
}

func TestEvalSha_Cluster(t *testing.T) {
	t.Parallel()
	c := New(redistest.Cluster(t, 3).Client(t))
	script := redis.NewScript(`return redis.call('INCR', KEYS[1])`)
	for i := range 20 { // in different slots
		require.NoError(t, script.Run(t.Context(), c, []string{fmt.Sprint("k", i)}).Err())
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	err := script.Run(ended, c, []string{"k"}).Err()
	require.ErrorIs(t, err, context.Canceled)
}
