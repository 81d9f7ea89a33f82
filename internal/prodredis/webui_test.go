package prodredis

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/enqueue"
	"github.com/edgepurge/edgepurge/internal/deadletter"
	"github.com/edgepurge/edgepurge/internal/monitor"
	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/internal/redisurl"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// The gateway of docs/redis.md may do all that the web UI has a button for.
func TestACL_WebUI(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	admin := s.Client(t)
	createUsers(t, admin, "&asynq:cancel", "+set", "+zremrangebyrank") // what a gateway has beside the command line
	rdb, err := redisurl.Open(as(t, s.URL(), "operator"), 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = rdb.Close() })
	requests, err := enqueue.New(enqueue.Config{Client: rdb})
	require.NoError(t, err)
	ui, err := monitor.New(monitor.Config{Redis: rdb, Letters: deadletter.New(rdb, requests), User: "u", Password: "p"})
	require.NoError(t, err)
	server := httptest.NewServer(ui)
	t.Cleanup(server.Close)

	client := asynq.NewClientFromRedisClient(admin)
	for _, id := range []string{"a", "b", "c", "d"} {
		p := tasks.Purge{ID: id, Project: "p", Operation: tasks.Delete, Tags: []string{id}}
		payload, err := p.Encode()
		require.NoError(t, err)
		_, err = client.Enqueue(asynq.NewTask(tasks.TypeRequest, payload), asynq.Queue(tasks.QueueIntake), asynq.TaskID(id))
		require.NoError(t, err)
	}
	l := lanes.New(admin)
	_, err = l.Hold(t.Context(), "acme", lanes.ScopeAccount, "unauthorized", "401", lanes.Batch{ID: "x"}, 1)
	require.NoError(t, err)
	require.NoError(t, l.NoteCalls(t.Context(), []lanes.MadeCall{{At: time.Now()}}, []lanes.Second{{Unix: time.Now().Unix(), Calls: 1}}))

	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	browser := &http.Client{Jar: jar}
	const api = "/monitor/api/queues/edgepurge-intake"
	for _, c := range []struct{ method, path, form string }{
		{"POST", "/monitor/login", "user=u&password=p"},
		{"GET", "/monitor/purges", ""},
		{"GET", "/monitor/api/queues", ""},
		{"GET", "/monitor/api/queue_stats", ""},
		{"GET", "/monitor/api/servers", ""},
		{"GET", "/monitor/api/scheduler_entries", ""},
		{"GET", "/monitor/api/redis_info", ""},
		{"GET", api, ""},
		{"GET", api + "/pending_tasks", ""},
		{"GET", api + "/active_tasks", ""},
		{"POST", api + "/active_tasks:cancel_all", ""},
		{"GET", api + "/scheduled_tasks", ""},
		{"GET", api + "/retry_tasks", ""},
		{"GET", api + "/completed_tasks", ""},
		{"POST", api + "/pending_tasks/a:archive", ""},
		{"POST", api + "/pending_tasks:archive_all", ""},
		{"GET", api + "/archived_tasks", ""},
		{"GET", api + "/tasks/a", ""},
		{"POST", api + "/archived_tasks/a:run", ""},
		{"DELETE", api + "/archived_tasks/b", ""},
		{"POST", "/monitor/purges/replay", "reason=" + deadletter.ByHand},
		{"POST", api + "/archived_tasks:run_all", ""},
		{"POST", api + ":pause", ""},
		{"POST", api + ":resume", ""},
		{"POST", "/monitor/purges/release", url.Values{"account": {"acme"}, "scope": {lanes.ScopeAccount}}.Encode()},
	} {
		r, err := http.NewRequest(c.method, server.URL+c.path, strings.NewReader(c.form))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := browser.Do(r)
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Less(t, resp.StatusCode, 300, "%s %s: %s", c.method, c.path, text)
		assert.NotContains(t, string(text), "NOPERM", c.path)
		if c.method == "POST" && strings.HasPrefix(c.path, "/monitor/purges") {
			assert.Regexp(t, "Released: what waited|Replayed 2 dead letters", string(text))
		}
	}
	browser.CloseIdleConnections()
	assert.Empty(t, denials(t, admin))
}
