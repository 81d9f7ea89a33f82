package monitor

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/overview"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

func TestPage_ShowsWhatThereIs(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *Config) {
		c.Spreads = []Spread{{Account: "acme", Project: "*", Rate: 2, Burst: 10}}
	}).in()
	empty := s.get("/monitor/purges")
	for _, want := range []string{"no worker is running", "Nothing waits.", "No call was made yet.", "0 of 5 calls", "no worker"} {
		assert.Contains(t, empty.body, want)
	}
	s.pace.Rate, s.pace.Burst = 2, 10
	l := lane("prj")
	l.DeadlineSeconds, l.Target, l.Priority = 60, tasks.Production, tasks.Bulk
	var items []string
	for i := range 1234 {
		items = append(items, fmt.Sprint("item", i))
	}
	s.wait(l, items...)
	claim, err := s.lanes.Claim(t.Context(), s.pace, l, "b1")
	require.NoError(t, err)
	require.NotNil(t, claim.Batch)
	s.hold(lanes.ScopeAccount, "unauthorized", "Vercel answered 401")
	s.bury("01A", "prj", "bad_request", "dead-tag", "b", "c", "d", "e")
	s.called(lanes.MadeCall{
		At: time.Now(), Account: "acme", Project: "prj", Operation: tasks.Invalidate, Kind: tasks.SrcImage, Items: 8,
		First: []string{"/a.png"}, Attempt: 3, Verdict: "hold_account", Status: 401, Message: "no such token", TookMS: 77, RequestID: "fra1::z",
	}, lanes.MadeCall{At: time.Now(), Verdict: "retry"})
	time.Sleep(stateFresh)
	body := s.get("/monitor/purges").body
	for _, want := range []string{
		"1,218 items", "delete tags, production, within 60 s", "bulk",
		"account acme", "unauthorized", "Vercel answered 401", "in 5", "Release</button>",
		"bad_request", "dead-tag, b, c and 2 more", "Vercel says no", "Replay 1</button>",
		"1 of 5 calls used in any 1 m, 4 left, 1 kept for urgent items", "1 of 4 calls under way",
		"tokens in debt, 2 a second: the next batch in ",
		"invalidate images", "/a.png and 7 more", "401 account held", "no such token", "77 ms", "x-vercel-id fra1::z", "no answer tried again later",
	} {
		assert.Contains(t, body, want)
	}
	live := s.get("/monitor/purges/live").body
	assert.Contains(t, live, "dead-tag")
	assert.NotContains(t, live, "<html", "the part that the script fetches")
}

// Whatever a tag, an error or a project is called, it is text.
func TestPage_Escapes(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil).in()
	const evil = `<script>alert("x")</script><img src=x onerror=alert(1)>"'`
	s.bury("01A", "prj", "bad_request", evil)
	s.hold(lanes.ScopeProject(evil), evil, evil)
	s.called(lanes.MadeCall{
		At: time.Now(), Account: evil, Project: evil, Operation: evil, Kind: evil, Items: 1, First: []string{evil},
		Verdict: evil, Reason: evil, Message: evil, RequestID: evil,
	})
	for _, path := range []string{"/monitor/purges", "/monitor/purges/live", "/monitor/purges?did=" + evil[:8] + "&n=" + evil[:8], "/monitor/login?next=" + evil[:8]} {
		body := s.get(path).body
		assert.NotContains(t, body, "<script>alert")
		assert.NotContains(t, body, "<img")
		if strings.HasSuffix(path, "purges") {
			assert.GreaterOrEqual(t, strings.Count(body, "&lt;script&gt;alert"), 9, "it is shown, as text")
		}
	}
	a := s.get("/monitor/api/queues/edgepurge-calls/archived_tasks")
	assert.Equal(t, "application/json", a.Header.Get("Content-Type"), "a browser must not take it for a page")
	assert.Equal(t, "nosniff", a.Header.Get("X-Content-Type-Options"))
}

func TestPage_StaysBounded(t *testing.T) {
	t.Parallel()
	const many = 10_000
	now := time.Now()
	s := &snapshot{Overview: &overview.Overview{Now: now}}
	a := overview.Account{Account: "acme", Configured: true, Pending: 2 * many}
	for i := range many {
		l := lane(fmt.Sprintf("project-%d", i))
		a.Lanes = append(a.Lanes, overview.Lane{Lane: l.ID(), Pending: 2, Oldest: now.Add(-time.Duration(i) * time.Second)})
		a.Holds = append(a.Holds, lanes.Hold{Scope: lanes.ScopeProject(l.Project), Reason: "project_missing", Detail: strings.Repeat("x", 5000), Since: now})
		s.letters = append(s.letters, reasonOf{Reason: fmt.Sprint("r", i), N: 3})
		s.Workers = append(s.Workers, overview.Worker{Host: "h", PID: i})
	}
	for i := range many {
		s.Accounts = append(s.Accounts, a)
		a = overview.Account{Account: fmt.Sprint("a", i)}
	}
	v := viewOf(s, &Config{})
	assert.Len(t, v.Lanes, shownLanes)
	assert.Equal(t, "project-9999", v.Lanes[0].Project, "the oldest first")
	w := &recorder{header: http.Header{}}
	render(w, http.StatusOK, "purges.html", v)
	body := w.String()
	assert.Less(t, len(body), 120_000)
	for _, want := range []string{
		"and 9,950 more lanes with 19,900 items", "and 9,980 more: <code>edgepurge hold list", "and 29,940 more with other reasons",
		"and 9,980 more accounts", "and 9,990 more</li>", "10,000 projects are held", "20,000 items",
	} {
		assert.Contains(t, body, want)
	}
}

