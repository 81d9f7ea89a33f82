package monitor

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/proxies"
	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// everything is a path of each kind behind the login.
var everything = []string{
	"/monitor", "/monitor/", "/monitor/purges", "/monitor/purges/live", "/monitor/queues/edgepurge-calls", "/monitor/api/queues",
	"/monitor/api/queues/edgepurge-calls/archived_tasks", "/monitor/static/js/main.5adda2da.chunk.js", "/monitor/redis", "/monitor/nowhere",
	"/monitor//purges", "/monitor/login/", "/monitor/ui/", "/monitor/ui/live.html", "/monitor/ui/../purges",
}

func TestLogin_NothingWithoutIt(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.wait(lane("prj_secret"), "secret-item")
	s.hold(lanes.ScopeAccount, "unauthorized", "secret-detail")
	for _, path := range everything {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete, http.MethodPut} {
			a := s.do(method, path, nil)
			if isRead(a.Request) && a.StatusCode == http.StatusSeeOther {
				assert.True(t, strings.HasPrefix(a.Header.Get("Location"), "/monitor/login?next="), "%s %s", method, path)
			} else {
				assert.Equal(t, http.StatusUnauthorized, a.StatusCode, "%s %s", method, path)
			}
			assert.NotContains(t, a.body, "secret")
			assert.NotContains(t, a.body, "acme")
		}
	}
	s.post("/monitor/purges/release", url.Values{"account": {"acme"}, "scope": {"account"}})
	assert.Len(t, s.holds(), 1)
	for path, status := range map[string]int{"/monitor/login": 200, "/monitor/ui/style.css": 200, "/monitor/ui/app.js": 200, "/monitorx": 404, "/": 404} {
		assert.Equal(t, status, s.get(path).StatusCode, path)
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for _, wrong := range [][2]string{{testUser, "wrong"}, {"root", testPassword}, {"", ""}, {testPassword, testUser}} {
		a := s.tryLogin(wrong[0], wrong[1])
		assert.Equal(t, http.StatusUnauthorized, a.StatusCode)
		assert.Contains(t, a.body, "User or password is wrong.")
		assert.Empty(t, a.Cookies())
		assert.NotContains(t, a.body, `value="`+testPassword, "what was typed does not come back")
	}
	a := s.post("/monitor/login", url.Values{"user": {testUser}, "password": {testPassword}, "next": {"/monitor/queues/x"}})
	assert.Equal(t, http.StatusSeeOther, a.StatusCode)
	assert.Equal(t, "/monitor/queues/x", a.Header.Get("Location"))
	require.Len(t, a.Cookies(), 1)
	c := a.Cookies()[0]
	assert.True(t, c.HttpOnly)
	assert.False(t, c.Secure, "over plain HTTP the browser would not send it back")
	assert.Equal(t, http.SameSiteStrictMode, c.SameSite)
	assert.Equal(t, "/monitor", c.Path)
	assert.Equal(t, 12*3600, c.MaxAge)
	for _, path := range []string{"/monitor/", "/monitor/purges", "/monitor/purges/live", "/monitor/api/queues", "/monitor/static/js/main.5adda2da.chunk.js"} {
		assert.Equal(t, http.StatusOK, s.get(path).StatusCode, path)
	}
	// The session ends where it was known, even if the cookie was copied.
	stolen := c.Name + "=" + c.Value
	assert.Equal(t, http.StatusMethodNotAllowed, s.get("/monitor/logout").StatusCode, "a link logs nobody out")
	a = s.post("/monitor/logout", nil)
	assert.Equal(t, "/monitor/login", a.Header.Get("Location"))
	assert.Negative(t, a.Cookies()[0].MaxAge)
	assert.Equal(t, http.StatusSeeOther, s.get("/monitor/purges").StatusCode)
	assert.Equal(t, http.StatusUnauthorized, s.get("/monitor/purges/live", "Cookie", stolen).StatusCode)

	a = s.tryLogin(testUser, testPassword, "X-Forwarded-Proto", "https")
	assert.True(t, a.Cookies()[0].Secure)
}

