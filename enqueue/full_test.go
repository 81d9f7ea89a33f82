package enqueue

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
)

// later makes the bound's count too old.
func (b *bound) later() { b.next.Store(0) }

func TestPurge_Full(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		c, err := New(Config{Client: rdb, MaxQueued: 3})
		require.NoError(t, err)
		purge := func(p tasks.Priority) error {
			_, err := c.Purge(t.Context(), tasks.Purge{Project: "prj_a", Operation: tasks.Delete, Tags: []string{"a"}, Priority: p, Track: true})
			return err
		}
		require.NoError(t, purge(tasks.Normal))
		require.NoError(t, purge(tasks.Urgent))
		// One that a worker put back waits too.
		require.NoError(t, rdb.ZAdd(t.Context(), retryKey(tasks.QueueIntake), redis.Z{Score: 1, Member: "x"}).Err())
		c.bound.later()
		before, err := rdb.Keys(t.Context(), "*").Result()
		require.NoError(t, err)
		err = purge(tasks.Normal)
		require.ErrorIs(t, err, ErrFull)
		for _, part := range []string{"nothing stored", "3, the bound is 3", "redis.max_queued"} {
			require.ErrorContains(t, err, part)
		}
		after, err := rdb.Keys(t.Context(), "*").Result()
		require.NoError(t, err)
		assert.ElementsMatch(t, before, after, "no task, no receipt")
		require.ErrorIs(t, purge(tasks.Urgent), ErrFull)

		require.NoError(t, rdb.Del(t.Context(), pendingKey(tasks.QueueIntake)).Err())
		require.ErrorIs(t, purge(tasks.Normal), ErrFull, "the count is good for a second")
		c.bound.later()
		require.NoError(t, purge(tasks.Normal))
	})
}

func TestPurge_FullIsLookedForOnceASecond(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	c, err := New(Config{Client: rdb, MaxQueued: 1000})
	require.NoError(t, err)
	began := time.Now()
	for i := range 100 {
		_, err := c.Purge(t.Context(), tasks.Purge{Project: "prj_a", Operation: tasks.Delete, Tags: []string{fmt.Sprint(i)}})
		require.NoError(t, err)
	}
	stats, err := rdb.Info(t.Context(), "commandstats").Result()
	require.NoError(t, err)
	looks := 0
	for n := range 10 {
		if n > 0 && strings.Contains(stats, fmt.Sprintf("cmdstat_llen:calls=%d,", 2*n)) {
			looks = n
		}
	}
	assert.Positive(t, looks)
	assert.LessOrEqual(t, looks, 1+int(time.Since(began)/lookEvery))
}

// The keys are asynq's: its own queue counts by them.
func TestBound_Keys(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "asynq:{edgepurge-intake}:pending", pendingKey(tasks.QueueIntake))
	assert.Equal(t, "asynq:{edgepurge-urgent}:retry", retryKey(tasks.QueueUrgent))
}

func TestPurge_CountFails(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c, err := New(Config{Client: s.Client(t), MaxQueued: 1})
	require.NoError(t, err)
	s.Kill(t)
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		_, err = c.Purge(ctx, tasks.Purge{Project: "prj_a", Operation: tasks.Delete, Tags: []string{"a"}})
		cancel()
		require.ErrorContains(t, err, "count the requests that wait")
		require.NotErrorIs(t, err, ErrFull)
	}
	_, err = New(Config{MaxQueued: -1})
	require.ErrorContains(t, err, "Config.MaxQueued -1 is negative")
}
