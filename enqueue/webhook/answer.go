package webhook

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// retryAfter is what a sender is told when its delivery could not be stored. It
// is Sanity's own interval.
const retryAfter = "30"

// answer is a whole answer. Senders read no more than its status; some want 200
// and nothing else, and JSON.
type answer struct {
	status int
	body   string
	// acceptEncoding, if set, says how a body may be compressed.
	acceptEncoding string
	// hangUp ends the connection, whose rest is of no interest.
	hangUp bool
}

// refusal is the answer that tells no more than a status does.
func refusal(status int) answer {
	return answer{status: status, body: `{"error":"` + strings.ToLower(http.StatusText(status)) + `"}`}
}

func (a answer) hangingUp() answer {
	a.hangUp = true
	return a
}

const answerIDBytes = 16

// answerID returns what the answer, the log and a dead letter call the
// delivery: the same for a retry, and nothing that the sender chose.
func answerID(hook *Hook, d Delivery, ids []string) string {
	of := "body:" + string(d.Body)
	if len(ids) > 0 {
		of = ids[0]
	}
	return sum([]byte(hook.name + "\n" + of))[:answerIDBytes]
}

// answerTo returns the answer for a result. Only what a retry can mend is
// refused, and what is not genuine: many senders switch a hook off, or delete
// it, after a few refusals.
func answerTo(r result) answer {
	status, word := http.StatusOK, ""
	switch r.outcome {
	case Unauthorized: // as without a look at the body
		return refusal(http.StatusUnauthorized).hangingUp()
	case Queued:
		word = "queued"
	case Ignored, NoTags:
		word = "ignored"
	case Duplicate:
		word = "duplicate"
	case Partial, Dead:
		word = "dead_letter"
	case Rejected:
		status, word = http.StatusUnprocessableEntity, "rejected"
	default:
		return refusal(http.StatusServiceUnavailable)
	}
	body := `{"status":"` + word + `","id":"` + r.id + `"`
	if len(r.requests) > 0 {
		body += `,"request_ids":["` + strings.Join(r.requests, `","`) + `"]`
	}
	return answer{status: status, body: body + "}"}
}

// writeNow is write without waiting for what is left of the request: net/http
// would read some of it first, for as long as the sender takes.
func (a answer) writeNow(w http.ResponseWriter) {
	a.write(w)
	control := http.NewResponseController(w)
	_ = control.Flush()
	_ = control.SetReadDeadline(time.Now()) // a writer that hides its connection leaves it to its server
}

func (a answer) write(w http.ResponseWriter) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Length", strconv.Itoa(len(a.body)))
	if a.status == http.StatusMethodNotAllowed {
		header.Set("Allow", http.MethodPost)
	}
	if a.status == http.StatusServiceUnavailable {
		header.Set("Retry-After", retryAfter)
	}
	if a.acceptEncoding != "" {
		header.Set("Accept-Encoding", a.acceptEncoding)
	}
	if a.hangUp {
		header.Set("Connection", "close")
	}
	w.WriteHeader(a.status)
	_, _ = w.Write([]byte(a.body))
}