type recorder struct {
	strings.Builder
	header http.Header
}

func (r *recorder) Header() http.Header { return r.header }
func (r *recorder) WriteHeader(int)     {}

// Many who watch are one to Redis.
func TestPage_ReadsOnceForAll(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil).in()
	reads := &counter{}
	s.rdb.AddHook(reads)
	start := time.Now()
	for range 30 {
		require.Equal(t, http.StatusOK, s.get("/monitor/purges/live").StatusCode)
	}
	looks := int(time.Since(start)/stateFresh) + 1
	assert.LessOrEqual(t, reads.count("time"), 2*looks)
	assert.Positive(t, reads.count("time"))
}

// A page that cannot be had says so, and says no more than that.
func TestPage_WithoutRedis(t *testing.T) {
	t.Parallel()
	m := miniredis.RunT(t)
	m.RequireUserAuth("bob", "redis-password")
	rdb := redis.NewClient(&redis.Options{Addr: m.Addr(), Username: "bob", Password: "redis-password", MaxRetries: -1})
	t.Cleanup(func() { _ = rdb.Close() })
	s := newSiteOn(t, rdb, nil).in()
	require.Equal(t, http.StatusOK, s.get("/monitor/purges").StatusCode)
	addr := m.Addr()
	m.Close()
	time.Sleep(stateFresh)
	for _, path := range []string{"/monitor/purges", "/monitor/purges/live"} {
		a := s.get(path)
		assert.Equal(t, http.StatusServiceUnavailable, a.StatusCode)
		assert.Contains(t, a.body, "Redis does not answer as it should")
		assert.Contains(t, a.body, `class="headline bad"`)
		for _, secret := range []string{"redis-password", "bob", addr} {
			assert.NotContains(t, a.body, secret)
		}
	}
	a := s.post("/monitor/purges/release", map[string][]string{"account": {"acme"}, "scope": {"account"}})
	assert.Equal(t, http.StatusServiceUnavailable, a.StatusCode)
	assert.Contains(t, a.body, "try again when it is back")
}

// Neither the password nor the session is on any page.
func TestSecrets_AreOnNoPage(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	a := s.tryLogin(testUser, testPassword)
	session := a.Cookies()[0].Value
	s.bury("01A", "prj", "bad_request", "x")
	for _, path := range append(everything, "/monitor/login", "/monitor/api/servers", "/monitor/api/queues/edgepurge-calls/tasks/01A") {
		a := s.get(path)
		for _, secret := range []string{testPassword, "battery", session, s.rdb.(*redis.Client).Options().Addr} {
			assert.NotContains(t, a.body, secret, path)
			assert.NotContains(t, fmt.Sprint(a.Header), secret, path)
		}
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil).in()
	for _, path := range append(everything, "/monitor/login", "/monitor/ui/app.js") {
		h := s.get(path).Header
		policy := h.Get("Content-Security-Policy")
		assert.Contains(t, policy, "default-src 'none'", path)
		assert.Contains(t, policy, "frame-ancestors 'none'", path)
		script, _, _ := strings.Cut(policy[strings.Index(policy, "script-src"):], ";")
		assert.NotContains(t, script, "unsafe", path)
		assert.Equal(t, "DENY", h.Get("X-Frame-Options"))
		assert.Equal(t, "nosniff", h.Get("X-Content-Type-Options"))
		if !strings.Contains(path, "/static/") && !strings.Contains(path, "/ui/") {
			assert.Equal(t, "no-store", h.Get("Cache-Control"), path)
		}
	}
	own := s.get("/monitor/purges")
	assert.NotContains(t, own.Header.Get("Content-Security-Policy"), "unsafe", "nor do our styles need it")
	assert.NotContains(t, own.body, "style=")
	index := s.get("/monitor/").body
	assert.NotContains(t, index, "googleapis", "nothing is loaded from elsewhere")
	assert.Contains(t, index, `href="/monitor/purges"`)
	for path, want := range map[string]string{
		"/monitor/ui/style.css": "text/css", "/monitor/ui/app.js": "text/javascript", "/monitor/favicon.ico": "image/x-icon",
		"/monitor/static/media/logo-color.c2b0c1f3.svg": "image/svg+xml", "/monitor/static/js/main.5adda2da.chunk.js": "text/javascript",
	} {
		assert.Contains(t, s.get(path).Header.Get("Content-Type"), want, path)
	}
	assert.Equal(t, http.StatusNotFound, s.get("/monitor/static/js/main.5adda2da.chunk.js.map").StatusCode)
}

// counter counts commands.
type counter struct {
	redis.Hook
	names []string
}

func (c *counter) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *counter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (c *counter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.names = append(c.names, cmd.Name()) // the page is read under a lock, by one at a time
		return next(ctx, cmd)
	}
}

func (c *counter) count(name string) int {
	n := 0
	for _, x := range c.names {
		if x == name {
			n++
		}
	}
	return n
}
