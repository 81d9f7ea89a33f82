package prodredis

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/enqueue"
	"github.com/edgepurge/edgepurge/internal/history"
	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
)

// A full Redis refuses to take a task from a queue as well: nothing drains by itself.
func TestMemory_FullRedisStopsAndGoesOnWithMore(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--maxmemory", "4mb", "--maxmemory-policy", "noeviction")
	admin := s.Client(t)
	f := newFleet(t, s.URL(), enqueue.Config{Redis: s.URL() + "?max_retries=-1"}, 0, "acme")
	full := false
	for i := 0; !full && i < 20_000; i++ {
		p := tasks.Purge{ID: fmt.Sprint("r", i), Project: project("acme"), Operation: tasks.Invalidate, Tags: []string{fmt.Sprint("tag-", i%tagsEach)}}
		p.Tags = append(p.Tags, strings.Repeat("x", 200), strings.Repeat("y", 200), strings.Repeat("z", 200))
		asked := time.Now()
		if _, err := f.client.Purge(t.Context(), p); err != nil {
			require.ErrorContains(t, err, "OOM command not allowed")
			full = true
			continue
		}
		f.asked = append(f.asked, history.Requests(p, asked, time.Now())...)
	}
	require.True(t, full)
	f.startWorkers(1)
	assert.False(t, within(3*time.Second, func() bool { return len(f.api.Journal()) > 0 }), "nothing can be dequeued")
	assert.Contains(t, f.logs.String(), "OOM command not allowed")
	require.NoError(t, admin.ConfigSet(t.Context(), "maxmemory", "64mb").Err())
	f.drain(admin)
}

// A worker that was given a task and never heard of it: asynq finds it by its lease.
func TestLostDequeue_ComesBack(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	rdb := s.Client(t)
	f := newFleet(t, s.URL(), enqueue.Config{Redis: s.URL()}, 0, "acme")
	f.purge(tasks.Purge{ID: "lost", Project: project("acme"), Operation: tasks.Delete, Tags: []string{"a"}})
	const queue = "asynq:{" + tasks.QueueIntake + "}:"
	_, err := rdb.Pipelined(t.Context(), func(p redis.Pipeliner) error { // as asynq dequeues
		p.RPopLPush(t.Context(), queue+"pending", queue+"active")
		p.HSet(t.Context(), queue+"t:lost", "state", "active")
		p.HDel(t.Context(), queue+"t:lost", "pending_since")
		p.ZAdd(t.Context(), queue+"lease", redis.Z{Score: float64(time.Now().Add(30 * time.Second).Unix()), Member: "lost"})
		return nil
	})
	require.NoError(t, err)
	f.startWorkers(1)
	assert.False(t, within(time.Second, func() bool { return len(f.api.Journal()) > 0 }))
	f.recoverNow(rdb)
	f.drain(rdb)
}