func TestSessions(t *testing.T) {
	t.Parallel()
	rdb, _ := redistest.Mini(t)
	of := func(s *sessions, r *http.Request) (sessionID, bool) {
		id, ok, err := s.of(r)
		require.NoError(t, err)
		return id, ok
	}
	make1 := func(user, password string) *sessions {
		s, err := newSessions(user, password, rdb)
		require.NoError(t, err)
		return s
	}
	one, two, other, user := make1("admin", "p1"), make1("admin", "p1"), make1("admin", "p2"), make1("root", "p1")
	w := httptest.NewRecorder()
	one.start(w, httptest.NewRequest(http.MethodGet, "/", nil))
	cookie := w.Result().Cookies()[0]
	with := func(value string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.AddCookie(&http.Cookie{Name: cookieName, Value: value})
		return r
	}
	_, ok := of(one, with(cookie.Value))
	require.True(t, ok)
	_, ok = of(two, with(cookie.Value))
	assert.True(t, ok, "another gateway with the same password")
	_, ok = of(other, with(cookie.Value))
	assert.False(t, ok, "a new password ends all sessions")
	_, ok = of(user, with(cookie.Value))
	assert.False(t, ok)
	for i := range cookie.Value { // whatever is changed
		forged := []byte(cookie.Value)
		forged[i] ^= 2
		_, ok = of(one, with(string(forged)))
		assert.False(t, ok, "changed at %d", i)
	}
	for _, value := range []string{"", "x", cookie.Value + "A", cookie.Value[:len(cookie.Value)-2]} {
		_, ok = of(one, with(value))
		assert.False(t, ok, value)
	}
	two.now = func() time.Time { return time.Now().Add(sessionLife - time.Minute) }
	_, ok = of(two, with(cookie.Value))
	assert.True(t, ok)
	two.now = func() time.Time { return time.Now().Add(sessionLife + time.Second) }
	_, ok = of(two, with(cookie.Value))
	assert.False(t, ok, "it has ended")
}

func TestSafeNext(t *testing.T) {
	t.Parallel()
	for next, want := range map[string]string{
		"/monitor/": "/monitor/", "/monitor/queues/a": "/monitor/queues/a", "/monitor/purges?x=1": "/monitor/purges",
		"": "", "https://evil.example/monitor/": "", "//evil.example/monitor/": "", "/monitor//evil": "", `/monitor/\evil`: "",
		"/other": "", "/monitorx": "", "/monitor/login": "", "/monitor/logout": "", "javascript:alert(1)": "", "/monitor/\r\nx: y": "", "monitor/": "",
	} {
		if want == "" {
			want = "/monitor/purges"
		}
		assert.Equal(t, want, safeNext(next), next)
	}
}

func TestLogin_IsLimited(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *Config) { c.Proxies = proxies.Trusted{netip.MustParsePrefix("127.0.0.1/32")} }).in()
	inside := s.browser
	s.browser = s.newBrowser()
	for range remoteFailures {
		assert.Equal(t, http.StatusUnauthorized, s.tryLogin(testUser, "guess").StatusCode)
	}
	a := s.tryLogin(testUser, testPassword)
	assert.Equal(t, http.StatusTooManyRequests, a.StatusCode, "even the right one: nobody is told which it was")
	assert.Contains(t, a.body, "Too many failed attempts.")
	assert.NotEmpty(t, a.Header.Get("Retry-After"))
	assert.Empty(t, a.Cookies())
	assert.Equal(t, http.StatusUnauthorized, s.tryLogin(testUser, "guess", "X-Forwarded-For", "203.0.113.7").StatusCode, "another remote")
	s.browser = inside
	assert.Equal(t, http.StatusOK, s.get("/monitor/purges").StatusCode, "who is in stays in")
}

// Many guesses at once are no more than one after the other.
func TestLogin_IsLimitedAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	var wait sync.WaitGroup
	statuses := make([]int, 50)
	for i := range statuses {
		wait.Go(func() {
			w := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodPost, "/monitor/login", strings.NewReader("user=admin&password=x"))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			s.ServeHTTP(w, r)
			statuses[i] = w.Code
		})
	}
	wait.Wait()
	judged := 0
	for _, status := range statuses {
		if status == http.StatusUnauthorized {
			judged++
		}
	}
	assert.Equal(t, remoteFailures, judged)
}

