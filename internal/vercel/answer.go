package vercel

import (
	"net/http"
	"strings"
	"time"
)

// Answer is what is known of an API call besides whether it succeeded.
type Answer struct {
	// Status is the HTTP status; 0 if no answer came.
	Status int
	// RequestID is Vercel's x-vercel-id, for its support; at most 128 bytes.
	RequestID string
	// Limit is the rate limit as Vercel told it.
	Limit RateLimit
}

const (
	maxMessageBytes   = 500
	maxCodeBytes      = 64
	maxRequestIDBytes = 128
)

// read turns a response into an Answer and, unless it is a 2xx, a *StatusError.
func (c *Client) read(resp *http.Response, body []byte, now time.Time) (Answer, error) {
	off := ahead(resp.Header, now)
	theirs := now.Add(-off)
	limit := limitOfHeader(resp.Header, theirs)
	a := Answer{
		Status:    resp.StatusCode,
		RequestID: c.text(resp.Header.Get("X-Vercel-Id"), maxRequestIDBytes),
		Limit:     limit.seenFrom(off),
	}
	if a.Status >= 200 && a.Status < 300 {
		return a, nil
	}
	e := parseEnvelope(body)
	if !e.found {
		e.message = plainText(body, isHTML(resp.Header.Get("Content-Type"), body))
	}
	a.Limit = limit.refine(e.limit, theirs).seenFrom(off)
	return a, &StatusError{
		Status:       a.Status,
		Code:         c.text(e.code, maxCodeBytes),
		Message:      c.text(e.message, maxMessageBytes),
		RequestID:    a.RequestID,
		RetryAfter:   parseRetryAfter(resp.Header.Get("Retry-After"), theirs),
		Limit:        a.Limit,
		InvalidToken: e.invalidToken,
		MissingToken: e.missingToken,
	}
}

// text makes a string of the far side fit for a log line: one line, bounded,
// nothing unprintable, no token. The token goes before the cut, lest the cut
// leave half of it.
func (c *Client) text(s string, most int) string {
	return truncate(c.token.scrub(oneLine(s)), most)
}

func isHTML(contentType string, body []byte) bool {
	return strings.HasPrefix(strings.ToLower(contentType), "text/html") ||
		strings.HasPrefix(strings.TrimSpace(string(body[:min(len(body), 512)])), "<")
}
