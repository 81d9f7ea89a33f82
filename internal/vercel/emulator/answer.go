package emulator

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/edgepurge/edgepurge/internal/vercel/api"
)

// answer is how a call ends. The zero fields of one with a status are left out.
type answer struct {
	status       int
	message      string // of the error envelope; empty: no body
	code         string // empty: api.Code(status)
	invalidToken bool
	missingToken bool
	limit        *api.Limit
	retryAfter   time.Duration
	allow        string // the Allow header of a 405
	location     string // of a 3xx
	html         bool   // the message as an HTML page, as from the edge
	body         any    // a JSON body in place of the envelope

	hang bool // until the client leaves or the emulator is closed, then drop
	drop bool // reset the connection
}

func failure(status int, message string) answer { return answer{status: status, message: message} }

func refuse(r api.Refusal) *answer {
	return &answer{status: r.Status, message: r.Message, invalidToken: r.InvalidToken, missingToken: r.MissingToken, allow: r.Allow}
}

// tooMany is the nth 429 of the emulator, from 0.
func tooMany(v verdict, n uint64) answer {
	a := answer{status: http.StatusTooManyRequests, retryAfter: v.reset.Sub(v.at)}
	form := v.limit.Body
	if form == Alternating {
		form = []LimitBody{TooManyRequests, RateLimited, RateLimitedMs}[n%3]
	}
	if form == TooManyRequests {
		a.message = "Rate limit exceeded, try again later"
		return a
	}
	a.code, a.message = "rate_limited", "The rate limit was exceeded"
	ms := ceilTo(v.reset, time.Millisecond).UnixMilli()
	a.limit = &api.Limit{Total: v.limit.Calls, Remaining: v.remaining, Reset: ceilTo(v.reset, time.Second).Unix(), ResetMs: ms}
	if form == RateLimitedMs {
		a.limit.Reset = ms
	}
	return a
}

func (a answer) write(w http.ResponseWriter, v verdict) {
	h := w.Header()
	if v.limit.Calls > 0 {
		h["X-Ratelimit-Limit"] = []string{strconv.Itoa(v.limit.Calls)}
		h["X-Ratelimit-Remaining"] = []string{strconv.Itoa(v.remaining)}
		h["X-Ratelimit-Reset"] = []string{strconv.FormatInt(ceilTo(v.reset, time.Second).Unix(), 10)}
	}
	if a.retryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(ceilSeconds(a.retryAfter), 10))
	}
	if a.allow != "" {
		h.Set("Allow", a.allow)
	}
	if a.location != "" {
		h.Set("Location", a.location)
	}
	body, contentType := a.encode()
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	h["Content-Type"] = nil // and net/http must not guess one
	if contentType != "" {
		h["Content-Type"] = []string{contentType}
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(body) //nolint:gosec // what is echoed is JSON, and no page; the client may have left
}

// encode returns the body and its content type; both empty on success, since
// Vercel's command line fails on an empty body that says it is JSON.
func (a answer) encode() ([]byte, string) {
	switch {
	case a.body != nil:
		return api.Encode(a.body), api.ContentType
	case a.html:
		title := strconv.Itoa(a.status) + ": " + strings.ToUpper(api.Code(a.status))
		return []byte("<!doctype html><html><head><title>" + title + "</title></head><body><h1>" + a.message + "</h1></body></html>\n"), "text/html; charset=utf-8"
	case a.message != "":
		code := a.code
		if code == "" {
			code = api.Code(a.status)
		}
		return api.Encode(api.Envelope{Error: api.Error{Code: code, Message: a.message, InvalidToken: a.invalidToken, MissingToken: a.missingToken, Limit: a.limit}}), api.ContentType
	}
	return nil, ""
}

// ceilTo rounds up: a client that waits until a reset must not come early.
func ceilTo(t time.Time, unit time.Duration) time.Time {
	if down := t.Truncate(unit); !down.Equal(t) {
		return down.Add(unit)
	}
	return t
}

func ceilSeconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
