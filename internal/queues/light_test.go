package queues_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/queues"
	"github.com/edgepurge/edgepurge/internal/redistest"
)

// asynq's inspector sees the same, but for large payloads and sizes.
func TestLight(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		client, plain := asynq.NewClientFromRedisClient(rdb), asynq.NewInspectorFromRedisClient(rdb)
		light := asynq.NewInspectorFromRedisClient(queues.Light{UniversalClient: rdb})
		large := strings.Repeat("ä", 300_000)
		for id, payload := range map[string]string{"small": `{"v":1}`, "empty": "", "large": large, "edge": large[:queues.ListedPayload]} {
			for _, queue := range []string{"pending", "archived", "scheduled"} {
				options := []asynq.Option{asynq.Queue(queue), asynq.TaskID(id), asynq.MaxRetry(300), asynq.Timeout(time.Hour)}
				if queue == "scheduled" {
					options = append(options, asynq.ProcessIn(time.Hour))
				}
				task := asynq.NewTaskWithHeaders("type", []byte(payload), map[string]string{"traceparent": "00-ä"})
				_, err := client.Enqueue(task, options...)
				require.NoError(t, err)
			}
			require.NoError(t, plain.ArchiveTask("archived", id))
		}
		for queue, list := range map[string]func(*asynq.Inspector) ([]*asynq.TaskInfo, error){
			"pending":   func(i *asynq.Inspector) ([]*asynq.TaskInfo, error) { return i.ListPendingTasks("pending") },
			"archived":  func(i *asynq.Inspector) ([]*asynq.TaskInfo, error) { return i.ListArchivedTasks("archived") },
			"scheduled": func(i *asynq.Inspector) ([]*asynq.TaskInfo, error) { return i.ListScheduledTasks("scheduled") },
		} {
			want, err := list(plain)
			require.NoError(t, err)
			got, err := list(light)
			require.NoError(t, err)
			require.Len(t, got, 4)
			for i := range want {
				if len(want[i].Payload) > queues.ListedPayload {
					assert.Len(t, got[i].Payload, queues.ListedPayload, "%s: asynq has other scripts than those that Light replaces", queue)
					want[i].Payload = want[i].Payload[:queues.ListedPayload]
				}
				want[i].NextProcessAt, got[i].NextProcessAt = time.Time{}, time.Time{}
				assert.Equal(t, want[i], got[i], queue)
			}
		}
		whole, err := light.GetTaskInfo("archived", "large")
		require.NoError(t, err)
		assert.Equal(t, large, string(whole.Payload))
	})
}

// A Redis without MEMORY, and a task that is gone, leave the inspector usable.
func TestLight_WithoutMemory(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t, "--rename-command", "MEMORY", "").Client(t)
	light := asynq.NewInspectorFromRedisClient(queues.Light{UniversalClient: rdb})
	_, err := asynq.NewClientFromRedisClient(rdb).Enqueue(asynq.NewTask("t", nil), asynq.Queue("q"))
	require.NoError(t, err)
	require.NoError(t, rdb.ZAdd(t.Context(), "asynq:{q}:archived", redis.Z{Score: 1, Member: "gone"}).Err())
	info, err := light.GetQueueInfo("q")
	require.NoError(t, err, "asynq has another script than the one that Light replaces")
	assert.Equal(t, 1, info.Pending)
	assert.Equal(t, 1, info.Archived)
	assert.Zero(t, info.MemoryUsage)
	_, err = light.ListArchivedTasks("q")
	require.NoError(t, err)
}
