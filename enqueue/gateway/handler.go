package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/edgepurge/edgepurge/enqueue"
	"github.com/edgepurge/edgepurge/internal/vercel/api"
	"github.com/edgepurge/edgepurge/tasks"
)

// How long Redis may take for all of an exchange, once its body is there. Behind
// it is the time that go-redis takes to notice: clients are promised 1.5 s, or 5.5.
const (
	storeWithin = 1200 * time.Millisecond
	// storeLargeWithin is for a purge that may be several tasks, of MaxBodyBytes
	// together: they go out one after the other.
	storeLargeWithin = 5 * time.Second
)

// redisTime is how long Redis may take for a purge of so many bytes.
func redisTime(bodyBytes int) time.Duration {
	if bodyBytes > oneTaskBytes {
		return storeLargeWithin
	}
	return storeWithin
}

// Config is what a Handler works with. Enqueue, Status and Redis are required.
type Config struct {
	// Enqueue stores a purge request and returns once it is safe: the Purge of an
	// enqueue.Client. It must end with its context.
	Enqueue func(ctx context.Context, p tasks.Purge) (enqueue.Receipt, error)
	// Status tells what became of a tracked purge: the Status of the same client.
	Status func(ctx context.Context, id string) (enqueue.Status, error)
	// Redis keeps what an Idempotency-Key stands for, for a day. It stays its
	// caller's. Set its ContextTimeoutEnabled, or a slow one is waited for too long.
	Redis redis.UniversalClient
	// Keys let programs in; without any, nobody gets in.
	Keys []Key
	// Proxies are the proxies whose X-Forwarded-For tells who a refused request came
	// from; nil: the log names the other end of the connection.
	Proxies []netip.Prefix
	// Count is told what became of each exchange; source is the name of a key or
	// Anonymous. Nil: nobody counts.
	Count func(source string, outcome Outcome)
	// Log gets a line for each exchange, at debug level if it only asked; its zero
	// value logs nothing.
	Log zerolog.Logger
}

// Handler serves the drop-in, the JSON API and their description. Paths that are
// none of theirs get Vercel's 404. Its caller must not redirect unclean paths,
// as an http.ServeMux does: Vercel does not, and a client may follow with a GET.
type Handler struct {
	Config
	keys keyring
}

// New returns a Handler, or all faults of the configuration at once.
func New(c Config) (*Handler, error) {
	keys, err := newKeyring(c.Keys)
	if c.Enqueue == nil || c.Status == nil || c.Redis == nil {
		err = errors.Join(errors.New("gateway: Config.Enqueue, Config.Status and Config.Redis are required"), err)
	}
	if err != nil {
		return nil, err
	}
	if c.Count == nil {
		c.Count = func(string, Outcome) {}
	}
	c.Keys = nil // from here on the hashes will do
	return &Handler{Config: c, keys: keys}, nil
}

// Paths returns the prefixes below which a Handler serves something; one
// without a slash at its end is a path.
func Paths() []string {
	return []string{OpenAPIPath, PurgesPath, PurgesPath + "/", "/v1/edge-cache/", "/v1/data-cache/", "/v2/user", "/v2/teams/", "/teams/", "/v9/projects/"}
}

// exchange is one request under way, and what its log line tells.
type exchange struct {
	w      http.ResponseWriter
	r      *http.Request
	caller *caller
	purge  tasks.Purge
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	x := &exchange{w: w, r: r, caller: &caller{name: Anonymous}}
	// A client that hangs up has still told what changed: the purge goes on.
	a := h.answer(context.WithoutCancel(r.Context()), x)
	h.Count(x.caller.name, a.outcome)
	h.log(x, a, time.Since(began))
	a.write(w)
}

func (h *Handler) answer(ctx context.Context, x *exchange) (a answer) {
	defer func() {
		if v := recover(); v != nil { // its value may quote what the client sent
			h.Log.Error().Str("panic", fmt.Sprintf("%T", v)).Bytes("stack", debug.Stack()).Msg("purge not taken in: a fault of this program")
			a = refuse(api.Refusal{Status: http.StatusInternalServerError, Message: "Internal server error"}, Unavailable)
		}
	}()
	route, open, refused := find(x.r)
	if refused != nil {
		return *refused
	}
	if refused := h.authorize(x); refused != nil && !open {
		return *refused
	}
	return route(h, ctx, x)
}

// route does what is served at one method and path.
type route func(h *Handler, ctx context.Context, x *exchange) answer

// find returns the route of a request and whether it needs no key, or a 404 or 405.
func find(r *http.Request) (found route, open bool, refused *answer) {
	method, path := http.MethodGet, r.URL.Path
	endpoint, purges := api.Endpoints[path]
	switch {
	case purges:
		method, found = http.MethodPost, func(h *Handler, ctx context.Context, x *exchange) answer { return h.dropIn(ctx, x, endpoint) }
	case path == PurgesPath:
		method, found = http.MethodPost, (*Handler).purge
	case strings.HasPrefix(path, PurgesPath+"/"):
		found = (*Handler).follow
	case api.ShowsAt(path):
		found = (*Handler).show
	case path == OpenAPIPath:
		found, open = (*Handler).describe, true
	case path == api.PurgeAllPath || path == api.PurgeAllDataPath:
		a := refuse(noPurgeAll, NotFound)
		return nil, false, &a
	default:
		a := refuse(api.NoEndpoint, NotFound)
		return nil, false, &a
	}
	if r.Method != method {
		a := refuse(api.WrongMethod(method), BadMethod)
		return nil, false, &a
	}
	return found, open, nil
}

// authorize finds out whose key it is, or refuses as Vercel does.
func (h *Handler) authorize(x *exchange) *answer {
	secret, ok := api.Bearer(x.r.Header.Get("Authorization"))
	if !ok {
		a := refuse(api.NoToken, Unauthorized)
		return &a
	}
	found := h.keys.find(secret)
	if found == nil {
		a := refuse(api.BadToken, Unauthorized)
		return &a
	}
	x.caller = found
	return nil
}

// store stores the exchange's purge within ctx.
func (h *Handler) store(ctx context.Context, x *exchange) (enqueue.Receipt, *answer) {
	receipt, err := h.Enqueue(ctx, x.purge)
	switch {
	case errors.Is(err, tasks.ErrInvalid):
		faults := faultsOf(err)
		a := failure(api.Invalid(faults[0].Field+" "+faults[0].Problem), Invalid, faults)
		return receipt, &a
	case errors.Is(err, enqueue.ErrFull):
		a := unavailable("Too many purges wait to be worked off: send it again later", err)
		return receipt, &a
	case err != nil:
		a := unavailable("The purge could not be stored: send it again", err)
		return receipt, &a
	}
	x.purge.ID = receipt.ID
	return receipt, nil
}