func TestLimiter(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	l := newLimiter()
	l.now = func() time.Time { return now }
	addr := func(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("2001:db8:%x:%x::1", i>>8, i&255)) }
	for range remoteFailures {
		assert.Zero(t, l.try(remoteOf(addr(1))))
	}
	assert.Equal(t, failureWindow, l.try(remoteOf(addr(1))))
	now = now.Add(failureWindow - time.Second)
	assert.Equal(t, time.Second, l.try(remoteOf(addr(1))))
	now = now.Add(time.Second)
	assert.Zero(t, l.try(remoteOf(addr(1))))
	for range 3 * remoteFailures { // right ones count for nothing
		assert.Zero(t, l.try(remoteOf(addr(2))))
		l.forgive(remoteOf(addr(2)))
	}

	// The table is bounded, and whoever comes in is counted all the same.
	for i := range 2 * maxRemotes {
		assert.Zero(t, l.try(remoteOf(addr(i))))
	}
	assert.LessOrEqual(t, len(l.remotes), maxRemotes)
	for range remoteFailures {
		assert.Zero(t, l.try(remoteOf(addr(3*maxRemotes))))
	}
	assert.NotZero(t, l.try(remoteOf(addr(3*maxRemotes))))
}

func TestRemoteOf(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"198.51.100.1": "198.51.100.1/32", "2001:db8::1": "2001:db8::/64", "2001:db8::ffff": "2001:db8::/64", "": "invalid Prefix",
	} {
		a, _ := netip.ParseAddr(addr)
		assert.Equal(t, want, remoteOf(a).String(), addr)
	}
}

// Strangers who guess cannot keep out a person who knows the password: neither
// from other addresses, however many, nor by a header that anybody can send.
func TestLogin_StrangersLockNobodyOut(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *Config) { c.Proxies = proxies.Trusted{netip.MustParsePrefix("127.0.0.1/32")} })
	for i := range 30 * remoteFailures {
		s.tryLogin(testUser, "guess", "X-Forwarded-For", fmt.Sprintf("203.0.113.%d", i/remoteFailures))
	}
	a := s.tryLogin(testUser, testPassword, "X-Forwarded-For", "198.51.100.1")
	assert.Equal(t, http.StatusSeeOther, a.StatusCode)

	s = newSite(t, nil) // no proxy is configured: the header says nothing
	for i := range remoteFailures {
		s.tryLogin(testUser, "guess", "X-Forwarded-For", fmt.Sprintf("203.0.113.%d", i))
	}
	a = s.tryLogin(testUser, testPassword, "X-Forwarded-For", "198.51.100.1")
	assert.Equal(t, http.StatusTooManyRequests, a.StatusCode)
}

// A logout holds after a restart and at every other gateway; without Redis it is
// not known, and nothing is shown.
func TestLogout_HoldsEverywhere(t *testing.T) {
	t.Parallel()
	rdb, redisServer := redistest.Mini(t)
	one := newSiteOn(t, rdb, nil).in()
	u, err := url.Parse(one.server.URL + Root + "/")
	require.NoError(t, err)
	cookie := one.browser.Jar.Cookies(u)[0]
	stolen := cookie.Name + "=" + cookie.Value
	other := newSiteOn(t, rdb, nil)
	require.Equal(t, http.StatusOK, other.get("/monitor/purges/live", "Cookie", stolen).StatusCode)

	require.Equal(t, http.StatusSeeOther, one.post("/monitor/logout", nil).StatusCode)
	assert.Equal(t, http.StatusUnauthorized, one.get("/monitor/purges/live", "Cookie", stolen).StatusCode)
	assert.Equal(t, http.StatusUnauthorized, other.get("/monitor/purges/live", "Cookie", stolen).StatusCode)
	restarted := newSiteOn(t, rdb, nil)
	assert.Equal(t, http.StatusUnauthorized, restarted.get("/monitor/purges/live", "Cookie", stolen).StatusCode)

	one.in()
	redisServer.SetError("LOADING")
	for _, path := range []string{"/monitor/purges", "/monitor/purges/live", "/monitor/"} {
		a := one.get(path)
		assert.Equal(t, http.StatusServiceUnavailable, a.StatusCode, path)
		assert.Contains(t, a.body, "Redis does not answer", path)
	}
}

func TestNew_NeedsALogin(t *testing.T) {
	t.Parallel()
	for _, c := range []Config{{}, {User: "a"}, {Password: "b"}} {
		_, err := New(c)
		require.ErrorContains(t, err, "gateway.monitor.password")
	}
}
