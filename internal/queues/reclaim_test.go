package queues

import (
	"context"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
)

func TestReclaimer_Note(t *testing.T) {
	t.Parallel()
	task := activeTask{"q", "id"}
	start := time.Unix(1_800_000_000, 0)
	for name, c := range map[string]struct {
		leases []float64 // as seen every 5 s
		gap    int       // before this look nobody looked for a minute
		want   int       // the look that finds it abandoned; -1: none does
	}{
		"no lease":              {[]float64{0, 0, 0, 0, 0, 0, 0, 0}, -1, 7},
		"a lease that stays":    {[]float64{9, 9, 9, 9, 9, 9, 9, 9}, -1, 7},
		"renewed":               {[]float64{5, 10, 15, 20, 25, 30, 35, 40}, -1, -1},
		"renewed late":          {[]float64{5, 5, 5, 5, 5, 5, 6, 6}, -1, -1},
		"nobody looked":         {[]float64{9, 9, 9, 9, 9, 9, 9, 9}, 7, -1},
		"the lease was lost":    {[]float64{9, 9, 9, 0, 0, 0, 0, 0, 0, 0, 0}, -1, 10},
		"looked again for long": {[]float64{9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9}, 3, 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, now, found := NewReclaimer(nil), start, -1
			for i, lease := range c.leases {
				now = now.Add(5 * time.Second)
				if i == c.gap {
					now = now.Add(time.Minute)
				}
				if len(r.note(map[activeTask]float64{task: lease}, now)) > 0 && found < 0 {
					found = i
				}
			}
			assert.Equal(t, c.want, found)
		})
	}
}

// A task of the real asynq whose worker is gone, with its lease and without, comes back to
// the real asynq, once; what a worker took up meanwhile does not.
func TestReclaimer_TakesBack(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		client := asynq.NewClientFromRedisClient(rdb)
		for _, id := range []string{"leased", "unleased", "gone", "renewed"} {
			_, err := client.Enqueue(asynq.NewTask("x", nil), asynq.Queue(tasks.QueueIntake), asynq.TaskID(id))
			require.NoError(t, err)
			// As asynq's dequeue does it, by a worker that dies.
			require.NoError(t, rdb.LMove(t.Context(), Key(tasks.QueueIntake, "pending"), Key(tasks.QueueIntake, "active"), "right", "left").Err())
			require.NoError(t, rdb.HSet(t.Context(), TaskKey(tasks.QueueIntake, id), "state", "active").Err())
			if id != "unleased" {
				require.NoError(t, rdb.ZAdd(t.Context(), Key(tasks.QueueIntake, "lease"), redis.Z{Score: 9, Member: id}).Err())
			}
		}
		require.NoError(t, rdb.Del(t.Context(), TaskKey(tasks.QueueIntake, "gone")).Err())
		r := NewReclaimer(rdb)
		got, err := r.Reclaim(t.Context())
		require.NoError(t, err)
		assert.Empty(t, got, "seen for the first time")
		for task, s := range r.seen {
			s.since = s.since.Add(-abandoned)
			r.seen[task] = s
		}
		require.NoError(t, rdb.ZAdd(t.Context(), Key(tasks.QueueIntake, "lease"), redis.Z{Score: 10, Member: "renewed"}).Err())
		got, err = r.Reclaim(t.Context())
		require.NoError(t, err)
		assert.ElementsMatch(t, []string{"leased", "unleased"}, got)
		left, err := rdb.LRange(t.Context(), Key(tasks.QueueIntake, "active"), 0, -1).Result()
		require.NoError(t, err)
		assert.Equal(t, []string{"renewed"}, left)
		got, err = r.Reclaim(t.Context())
		require.NoError(t, err)
		assert.Empty(t, got)

		ran := make(chan string, 10)
		server := asynq.NewServerFromRedisClient(rdb, asynq.Config{
			Queues: map[string]int{tasks.QueueIntake: 1}, TaskCheckInterval: 2 * time.Millisecond, LogLevel: asynq.FatalLevel,
		})
		require.NoError(t, server.Start(asynq.HandlerFunc(func(ctx context.Context, _ *asynq.Task) error {
			id, _ := asynq.GetTaskID(ctx)
			retried, _ := asynq.GetRetryCount(ctx)
			assert.Zero(t, retried, "it costs no attempt")
			ran <- id
			return nil
		})))
		defer server.Shutdown()
		assert.ElementsMatch(t, []string{"leased", "unleased"}, []string{<-ran, <-ran})
	})
}

// The script is not run against a lease that has changed since it was seen.
func TestReclaimScript_LeavesARenewedLease(t *testing.T) {
	t.Parallel()
	rdb, _ := redistest.Mini(t)
	keys := []string{"a", "l", "p", "t"}
	require.NoError(t, rdb.LPush(t.Context(), "a", "id").Err())
	require.NoError(t, rdb.HSet(t.Context(), "t", "state", "active").Err())
	require.NoError(t, rdb.ZAdd(t.Context(), "l", redis.Z{Score: 1_796_136_202, Member: "id"}).Err())
	for _, stale := range []float64{0, 1_796_136_197} {
		n, err := reclaimScript.Run(t.Context(), rdb, keys, "id", stale).Int()
		require.NoError(t, err)
		assert.Zero(t, n)
	}
	n, err := reclaimScript.Run(t.Context(), rdb, keys, "id", float64(1_796_136_202)).Int()
	require.NoError(t, err)
	assert.Equal(t, 1, n)
}
