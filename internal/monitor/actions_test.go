package monitor

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/deadletter"
	"github.com/edgepurge/edgepurge/internal/queues"
	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

func (s *site) deadLetters() int {
	s.t.Helper()
	letters, err := s.letters.List(s.t.Context(), deadletter.Filter{})
	require.NoError(s.t, err)
	return len(letters)
}

func TestActions(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil).in()
	s.hold(lanes.ScopeAccount, "unauthorized", "401")
	s.hold(lanes.ScopeProject("prj"), "project_missing", "404")
	require.NoError(t, s.lanes.PauseLimited(t.Context(), s.pace, 1e12, 0, "01BATCH", 1))
	for i := range 3 {
		s.bury(fmt.Sprint("01A", i), "prj", "bad_request", "a")
	}
	s.bury("01B", "prj", "refused", "b")
	assert.Contains(t, s.get("/monitor/purges").body, `aria-label="Release account acme"`)

	a := s.post("/monitor/purges/release", url.Values{"account": {"acme"}, "scope": {"account"}})
	assert.Equal(t, http.StatusSeeOther, a.StatusCode)
	assert.Contains(t, s.get(a.Header.Get("Location")).body, "Released: what waited goes on.")
	require.Len(t, s.holds(), 1)
	status, err := s.lanes.Status(t.Context(), "acme", 1)
	require.NoError(t, err)
	assert.True(t, status.PausedUntil.IsZero(), "releasing an account ends its pause")
	body := s.get("/monitor/purges").body
	assert.NotContains(t, body, `aria-label="Release account acme"`, "the page shows it at once")
	assert.Contains(t, body, `aria-label="Release project prj of acme"`)

	a = s.post("/monitor/purges/release", url.Values{"account": {"acme"}, "scope": {"nothing"}})
	assert.Contains(t, s.get(a.Header.Get("Location")).body, "Nothing of that is held any more.")

	a = s.post("/monitor/purges/replay", url.Values{"reason": {"bad_request"}})
	assert.Contains(t, s.get(a.Header.Get("Location")).body, "Replayed 3 dead letters.")
	assert.Equal(t, 1, s.deadLetters(), "those of the other reason stay")
	waiting, err := asynq.NewInspectorFromRedisClient(s.rdb).ListPendingTasks(tasks.QueueIntake)
	require.NoError(t, err)
	require.Len(t, waiting, 3, "they are asked for again")
	p, err := tasks.DecodePurge(waiting[0].Payload)
	require.NoError(t, err)
	assert.Equal(t, deadletter.Source, p.Source)

	assert.Equal(t, http.StatusBadRequest, s.post("/monitor/purges/replay", nil).StatusCode, "no reason is not every reason")
	for _, path := range []string{"/monitor/purges/replay", "/monitor/purges/release"} {
		assert.Equal(t, http.StatusMethodNotAllowed, s.get(path).StatusCode)
	}
	assert.Equal(t, http.StatusMethodNotAllowed, s.post("/monitor/purges", nil).StatusCode)
	assert.Equal(t, 1, s.deadLetters())
}

// A delivery that still cannot be mapped does not keep the others from being replayed.
func TestReplay_GoesOnAfterAFailure(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil).in()
	for i := range 3 {
		require.NoError(t, s.letters.Keep(t.Context(), fmt.Sprint("01D", i), deadletter.Delivery{Source: "blog", Reason: "no tags", Body: []byte("{}")}))
	}
	body := s.get("/monitor/purges").body
	assert.Contains(t, body, "Replay 3")
	a := s.post("/monitor/purges/replay", url.Values{"reason": {deadletter.Unmappable}})
	assert.Contains(t, s.get(a.Header.Get("Location")).body, "Replayed 0 dead letters. 3 could not be replayed and stay dead letters")
	assert.Equal(t, 3, s.deadLetters())
}

