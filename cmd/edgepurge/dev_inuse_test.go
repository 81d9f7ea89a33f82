package main

import (
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// A real purge must not end at the emulated Vercel because somebody tries something out.
func TestDev_RedisInUse(t *testing.T) {
	t.Parallel()
	dev := func(url string, more ...string) result {
		return command(t, nil, append([]string{"dev", "--redis", url, "--listen", anyPort, "--emulator-listen", anyPort}, more...)...)
	}
	t.Run("a worker", func(t *testing.T) {
		t.Parallel()
		rdb, m := redistest.Mini(t)
		server := asynq.NewServerFromRedisClient(rdb, asynq.Config{Queues: map[string]int{tasks.QueueIntake: 1}, LogLevel: asynq.FatalLevel})
		require.NoError(t, server.Start(asynq.NewServeMux()))
		t.Cleanup(server.Shutdown)
		got := dev("redis://" + m.Addr())
		assert.Equal(t, exitFailed, got.code)
		assert.Contains(t, got.stderr, "is in use (1 worker at work)")
		assert.Contains(t, got.stderr, "--redis-in-use")
		assert.Empty(t, got.stdout)
	})
	t.Run("purges that wait", func(t *testing.T) {
		t.Parallel()
		rdb, m := redistest.Mini(t)
		purge(t, "redis://"+m.Addr(), tasks.Purge{Tags: []string{"a"}})
		lane := tasks.Lane{Project: "prj", Kind: tasks.Tag, Operation: tasks.Delete, DeadlineSeconds: tasks.NoDeadline, Priority: tasks.Normal}
		_, err := lanes.New(rdb).Absorb(t.Context(), lanes.Pace{Account: "acme", Calls: 5, Per: time.Minute, InFlight: 1, Lease: time.Minute, MaxItems: 16, Full: 16},
			lanes.Absorption{Request: "r", Lane: lane, Items: []string{"a", "b"}})
		require.NoError(t, err)
		assert.Contains(t, dev("redis://"+m.Addr()).stderr, "is in use (1 task in its queues, 2 items waiting)")
		assert.Contains(t, dev("redis://127.0.0.1:1/0", "--redis-in-use").stderr, "leave --redis out", "told so, it goes on to use it")
	})
}
