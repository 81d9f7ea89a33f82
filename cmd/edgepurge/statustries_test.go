package main

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/overview"
	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
)

func TestStatus_SaysUntilWhenRetriesWait(t *testing.T) {
	t.Parallel()
	rdb, _ := redistest.Mini(t)
	now := time.Now().Truncate(time.Second)
	key := "asynq:{" + tasks.QueueCalls + "}:"
	require.NoError(t, rdb.ZAdd(t.Context(), key+"retry", redis.Z{Score: float64(now.Add(20 * time.Hour).Unix()), Member: "b"}).Err())
	require.NoError(t, rdb.ZAdd(t.Context(), key+"scheduled", redis.Z{Score: float64(now.Add(time.Minute).Unix()), Member: "a"}).Err())
	o, err := overview.Read(t.Context(), rdb, nil, overview.Settings{})
	require.NoError(t, err)
	s := status{Now: now, Queues: o.Queues}
	assert.Contains(t, s.String(), "edgepurge-calls: 2 tasks to be tried again, the next in 1m ("+now.Add(time.Minute).Local().Format("Mon 2 Jan 15:04:05")+
		"), the last in 20h ("+now.Add(20*time.Hour).Local().Format("Mon 2 Jan 15:04:05")+")\n")
}
