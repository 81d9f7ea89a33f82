package vercel

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// StatusError says that Vercel answered, and not with a 2xx. Its texts are
// Vercel's, bounded, on one line, without control characters and the token.
type StatusError struct {
	// Status is the HTTP status, 300 or more.
	Status int
	// Code is Vercel's error code, such as "bad_request"; at most 64 bytes, empty
	// if there was no error envelope. Key on Status: codes vary for one status.
	Code string
	// Message is Vercel's message, or the text of an answer that is no JSON; at most 500 bytes.
	Message string
	// RequestID is Vercel's x-vercel-id; at most 128 bytes.
	RequestID string
	// RetryAfter is how long Vercel asks to wait; 0: not told. At most MaxRetryAfter.
	RetryAfter time.Duration
	// Limit is the rate limit as Vercel told it, in headers or the body of a 429.
	Limit RateLimit
	// InvalidToken is what Vercel adds to a 403 for a bad or expired token.
	InvalidToken bool
	// MissingToken is what Vercel adds to a 403 for a request that came without a token.
	MissingToken bool
}

func (e *StatusError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "vercel answered %d", e.Status)
	if e.Code != "" {
		b.WriteString(" " + e.Code)
	}
	if text := e.Explained(); text != "" {
		b.WriteString(": " + text)
	}
	if e.RequestID != "" {
		b.WriteString(" (x-vercel-id " + e.RequestID + ")")
	}
	return b.String()
}

// TransportError says that no whole answer of the API came: the network failed, time
// ran out, the caller gave up, the body of a 2xx broke off, or it was a page or an
// error instead. The purge may or may not have taken effect.
type TransportError struct {
	// Method and Path name the call; the query is left out.
	Method, Path string
	// Err is the cause, such as context.DeadlineExceeded or a *net.OpError.
	Err error
}

func (e *TransportError) Error() string { return e.Method + " " + e.Path + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *TransportError) Unwrap() error { return e.Err }

// GoString is Error quoted, so that %#v does not walk into the cause.
func (e *TransportError) GoString() string {
	return fmt.Sprintf("vercel.TransportError(%q)", e.Error())
}

// Timeout reports whether time ran out, the client's or that of the caller's
// context. It is false when the caller cancelled.
func (e *TransportError) Timeout() bool { return isTimeout(e.Err) }

func isTimeout(err error) bool {
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && t.Timeout()
}

// withoutURL drops the *url.Error of net/http, which repeats the whole URL,
// redirect targets included, and keeps its cause.
func withoutURL(err error) error {
	for {
		e, ok := errors.AsType[*url.Error](err)
		if !ok || e.Err == nil {
			return err
		}
		err = e.Err
	}
}
