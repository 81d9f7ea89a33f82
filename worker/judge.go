package worker

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/edgepurge/edgepurge/internal/vercel"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// Verdict is what becomes of a call after its answer.
type Verdict int

// The verdicts.
const (
	Done        Verdict = iota // Vercel accepted the purge
	Wait                       // 429: pause the account, hand the items back, no attempt spent
	TryAgain                   // it may succeed later
	Split                      // some item is at fault: try the halves
	Dead                       // it cannot succeed
	HoldAccount                // dead, and so would be every call of the account
	HoldProject                // dead, and so would be every call of the project, if not of the account
)

var verdictNames = [...]string{"done", "wait", "retry", "split", "dead", "hold_account", "hold_project"}

// Verdicts lists all verdicts, as metric labels.
func Verdicts() []string { return verdictNames[:] }

func (v Verdict) String() string { return verdictNames[v] }

// Reason says in one word why a call did not succeed. It is a metric label and
// the first word of a dead letter's message.
type Reason string

// The reasons.
const (
	NoReason       Reason = ""
	RateLimited    Reason = "rate_limited"
	Unreachable    Reason = "unreachable"         // network, timeout, an answer that broke off or is not the API's
	ServerError    Reason = "server_error"        // 5xx
	TryLater       Reason = "try_later"           // 408, 425
	BadRequest     Reason = "bad_request"         // 400
	Unauthorized   Reason = "unauthorized"        // 401
	Forbidden      Reason = lanes.ReasonForbidden // 403
	PaymentDue     Reason = "payment_due"         // 402
	ProjectMissing Reason = "project_missing"     // 404
	ProjectGone    Reason = "project_gone"        // 410
	Refused        Reason = "refused"             // any other 4xx
	Redirected     Reason = "redirected"          // 3xx: vercel.url leads somewhere else
	ArchiveFull    Reason = "archive_full"        // dead letters wait because asynq's archive would trim
	BacklogFull    Reason = "backlog_full"        // more is pending than accounts[].backlog.max
	NoAccount      Reason = "no_account"          // a request whose project belongs to no account
	Invalid        Reason = "invalid"             // a payload that this worker cannot read
)

// LetterReasons lists the reasons that a dead letter can have, as metric labels.
func LetterReasons() []Reason {
	return []Reason{
		Unreachable, ServerError, TryLater, BadRequest, Unauthorized, Forbidden, PaymentDue,
		ProjectMissing, ProjectGone, Refused, Redirected, BacklogFull, NoAccount, Invalid,
	}
}

// Judgment is a verdict with what is needed to carry it out.
type Judgment struct {
	Verdict Verdict
	Reason  Reason
	// After: Wait and TryAgain happen no sooner; 0 if the answer did not say.
	After time.Duration
	// Limit is how many calls a window holds by a 429; 0: not told.
	Limit int
	// Exhausted says until when a success used up the limit; 0: it did not.
	Exhausted time.Duration
	// LearnMax is the most items of the batch's kind by a 400; 0: not told.
	LearnMax int
	// Letter is what a dead letter says.
	Letter tasks.Verdict
}

// provesToken reports whether Vercel took the token and the project, and refused the
// items at most.
func (j Judgment) provesToken() bool { return j.Verdict == Done || j.Reason == BadRequest }

// isPlain reports whether the end of the call is all there is to write down.
func (j Judgment) isPlain() bool { return j.Verdict == Done && j.Exhausted == 0 }

// judge decides what becomes of a call with n items. It is a pure function of
// the answer and the time it came.
func judge(answer vercel.Answer, err error, kind tasks.Kind, n int, now time.Time) Judgment {
	if err == nil {
		return Judgment{Verdict: Done, Exhausted: exhausted(answer.Limit, now)}
	}
	status, ok := errors.AsType[*vercel.StatusError](err)
	if !ok {
		j := Judgment{Verdict: TryAgain, Reason: Unreachable}
		if _, sent := errors.AsType[*vercel.TransportError](err); !sent {
			j.Verdict, j.Reason = Dead, Invalid // the client refused to write such a call
		}
		j.Letter = tasks.Verdict{Reason: string(j.Reason), Message: err.Error()}
		return j
	}
	j := Judgment{After: status.RetryAfter}
	j.Verdict, j.Reason = classify(status.Status)
	if j.Reason == Forbidden && (status.InvalidToken || status.MissingToken) {
		j.Verdict = HoldAccount // else it may be the project's alone: lanes.Hold finds out
	}
	switch j.Verdict {
	case Wait:
		j.Limit = status.Limit.Limit
		j.After = max(j.After, status.Limit.Reset.Sub(now))
	case Split:
		j.LearnMax = learnMax(status.Message, kind, n)
		if n == 1 {
			j.Verdict = Dead
		}
	case Done, TryAgain, Dead, HoldAccount, HoldProject:
	}
	j.Letter = tasks.Verdict{
		Reason: string(j.Reason), Status: status.Status, Code: status.Code,
		Message: status.Explained(), RequestID: status.RequestID,
	}
	return j
}

// classify is the table of design.md for everything but success.
func classify(status int) (Verdict, Reason) {
	switch status {
	case http.StatusTooManyRequests:
		return Wait, RateLimited
	case http.StatusRequestTimeout, http.StatusTooEarly:
		return TryAgain, TryLater
	case http.StatusBadRequest:
		return Split, BadRequest
	case http.StatusUnauthorized:
		return HoldAccount, Unauthorized
	case http.StatusForbidden:
		return HoldProject, Forbidden
	case http.StatusPaymentRequired:
		return HoldProject, PaymentDue
	case http.StatusNotFound:
		return HoldProject, ProjectMissing
	case http.StatusGone:
		return HoldProject, ProjectGone
	}
	switch {
	case status >= 500:
		return TryAgain, ServerError
	case status >= 400:
		return Dead, Refused
	default: // 3xx; the client reports no 2xx as an error
		return HoldAccount, Redirected
	}
}

// exhausted is how long a success asks to wait because it was the window's last call.
func exhausted(l vercel.RateLimit, now time.Time) time.Duration {
	if l.Remaining != 0 || l.Reset.IsZero() {
		return 0
	}
	return max(0, l.Reset.Sub(now))
}

// learnMax reads a smaller maximum than n from a 400's message.
func learnMax(message string, kind tasks.Kind, n int) int {
	field, most, ok := vercel.LearnMax(message)
	want := "tags"
	if kind == tasks.SrcImage {
		want = "srcImages"
	}
	if !ok || field != want || most >= n {
		return 0
	}
	return most
}

// statusLabel is the status as a metric label; a call without an answer has
// "none", one whose status is no HTTP status "other".
func statusLabel(j Judgment) string {
	switch {
	case j.Verdict == Done:
		return "200"
	case j.Letter.Status == 0:
		return none
	case j.Letter.Status > 599:
		return other
	default:
		return strconv.Itoa(j.Letter.Status)
	}
}