// Another site's page may send a browser here with its cookie, or not: nothing changes.
func TestCrossSite_ChangesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil).in()
	s.hold(lanes.ScopeAccount, "unauthorized", "401")
	s.bury("01A", "prj", "bad_request", "a")
	release := url.Values{"account": {"acme"}, "scope": {"account"}}
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
		{"Origin", "https://evil.example"},
		{"Origin", "null"},
	} {
		assert.Equal(t, http.StatusForbidden, s.post("/monitor/purges/release", release, headers...).StatusCode, headers)
		assert.Equal(t, http.StatusForbidden, s.post("/monitor/purges/replay", url.Values{"reason": {"bad_request"}}, headers...).StatusCode)
		assert.Equal(t, http.StatusForbidden, s.post("/monitor/logout", nil, headers...).StatusCode)
		assert.Equal(t, http.StatusForbidden, s.tryLogin(testUser, testPassword, headers...).StatusCode, "nor is anybody logged in")
		for _, path := range []string{"/archived_tasks:run_all", "/archived_tasks/01A:run", ":pause"} {
			assert.Equal(t, http.StatusForbidden, s.post("/monitor/api/queues/edgepurge-calls"+path, nil, headers...).StatusCode)
		}
		assert.Equal(t, http.StatusForbidden, s.do(http.MethodDelete, "/monitor/api/queues/edgepurge-calls/archived_tasks/01A", nil, headers...).StatusCode)
	}
	assert.Len(t, s.holds(), 1)
	assert.Equal(t, 1, s.deadLetters())
	a := s.post("/monitor/purges/release", release, "Sec-Fetch-Site", "same-origin", "Origin", s.server.URL)
	assert.Equal(t, http.StatusSeeOther, a.StatusCode)
	assert.Empty(t, s.holds())
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *Config) { c.ReadOnly = true }).in()
	s.hold(lanes.ScopeAccount, "unauthorized", "401")
	s.bury("01A", "prj", "bad_request", "a")
	body := s.get("/monitor/purges").body
	assert.Contains(t, body, "unauthorized")
	assert.Contains(t, body, "bad_request")
	assert.Contains(t, body, "read only")
	assert.Equal(t, 1, strings.Count(body, "<button"), "but the one to log out")
	assert.NotContains(t, s.get("/monitor/purges/live").body, "<button")
	assert.Contains(t, s.get("/monitor/").body, `FLAG_READ_ONLY="true"`)
	for _, c := range [][2]string{
		{http.MethodPost, "/monitor/purges/release?account=acme&scope=account"},
		{http.MethodPost, "/monitor/purges/replay?reason=bad_request"},
		{http.MethodPost, "/monitor/api/queues/edgepurge-calls:pause"},
		{http.MethodPost, "/monitor/api/queues/edgepurge-calls/archived_tasks:run_all"},
		{http.MethodDelete, "/monitor/api/queues/edgepurge-calls/archived_tasks/01A"},
		{http.MethodPut, "/monitor/purges"},
	} {
		assert.Equal(t, http.StatusForbidden, s.do(c[0], c[1], nil).StatusCode, c)
	}
	assert.Len(t, s.holds(), 1)
	assert.Equal(t, 1, s.deadLetters())
	assert.Equal(t, http.StatusSeeOther, s.post("/monitor/logout", nil).StatusCode)
}

