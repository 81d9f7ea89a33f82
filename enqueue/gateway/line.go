package gateway

import (
	"net/http"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/edgepurge/edgepurge/internal/proxies"
	"github.com/edgepurge/edgepurge/internal/vercel/api"
	"github.com/edgepurge/edgepurge/tasks"
)

// encodeRemedy is what a client can do about tags that Next.js writes in another way.
const encodeRemedy = "percent-encoding in the client, as Next.js does"

// log writes the line of an exchange. Of what the client sent it has names, the
// first tag that may purge nothing, and what a refusal quotes.
func (h *Handler) log(x *exchange, a answer, took time.Duration) {
	level, warning := levelOf(x.r, a.outcome), ""
	if a.outcome == Queued {
		if warning = tasks.NextWarning(x.purge.Tags, encodeRemedy); warning != "" {
			level = zerolog.WarnLevel
		}
	}
	line := h.Log.WithLevel(level)
	if line == nil { // nobody reads it
		return
	}
	line.Str("source", x.caller.name).Str("method", x.r.Method).Str("path", clip(x.r.URL.Path, maxPathShown)).
		Int("status", a.status).Str("outcome", string(a.outcome)).Dur("took_ms", took)
	if p := x.purge; p.Project != "" {
		line.Str("project", p.Project).Str("operation", string(p.Operation)).Int("items", len(p.Tags)+len(p.SrcImages))
	}
	if x.purge.ID != "" {
		line.Str("id", x.purge.ID)
	}
	if a.problem != "" && a.cause == nil {
		line.Str("problem", clip(hideKey(x.r, a.problem), maxProblemShown))
		if client := proxies.Trusted(h.Proxies).Client(x.r); client.IsValid() {
			line.Stringer("client", client)
		}
	}
	if a.faults > 1 {
		line.Int("faults", a.faults)
	}
	if warning != "" {
		line.Str("warning", warning)
	}
	if a.cause != nil {
		line.Err(a.cause)
	}
	line.Msg("purge by API")
}

// levelOf is how loud the log is about an exchange. Clients that wait for a purge ask
// again and again, also for a receipt that has expired.
func levelOf(r *http.Request, outcome Outcome) zerolog.Level {
	switch outcome {
	case Unavailable:
		return zerolog.ErrorLevel
	case Shown:
		return zerolog.DebugLevel
	case NotFound:
		if r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, PurgesPath+"/") {
			return zerolog.DebugLevel
		}
		return zerolog.WarnLevel
	case Invalid, Unauthorized, Forbidden, TooLarge, Conflict, BadMethod:
		return zerolog.WarnLevel
	default:
		return zerolog.InfoLevel
	}
}

// hideKey takes the client's key out of a text that may quote what it sent.
func hideKey(r *http.Request, text string) string {
	if key, ok := api.Bearer(r.Header.Get("Authorization")); ok {
		return strings.ReplaceAll(text, key, "[key]")
	}
	return text
}

// Bounds of what is logged, in bytes.
const (
	maxPathShown    = 120
	maxProblemShown = 300
)

// clip keeps a text short and valid UTF-8.
func clip(text string, most int) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
