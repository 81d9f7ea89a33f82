package chaos

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/tasks"
)

// askForLanes asks for many lanes at once, the first time for as many as -chaos.lanes
// says: each deadline is a lane of its own.
func (w *storm) askForLanes() {
	n, lanes := w.injected[manyLanes], *laneCount
	if n > 1 {
		lanes = max(1, lanes/20)
	}
	w.floods = append(w.floods, w.askForDeadlines(w.t, fmt.Sprint("lanes-", n), "lanes", lanes))
}

// askForDeadlines asks for a tag with each of n deadlines.
func (s *site) askForDeadlines(t *testing.T, id, project string, n int) *producers {
	t.Helper()
	return s.produce(t.Context(), 4, n, 0, func(i int) tasks.Purge {
		deadline := i + 1
		return tasks.Purge{
			ID: fmt.Sprintf("%s-%d", id, i), Project: project, Operation: tasks.Delete,
			DeadlineSeconds: &deadline, Tags: []string{fmt.Sprintf("lane-%d", i)},
		}
	})
}

// orphan stores a request as a worker leaves it that dies between two of asynq's steps.
func (w *storm) orphan() {
	if w.redisIsAway() || w.active[fullRedis] {
		return // nobody can take a task from a queue then
	}
	w.orphaned(w.t, one(fmt.Sprint("orphan-", w.injected[orphan]), fmt.Sprint("orphan-", w.injected[orphan])))
}

// unlease makes a scheduled task an active one without a lease.
var unlease = redis.NewScript(`
if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[3], 'state', 'active')
return redis.call('LPUSH', KEYS[2], ARGV[1])`)

// orphaned stores a request in asynq's active list without a lease.
func (s *site) orphaned(t *testing.T, p tasks.Purge) {
	t.Helper()
	ctx := context.Background()
	asked := time.Now()
	p.Priority, p.RequestedAt = tasks.Normal, asked
	payload, err := p.Encode()
	require.NoError(t, err)
	_, err = asynq.NewClientFromRedisClient(s.rdb).Enqueue(asynq.NewTask(tasks.TypeRequest, payload),
		asynq.Queue(tasks.QueueIntake), asynq.TaskID(p.ID), asynq.MaxRetry(100), asynq.ProcessIn(time.Hour))
	require.NoError(t, err)
	queue := "asynq:{" + tasks.QueueIntake + "}:"
	n, err := unlease.Run(ctx, s.rdb, []string{queue + "scheduled", queue + "active", queue + "t:" + p.ID}, p.ID).Int()
	require.NoError(t, err)
	require.NotZero(t, n)
	s.ledger.note(p, asked, time.Now())
}
