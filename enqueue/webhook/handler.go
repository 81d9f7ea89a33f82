package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/edgepurge/edgepurge/internal/proxies"
	"github.com/edgepurge/edgepurge/tasks"
)

// Prefix is the path below which a Handler serves its sources.
const Prefix = "/hooks/"

const (
	// answerWithin leaves 0.3 s of the 1.5 s that senders are promised: Ghost
	// gives a hook 2 s, and never comes back.
	answerWithin = 1200 * time.Millisecond
	// bodyWithin ends before answerWithin, so that a slow sender gets an answer.
	bodyWithin = time.Second
	// dedupeWithin bounds each question to the Dedupe: it is a convenience, and
	// must not use up the time in which a purge could be stored.
	dedupeWithin = 300 * time.Millisecond
)

// Letter is a delivery that could not be mapped, for people to look at.
type Letter struct {
	Source     string
	ID         string // as in the answer and the log
	ReceivedAt time.Time
	Header     http.Header // without credentials
	Body       []byte      // without the secret, if the sender puts it there
	Reason     string
	// Unverified is set if nothing proved the delivery genuine: the source only logs that.
	Unverified bool
}

// ErrNoRoom is what Config.Dead and Config.Room return when too much is kept
// already. The delivery is answered 503, so that its sender sends it again, and
// counted as NoRoom.
var ErrNoRoom = errors.New("no room for another dead letter")

// Config is what a Handler works with. Enqueue and Dead are required.
type Config struct {
	// Enqueue stores a purge request and returns its id once it is safe. It must end
	// with its context. An error that matches tasks.ErrInvalid makes the
	// delivery a dead letter, any other one a 503.
	Enqueue func(ctx context.Context, p tasks.Purge) (id string, err error)
	// Dead keeps a delivery that could not be mapped; as Enqueue otherwise.
	Dead func(ctx context.Context, l Letter) error
	// Room is asked before Dead, with the letter but for Header and Body, and the
	// bytes that these have: a refusal costs little then. It returns what Dead
	// would, or nil if Dead is to decide. nil: Dead always decides.
	Room func(ctx context.Context, l Letter, bytes int) error
	// Dedupe remembers deliveries; nil: each is taken in as often as it comes.
	Dedupe Dedupe
	// Proxies are the proxies whose X-Forwarded-For tells who a refused delivery came
	// from; nil: the log names the other end of the connection.
	Proxies []netip.Prefix
	// Count is told what became of each delivery, or of each request for a hook that
	// does not exist: UnknownSource, NotFound. Nil: nobody counts.
	Count func(source string, outcome Outcome)
	// Log gets a line for each delivery; its zero value logs nothing.
	Log zerolog.Logger
}

// Handler serves POST /hooks/<source>. It answers each request within 1.5
// seconds, and never with a redirect or 410. Its caller must not either: an
// http.ServeMux redirects unclean paths.
type Handler struct {
	Config
	hooks     map[string]*Hook
	admission admission
	turns     turns
	// unknownLines bounds the lines about hooks that do not exist.
	unknownLines lineLimit
}

