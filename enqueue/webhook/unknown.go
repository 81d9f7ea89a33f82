package webhook

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

// UnknownSource is what requests for hooks that do not exist are counted under,
// whatever they ask for. Its only outcome is NotFound.
const UnknownSource = "unknown"

// maxUnknownLines is how many of them a minute are logged: anyone can send them.
const maxUnknownLines = 5

// maxNameShown bounds what is logged of the name, in bytes.
const maxNameShown = 64

// lineLimit lets a few lines a minute through. Its zero value is ready.
type lineLimit struct {
	mu      sync.Mutex
	began   time.Time
	written int
	dropped int
}

// allow reports whether a line may be written, and how many were not since the last
// one was.
func (l *lineLimit) allow(now time.Time) (ok bool, dropped int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.began) >= time.Minute {
		l.began, l.written = now, 0
	}
	if l.written >= maxUnknownLines {
		l.dropped++
		return false, 0
	}
	l.written++
	dropped, l.dropped = l.dropped, 0
	return true, dropped
}

// unknown answers a request for a hook that does not exist.
func (h *Handler) unknown(w http.ResponseWriter, r *http.Request, name string) {
	h.Count(UnknownSource, NotFound)
	if ok, dropped := h.unknownLines.allow(time.Now()); ok {
		e := h.Log.Warn().Str("name", h.shownName(name)).Str("method", r.Method).Str("client", h.clientOf(r))
		if dropped > 0 {
			e = e.Int("not_logged", dropped)
		}
		e.Msg("webhook refused: no source has this name, see gateway.sources")
	}
	refusal(http.StatusNotFound).write(w)
}

// shownName is what the log shows of a name: its first element, without secrets.
// What comes behind a slash may be one that was put there by mistake.
func (h *Handler) shownName(name string) string {
	name, rest, more := strings.Cut(name, "/")
	for _, hook := range h.hooks {
		name = hook.forms.hide(name)
	}
	name = clip(name, maxNameShown)
	if more && rest != "" {
		name += "/…"
	}
	return name
}
