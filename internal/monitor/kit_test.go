package monitor

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/edgepurge/edgepurge/enqueue"
	"github.com/edgepurge/edgepurge/internal/deadletter"
	"github.com/edgepurge/edgepurge/internal/overview"
	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

func TestMain(m *testing.M) {
	// go-redis looks once a second whether a server that was away is back, and sees
	// only then that its client was closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

const (
	testUser     = "admin"
	testPassword = "correct horse <battery> staple"
)

// site is a web UI with a Redis behind it and a browser before it.
type site struct {
	*Monitor
	t       *testing.T
	rdb     redis.UniversalClient
	lanes   *lanes.Lanes
	pace    lanes.Pace
	server  *httptest.Server
	browser *http.Client
}

func newSite(t *testing.T, change func(*Config)) *site {
	t.Helper()
	rdb, _ := redistest.Mini(t)
	return newSiteOn(t, rdb, change)
}

func newSiteOn(t *testing.T, rdb redis.UniversalClient, change func(*Config)) *site {
	t.Helper()
	requests, err := enqueue.New(enqueue.Config{Client: rdb})
	require.NoError(t, err)
	acme := overview.Settings{Account: "acme", Calls: 5, Per: time.Minute, Reserve: 1, InFlight: 4}
	c := Config{
		Redis: rdb, Letters: deadletter.New(rdb, requests), User: testUser, Password: testPassword,
		Accounts: []overview.Settings{acme}, Rest: overview.Settings{Calls: 5, Per: time.Minute, InFlight: 4},
	}
	if change != nil {
		change(&c)
	}
	s := &site{
		t: t, rdb: rdb, lanes: lanes.New(rdb),
		pace: lanes.Pace{Account: "acme", Calls: 5, Per: time.Minute, InFlight: 100, Lease: time.Minute, MaxItems: 16, Full: 16},
	}
	s.Monitor, err = New(c)
	require.NoError(t, err)
	s.server = httptest.NewServer(s.Monitor)
	t.Cleanup(s.server.Close)
	s.browser = s.newBrowser()
	return s
}

// newBrowser follows no redirects and keeps cookies.
func (s *site) newBrowser() *http.Client {
	jar, err := cookiejar.New(nil)
	require.NoError(s.t, err)
	s.t.Cleanup(s.server.Client().CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: s.server.Client().Transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

// answer is what came back, read.
type answer struct {
	*http.Response
	body string
}

func (s *site) do(method, path string, form url.Values, headers ...string) answer {
	s.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, s.server.URL+path, strings.NewReader(form.Encode()))
	require.NoError(s.t, err)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := s.browser.Do(r)
	require.NoError(s.t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	require.NoError(s.t, resp.Body.Close())
	return answer{resp, string(text)}
}

func (s *site) get(path string, headers ...string) answer {
	s.t.Helper()
	return s.do(http.MethodGet, path, nil, headers...)
}

func (s *site) post(path string, form url.Values, headers ...string) answer {
	s.t.Helper()
	return s.do(http.MethodPost, path, form, headers...)
}

func (s *site) tryLogin(user, password string, headers ...string) answer {
	s.t.Helper()
	return s.post(Root+"/login", url.Values{"user": {user}, "password": {password}}, headers...)
}

// in logs in.
func (s *site) in() *site {
	s.t.Helper()
	require.Equal(s.t, http.StatusSeeOther, s.tryLogin(testUser, testPassword).StatusCode)
	return s
}

func lane(project string) tasks.Lane {
	return tasks.Lane{Project: project, Kind: tasks.Tag, Operation: tasks.Delete, DeadlineSeconds: tasks.NoDeadline, Priority: tasks.Normal}
}

// wait makes items pending.
func (s *site) wait(l tasks.Lane, items ...string) {
	s.t.Helper()
	_, err := s.lanes.Absorb(context.Background(), s.pace, lanes.Absorption{Request: fmt.Sprint(l.ID(), items), Lane: l, Items: items})
	require.NoError(s.t, err)
}

func (s *site) hold(scope, reason, detail string) {
	s.t.Helper()
	_, err := s.lanes.Hold(context.Background(), "acme", scope, reason, detail, lanes.Batch{ID: "01" + reason}, 1)
	require.NoError(s.t, err)
}

func (s *site) holds() []lanes.Hold {
	s.t.Helper()
	holds, err := s.lanes.Holds(context.Background(), "acme")
	require.NoError(s.t, err)
	return holds
}

// bury stores a dead call, as asynq archives it.
func (s *site) bury(id, project, reason string, items ...string) {
	s.t.Helper()
	c := tasks.Call{
		Batch: id, Account: "acme", Lane: lane(project), Items: items, DeadlineSeconds: tasks.NoDeadline, Attempt: 1, ClaimedAt: time.Now(),
		Verdict: &tasks.Verdict{Reason: reason, Status: 400, Code: "bad_request", Message: "Vercel says no"},
	}
	payload, err := c.Encode()
	require.NoError(s.t, err)
	_, err = asynq.NewClientFromRedisClient(s.rdb).Enqueue(asynq.NewTask(tasks.TypeCall, payload), asynq.Queue(tasks.QueueCalls), asynq.TaskID(id), asynq.MaxRetry(5))
	require.NoError(s.t, err)
	require.NoError(s.t, asynq.NewInspectorFromRedisClient(s.rdb).ArchiveTask(tasks.QueueCalls, id))
}

func (s *site) called(calls ...lanes.MadeCall) {
	s.t.Helper()
	require.NoError(s.t, s.lanes.NoteCalls(context.Background(), calls, nil))
}
