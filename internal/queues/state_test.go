package queues_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/queues"
	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
)

// It counts what asynq's inspector counts.
func TestRead(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		client, inspector := asynq.NewClientFromRedisClient(rdb), asynq.NewInspectorFromRedisClient(rdb)
		for i := range 6 {
			var options []asynq.Option
			if i == 5 {
				options = append(options, asynq.ProcessIn(time.Hour))
			}
			_, err := client.Enqueue(asynq.NewTask("t", nil), append(options, asynq.Queue(tasks.QueueCalls), asynq.TaskID(fmt.Sprint(i)))...)
			require.NoError(t, err)
		}
		for _, id := range []string{"1", "2"} {
			require.NoError(t, inspector.ArchiveTask(tasks.QueueCalls, id))
		}
		require.NoError(t, inspector.PauseQueue(tasks.QueueCalls))
		since := time.Now().Add(-time.Minute).UnixNano()
		require.NoError(t, rdb.HSet(t.Context(), "asynq:{edgepurge-calls}:t:0", "pending_since", since).Err())

		states, err := queues.Read(t.Context(), rdb, queues.All()...)
		require.NoError(t, err)
		require.Len(t, states, 4)
		assert.Equal(t, queues.State{Queue: tasks.QueueIntake}, states[0])
		s := states[2]
		assert.InDelta(t, 60, s.Waited.Seconds(), 5)
		s.Waited = 0
		assert.Equal(t, queues.State{Queue: tasks.QueueCalls, Pending: 3, Scheduled: 1, Archived: 2, Paused: true}, s)
		n, err := queues.Archived(t.Context(), rdb, tasks.QueueCalls)
		require.NoError(t, err)
		assert.Equal(t, 2, n)
	})
}

// Neither a Redis without MEMORY nor a task whose data is gone spoils the count.
func TestRead_WhatFailsAsynq(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t, "--rename-command", "MEMORY", "").Client(t)
	inspector := asynq.NewInspectorFromRedisClient(rdb)
	require.NoError(t, queues.Register(t.Context(), rdb))
	_, err := inspector.GetQueueInfo(tasks.QueueCalls)
	require.Error(t, err, "asynq's own look needs MEMORY: this test tests nothing any more")
	require.NoError(t, rdb.ZAdd(t.Context(), "asynq:{edgepurge-calls}:archived", redis.Z{Score: 1, Member: "gone"}).Err())
	require.NoError(t, rdb.LPush(t.Context(), "asynq:{edgepurge-calls}:pending", "gone too").Err())
	states, err := queues.Read(t.Context(), rdb, tasks.QueueCalls)
	require.NoError(t, err)
	assert.Equal(t, []queues.State{{Queue: tasks.QueueCalls, Pending: 1, Archived: 1}}, states)

	require.NoError(t, rdb.HSet(t.Context(), "asynq:{edgepurge-calls}:t:gone too", "pending_since", "?").Err())
	_, err = queues.Read(t.Context(), rdb, tasks.QueueCalls)
	require.NoError(t, err)
	require.NoError(t, rdb.Set(t.Context(), "asynq:{edgepurge-urgent}:pending", "x", 0).Err())
	_, err = queues.Read(t.Context(), rdb, tasks.QueueUrgent)
	require.ErrorContains(t, err, "count the tasks of the queues: WRONGTYPE")
}

func TestArchivedBefore(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		now := time.Now()
		for id, age := range map[string]time.Duration{"old": 3 * time.Hour, "older": 4 * time.Hour, "new": time.Minute} {
			require.NoError(t, rdb.ZAdd(t.Context(), "asynq:{edgepurge-calls}:archived", redis.Z{Score: float64(now.Add(-age).Unix()), Member: id}).Err())
		}
		ids, err := queues.ArchivedBefore(t.Context(), rdb, tasks.QueueCalls, now.Add(-time.Hour))
		require.NoError(t, err)
		assert.Equal(t, []string{"older", "old"}, ids)
	})
}