// A path says one state, the task is in another: what waits stays.
func TestGuard_JudgesByTheRealState(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		s := newSiteOn(t, rdb, nil).in()
		client, inspector := asynq.NewClientFromRedisClient(rdb), asynq.NewInspectorFromRedisClient(rdb)
		for id, option := range map[string]asynq.Option{"pending": asynq.MaxRetry(1), "scheduled": asynq.ProcessIn(time.Hour), "active": asynq.MaxRetry(1), "dead": asynq.MaxRetry(1)} {
			_, err := client.Enqueue(asynq.NewTask("t", nil), asynq.Queue(tasks.QueueIntake), asynq.TaskID(id), option)
			require.NoError(t, err)
		}
		require.NoError(t, inspector.ArchiveTask(tasks.QueueIntake, "dead"))
		require.NoError(t, rdb.LRem(t.Context(), queues.Key(tasks.QueueIntake, queues.Pending), 1, "active").Err())
		require.NoError(t, rdb.LPush(t.Context(), queues.Key(tasks.QueueIntake, queues.Active), "active").Err())
		require.NoError(t, rdb.HSet(t.Context(), queues.TaskKey(tasks.QueueIntake, "active"), "state", "active").Err())

		const api = "/monitor/api/queues/edgepurge-intake"
		send := func(method, path, body string) int {
			r, err := http.NewRequestWithContext(t.Context(), method, s.server.URL+api+path, strings.NewReader(body))
			require.NoError(t, err)
			resp, err := s.browser.Do(r)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			return resp.StatusCode
		}
		for _, id := range []string{"pending", "scheduled", "active"} {
			for _, state := range []string{"archived", "completed"} {
				assert.Equal(t, http.StatusConflict, send("DELETE", "/"+state+"_tasks/"+id, ""), id)
				assert.Equal(t, http.StatusConflict, send("POST", "/"+state+"_tasks:batch_delete", `{"task_ids":["`+id+`"]}`), id)
			}
		}
		assert.Equal(t, http.StatusConflict, send("DELETE", "/completed_tasks/dead", ""))
		assert.Equal(t, http.StatusConflict, send("POST", "/pending_tasks/active:archive", ""))
		assert.Equal(t, http.StatusConflict, send("POST", "/retry_tasks/dead:archive", ""))
		assert.Equal(t, http.StatusConflict, send("POST", "/active_tasks/pending:cancel", ""))
		assert.Equal(t, http.StatusNotFound, send("DELETE", "/archived_tasks/none", ""))
		assert.Equal(t, http.StatusOK, send("DELETE", "/completed_tasks:delete_all", ""))
		for id, state := range map[string]string{"pending": "pending", "scheduled": "scheduled", "active": "active", "dead": "archived"} {
			info, err := inspector.GetTaskInfo(tasks.QueueIntake, id)
			require.NoError(t, err, id)
			assert.Equal(t, state, info.State.String())
		}
		assert.Equal(t, http.StatusNoContent, send("POST", "/active_tasks/active:cancel", ""))
		assert.Equal(t, http.StatusOK, send("POST", "/archived_tasks:batch_delete", `{"task_ids":["pending","dead"]}`))
		assert.Equal(t, http.StatusNoContent, send("POST", "/retry_tasks/pending:archive", ""), "whatever the page thought")
		assert.Equal(t, http.StatusOK, send("DELETE", "/archived_tasks:delete_all", ""))
		states, err := queues.Read(t.Context(), rdb, tasks.QueueIntake)
		require.NoError(t, err)
		assert.Equal(t, queues.State{Queue: tasks.QueueIntake, Active: 1, Scheduled: 1}, states[0])
		_, err = inspector.GetTaskInfo(tasks.QueueIntake, "dead")
		require.ErrorIs(t, err, asynq.ErrTaskNotFound, "nothing is left of what was deleted")
	})
}

