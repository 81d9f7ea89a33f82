package monitor

import (
	"embed"
	"errors"
	"html/template"
	"net/http"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/internal/deadletter"
	"github.com/edgepurge/edgepurge/internal/overview"
	"github.com/edgepurge/edgepurge/internal/proxies"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// Root is the path below which everything lies.
const Root = "/monitor"

// Config is what the web UI needs. Redis, Letters, User and Password are required.
type Config struct {
	// Redis is shared, whatever it is made of (one server, Sentinel, Cluster), and
	// never closed here.
	Redis redis.UniversalClient
	// Letters are the dead letters of the same Redis.
	Letters *deadletter.Box
	// User and Password are the one login. Nothing shows or logs them.
	User, Password string
	// Proxies are believed when they say who asks; nil: the limit of failed logins
	// counts whoever connects.
	Proxies proxies.Trusted
	// ReadOnly hides what changes anything, and refuses it.
	ReadOnly bool
	// Accounts are what the configuration says; Rest stands for the others that
	// Redis knows.
	Accounts []overview.Settings
	Rest     overview.Settings
	// Spreads of projects; none is unlimited.
	Spreads []Spread
}

// Spread is the configured spread of a project.
type Spread struct {
	Account, Project string  // Project "*" is every other of the account
	Rate, Burst      float64 // cost a second, 0 unlimited; what may go at once
}

// Monitor serves the web UI. It is safe for concurrent use.
type Monitor struct {
	readOnly bool
	sessions *sessions
	failures *limiter
	proxies  proxies.Trusted
	queues   http.Handler // asynqmon
	lanes    *lanes.Lanes
	letters  *deadletter.Box
	gather   *gatherer
	handler  http.Handler
}

//go:embed assets
var assets embed.FS

var templates = template.Must(template.New("").Funcs(functions).ParseFS(assets, "assets/*.html"))

// New builds the web UI. It does not connect.
func New(c Config) (*Monitor, error) {
	if c.User == "" || c.Password == "" {
		return nil, errors.New("the web UI needs a user and a password: set gateway.monitor.user and gateway.monitor.password")
	}
	sessions, err := newSessions(c.User, c.Password, c.Redis)
	if err != nil {
		return nil, err
	}
	m := &Monitor{
		readOnly: c.ReadOnly, sessions: sessions, failures: newLimiter(), proxies: c.Proxies,
		lanes: lanes.New(c.Redis), letters: c.Letters, gather: newGatherer(c),
	}
	if m.queues, err = newQueues(c.Redis, c.ReadOnly); err != nil {
		return nil, err
	}
	// A browser says where a request comes from; one from another site changes nothing.
	m.handler = http.NewCrossOriginProtection().Handler(http.HandlerFunc(m.route))
	return m, nil
}

var _ http.Handler = (*Monitor)(nil)

// ServeHTTP serves Root and everything below it.
func (m *Monitor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header(), ownPolicy)
	m.handler.ServeHTTP(w, r)
}

func (m *Monitor) route(w http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutPrefix(r.URL.Path, Root)
	if !ok || path != "" && path[0] != '/' {
		http.NotFound(w, r)
		return
	}
	switch path { // what needs no session
	case "/login":
		m.login(w, r)
		return
	case "/ui/style.css", "/ui/app.js":
		serveAsset(w, r, strings.TrimPrefix(path, "/ui/"))
		return
	}
	id, ok, err := m.sessions.of(r)
	if err != nil { // whether the session was ended is not known: it is shown nothing
		m.withoutRedis(w, r, path)
		return
	}
	if !ok {
		m.refuse(w, r)
		return
	}
	if path == "/logout" {
		m.logout(w, r, id)
		return
	}
	if m.readOnly && !isRead(r) {
		http.Error(w, "gateway.monitor.read_only is set: nothing can be changed here", http.StatusForbidden)
		return
	}
	switch path {
	case "":
		http.Redirect(w, r, Root+"/", http.StatusSeeOther)
	case "/purges":
		m.page(w, r)
	case "/purges/live":
		m.live(w, r)
	case "/purges/release":
		m.release(w, r)
	case "/purges/replay":
		m.replay(w, r)
	default:
		m.queues.ServeHTTP(w, r)
	}
}

func isRead(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// allow answers 405 unless the method is one of these.
func allow(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	for _, m := range methods {
		if r.Method == m || r.Method == http.MethodHead && m == http.MethodGet {
			return true
		}
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	return false
}
