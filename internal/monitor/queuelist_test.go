package monitor

import (
	"encoding/json"
	"net/http"
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

// names are the queues that asynqmon's first page lists.
func (s *site) names() (names []string) {
	s.t.Helper()
	a := s.get("/monitor/api/queues")
	require.Equal(s.t, http.StatusOK, a.StatusCode, a.body)
	var list struct {
		Queues []listedQueue `json:"queues"`
	}
	require.NoError(s.t, json.Unmarshal([]byte(a.body), &list))
	for _, q := range list.Queues {
		names = append(names, q.Queue)
	}
	return names
}

// Neither a Redis that refuses MEMORY, nor a dead letter whose task is gone, nor a
// broken queue of another program empties the web UI.
func TestQueues_SurviveWhatFailsAsynq(t *testing.T) {
	t.Parallel()
	s := newSiteOn(t, redistest.Start(t, "--rename-command", "MEMORY", "").Client(t), nil).in()
	s.bury("01A", "prj", "bad_request", "a")
	client := asynq.NewClientFromRedisClient(s.rdb)
	for _, queue := range []string{"other", "broken"} {
		_, err := client.Enqueue(asynq.NewTask("t", nil), asynq.Queue(queue))
		require.NoError(t, err)
	}
	gone := redis.Z{Score: float64(time.Now().Unix()), Member: "gone"}
	require.NoError(t, s.rdb.ZAdd(t.Context(), queues.Key(tasks.QueueCalls, "archived"), gone).Err())
	require.NoError(t, s.rdb.Set(t.Context(), queues.Key("broken", "retry"), "no sorted set", 0).Err())

	assert.Equal(t, []string{"edgepurge-calls", "edgepurge-deliveries", "edgepurge-intake", "edgepurge-urgent", "other"}, s.names())
	for _, path := range []string{
		"/api/queues/edgepurge-calls", "/api/queues/edgepurge-calls/archived_tasks", "/api/queues/edgepurge-calls/pending_tasks",
		"/api/queues/edgepurge-calls/active_tasks", "/api/queues/edgepurge-calls/tasks/01A", "/api/queue_stats", "/api/servers", "/api/redis_info", "/purges",
	} {
		a := s.get("/monitor" + path)
		assert.Equal(t, http.StatusOK, a.StatusCode, "%s: %s", path, a.body)
	}
	assert.Contains(t, s.get("/monitor/api/queues/edgepurge-calls/archived_tasks").body, "01A")
}

// Ours are listed though asynq's set of queues was lost.
func TestQueues_OursAreListed(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil).in()
	assert.Len(t, s.names(), 4)
	require.NoError(t, s.rdb.Del(t.Context(), "asynq:queues").Err())
	assert.Len(t, s.names(), 4)
}
