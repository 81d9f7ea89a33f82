package gateway

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/edgepurge/edgepurge/internal/vercel/api"
	"github.com/edgepurge/edgepurge/tasks"
)

// retryAfter is what a client is told when its purge could not be stored. It is
// short: an outage of Redis seldom lasts, and a purge that waits is a stale page.
const retryAfter = 5 * time.Second

// answer is how an exchange ends. A nil body is none at all, without a content
// type: Vercel's command line fails on an empty body that says it is JSON.
type answer struct {
	status      int
	outcome     Outcome
	body        []byte
	contentType string // empty: api.ContentType, if there is a body
	allow       string
	location    string
	replayed    bool
	hangUp      bool   // the rest of the body is of no interest
	cause       error  // of an Unavailable, for the log
	problem     string // of a refusal, for the log: the first fault
	faults      int    // how many there are, if they are counted
}

// problem is the error of an envelope, Vercel's with the faults of a request.
type problem struct {
	api.Error
	Faults []fault `json:"faults,omitempty"`
}

// fault is one fault of a request: the field, and what is wrong with it.
type fault struct {
	Field   string `json:"field"`
	Problem string `json:"problem"`
}

func refuse(r api.Refusal, o Outcome) answer { return failure(r, o, nil) }

func failure(r api.Refusal, o Outcome, faults []fault) answer {
	return answer{status: r.Status, outcome: o, allow: r.Allow, problem: r.Message, faults: len(faults), body: api.Encode(map[string]problem{"error": {r.Error(), faults}})}
}

func invalid(what string) answer { return refuse(api.Invalid(what), Invalid) }

// unavailable is the answer to what can be sent again as it is.
func unavailable(message string, cause error) answer {
	a := refuse(api.Refusal{Status: http.StatusServiceUnavailable, Message: message}, Unavailable)
	a.cause = cause
	return a
}

func shown(status int, o Outcome, body any) answer {
	return answer{status: status, outcome: o, body: api.Encode(body)}
}

func (a answer) write(w http.ResponseWriter) {
	header := w.Header()
	header.Set("Content-Length", strconv.Itoa(len(a.body)))
	header["Content-Type"] = nil // and net/http must not guess one
	if a.body != nil {
		header.Set("Content-Type", api.ContentType)
	}
	if a.contentType != "" {
		header.Set("Content-Type", a.contentType)
	}
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	if a.allow != "" {
		header.Set("Allow", a.allow)
	}
	if a.location != "" {
		header.Set("Location", a.location)
	}
	if a.replayed {
		header.Set("Idempotency-Replayed", "true")
	}
	if a.status == http.StatusServiceUnavailable {
		header.Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	}
	if a.hangUp {
		header.Set("Connection", "close")
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // the client may have left
}

// faultsOf takes apart what tasks.Purge.Validate has joined.
func faultsOf(err error) []fault {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []fault
		for _, one := range joined.Unwrap() {
			all = append(all, faultsOf(one)...)
		}
		return all
	}
	if f, ok := errors.AsType[*tasks.FieldError](err); ok {
		return []fault{{f.Field, f.Problem}}
	}
	return []fault{{"request", err.Error()}}
}