// What asynqmon's buttons may do to our queues.
func TestGuard(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil).in()
	client, inspector := asynq.NewClientFromRedisClient(s.rdb), asynq.NewInspectorFromRedisClient(s.rdb)
	for _, queue := range []string{tasks.QueueIntake, "other"} {
		for _, id := range []string{"a", "b", "c", "d"} {
			_, err := client.Enqueue(asynq.NewTask("t", nil), asynq.Queue(queue), asynq.TaskID(id))
			require.NoError(t, err)
		}
	}
	require.NoError(t, s.letters.Keep(t.Context(), "01D", deadletter.Delivery{Source: "blog", Reason: "no tags", Body: []byte("{}")}))
	const api, lost = "/monitor/api/queues/edgepurge-intake", "this would lose purges that wait"
	for _, c := range []struct {
		method, path, body, want string // want is what a refusal says
	}{
		{"DELETE", api, "", "stays"},
		{"DELETE", api + "/pending_tasks/a", "", lost},
		{"DELETE", api + "/pending_tasks/a:archive", "", lost},
		{"DELETE", api + "/pending_tasks:delete_all", "", lost},
		{"POST", api + "/pending_tasks:batch_delete", `{"task_ids":["a"]}`, lost},
		{"DELETE", api + "/scheduled_tasks/a", "", lost},
		{"DELETE", api + "/retry_tasks:delete_all", "", lost},
		{"DELETE", api + "/groups/g/aggregating_tasks/a", "", "not known"},
		{"DELETE", api + "/pending_tasks:archive_all", "", "not known"},
		{"POST", api + "/pending_tasks/a", "", "not known"},
		{"PUT", api + "/archived_tasks/a", "", "not known"},
		{"POST", api, "", "stays"},
		{"POST", api + "/pending_tasks/a:explode", "", "not known"},
		{"POST", "/monitor/api/queues/edgepurge-deliveries/archived_tasks/01D:run", "", "mapped again by a replay"},
		{"POST", api + "/pending_tasks:batch_archive", `{"task_ids":`, "cannot be read"},
		{"POST", api + ":pause", "", ""},
		{"POST", api + ":resume", "", ""},
		{"POST", api + "/pending_tasks/a:archive", "", ""},
		{"POST", api + "/pending_tasks:batch_archive", `{"task_ids":["b","c"]}`, ""},
		{"POST", api + "/archived_tasks/a:run", "", ""},
		{"POST", api + "/pending_tasks:archive_all", "", ""},
		{"DELETE", api + "/archived_tasks/b", "", ""},
		{"DELETE", "/monitor/api/queues/other/pending_tasks/a", "", ""}, // not ours to judge
		{"DELETE", "/monitor/api/queues/other/pending_tasks:delete_all", "", ""},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, s.server.URL+c.path, strings.NewReader(c.body))
		require.NoError(t, err)
		resp, err := s.browser.Do(r)
		require.NoError(t, err)
		text := make([]byte, 500)
		n, _ := resp.Body.Read(text)
		require.NoError(t, resp.Body.Close())
		if c.want == "" {
			assert.Less(t, resp.StatusCode, 300, "%s %s: %s", c.method, c.path, text[:n])
			continue
		}
		assert.Equal(t, http.StatusForbidden, resp.StatusCode, "%s %s", c.method, c.path)
		assert.Contains(t, string(text[:n]), c.want)
	}
	info, err := inspector.GetQueueInfo(tasks.QueueIntake)
	require.NoError(t, err)
	assert.Equal(t, 3, info.Archived, "of four, one was a dead letter that somebody deleted")
}

// asynq forgets dead letters silently when there are too many.
func TestGuard_KeepsRoomInTheArchive(t *testing.T) {
	t.Parallel()
	s := newSiteOn(t, redistest.Start(t).Client(t), nil).in() // miniredis is slow with so many keys
	client := asynq.NewClientFromRedisClient(s.rdb)
	for i := range 3 {
		_, err := client.Enqueue(asynq.NewTask("t", nil), asynq.Queue(tasks.QueueIntake), asynq.TaskID(fmt.Sprint(i)))
		require.NoError(t, err)
	}
	archive := s.rdb.Pipeline()
	for i := range lettersMost - 2 { // the names are enough to be counted
		archive.HSet(t.Context(), fmt.Sprint("asynq:{edgepurge-intake}:t:x", i), "state", "archived")
		archive.ZAdd(t.Context(), "asynq:{edgepurge-intake}:archived", redis.Z{Score: float64(time.Now().Unix()), Member: fmt.Sprint("x", i)})
	}
	_, err := archive.Exec(t.Context())
	require.NoError(t, err)
	const api = "/monitor/api/queues/edgepurge-intake/pending_tasks"
	a := s.post(api+":archive_all", nil)
	assert.Equal(t, http.StatusForbidden, a.StatusCode)
	assert.Contains(t, a.body, "4998 dead letters and 3 more")
	assert.Less(t, s.post(api+"/0:archive", nil).StatusCode, 300)
	assert.Less(t, s.post(api+"/1:archive", nil).StatusCode, 300)
	assert.Equal(t, http.StatusForbidden, s.post(api+"/2:archive", nil).StatusCode, "now it is full")
}