// NewHandler returns a Handler for hooks, whose names differ.
func NewHandler(c Config, hooks ...*Hook) (*Handler, error) {
	if c.Enqueue == nil || c.Dead == nil {
		return nil, errors.New("webhook: Config.Enqueue and Config.Dead are required")
	}
	if c.Count == nil {
		c.Count = func(string, Outcome) {}
	}
	h := &Handler{
		Config: c, hooks: make(map[string]*Hook, len(hooks)),
		admission: admission{bySource: map[string]int64{}}, turns: make(turns, maxTurns()),
	}
	for _, hook := range hooks {
		if h.hooks[hook.name] != nil {
			return nil, fmt.Errorf("webhook: two sources have the name %q", hook.name)
		}
		h.hooks[hook.name] = hook
	}
	return h, nil
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, below := strings.CutPrefix(r.URL.Path, Prefix)
	hook := h.hooks[name]
	if !below || hook == nil {
		h.unknown(w, r, name)
		return
	}
	if r.Method != http.MethodPost {
		h.Count(name, BadMethod)
		h.refused(r, name).Str("method", r.Method).Msg("webhook refused: it is not a POST")
		refusal(http.StatusMethodNotAllowed).write(w)
		return
	}
	// A sender that hangs up has still told what changed: the purge goes on.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), answerWithin)
	defer cancel()
	d := deliveryOf(r, time.Now())
	var stay *stay // nil: the delivery is proved
	switch p, decided := hook.proveWithoutBody(d); {
	case !decided || hook.open():
		stay = h.admission.stay(hook)
	case p.reason != Verified:
		h.Count(name, Unauthorized)
		h.Log.Warn().EmbedObject(&line{source: name, reason: p.reason, client: h.clientOf(r)}).Msg("webhook refused")
		refusal(http.StatusUnauthorized).hangingUp().writeNow(w)
		return
	}
	d, err := h.read(ctx, w, r, hook, d, stay)
	if err != nil {
		stay.end()
		h.refuse(w, r, name, err)
		return
	}
	done, client := make(chan result, 1), h.clientOf(r)
	go func() {
		defer stay.end()
		done <- h.take(ctx, hook, d, client, stay)
	}()
	select {
	case got := <-done:
		h.Count(name, got.outcome)
		answerTo(got).write(w)
	case <-ctx.Done(): // what take does after this is a second purge at worst: the sender comes again
		h.Count(name, Unavailable)
		h.Log.Error().Str("source", name).Dur("after_ms", answerWithin).Msg("webhook not taken in: not stored in time")
		answerTo(result{outcome: Unavailable}).write(w)
	}
}

// deliveryOf returns a request as a delivery whose body is still to be read.
func deliveryOf(r *http.Request, now time.Time) Delivery {
	d := Delivery{Method: r.Method, URL: r.RequestURI, Header: r.Header, Now: now}
	if d.URL == "" {
		d.URL = r.URL.RequestURI()
	}
	if r.Host != "" && d.Header.Get("Host") == "" { // net/http takes it out, but it may be signed
		d.Header = r.Header.Clone()
		d.Header.Set("Host", r.Host)
	}
	return d
}

// read returns a delivery with its body, unpacked.
func (h *Handler) read(ctx context.Context, w http.ResponseWriter, r *http.Request, hook *Hook, d Delivery, stay *stay) (Delivery, error) {
	if stay != nil && r.ContentLength <= hook.limits.Body && !stay.fits(r.ContentLength) {
		return d, errBusy
	}
	var err error
	if d.Body, err = readBody(ctx, w, r, hook.limits.Body, stay.grow); err != nil {
		return d, err
	}
	return unpacked(d, hook.limits.Body, stay.grow)
}

// refuse answers a delivery whose body was not had.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, name string, err error) {
	encoding, packed := errors.AsType[*encodingError](err)
	switch {
	case errors.Is(err, errTooLarge):
		h.Count(name, TooLarge)
		h.refused(r, name).Msg("webhook refused: its body is larger than limits.body")
		refusal(http.StatusRequestEntityTooLarge).hangingUp().writeNow(w)
	case packed:
		h.Count(name, BadEncoding)
		h.refused(r, name).Err(encoding).Msg("webhook refused: its body cannot be unpacked")
		refuseEncoding(encoding).write(w)
	case errors.Is(err, errBusy):
		h.Count(name, Unavailable)
		h.refused(r, name).Err(err).Msg("webhook not taken in: someone sends more to this source than can be checked")
		refusal(http.StatusServiceUnavailable).hangingUp().writeNow(w)
	default:
		h.Count(name, Unavailable)
		h.refused(r, name).Err(err).Msg("webhook not taken in: its body did not arrive")
		refusal(http.StatusServiceUnavailable).hangingUp().writeNow(w)
	}
}

// refused begins the line of a delivery that is turned away.
func (h *Handler) refused(r *http.Request, name string) *zerolog.Event {
	return h.Log.Warn().Str("source", name).Str("client", h.clientOf(r)) //nolint:zerologlint // the caller ends it with Msg
}

// clientOf is the address that a request came from; empty for a unix socket.
func (h *Handler) clientOf(r *http.Request) string {
	addr := proxies.Trusted(h.Proxies).Client(r)
	if !addr.IsValid() {
		return ""
	}
	return addr.String()
}
