package deadletter

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hibiken/asynq"

	"github.com/edgepurge/edgepurge/tasks"
)

// Reasons that no worker gives.
const (
	ByHand  = "by_hand" // somebody archived the task before it ever failed
	Unknown = "unknown" // what is recorded was not written by edgepurge
)

// Key names a letter: ids are unique within a queue.
type Key struct{ Queue, ID string }

// Letter is one dead letter. Call is set if it is a call, Request if it is a
// request, Delivery if it is a webhook that could not be mapped; none is if Fault says why its payload cannot be read.
type Letter struct {
	Key
	Type string
	// Reason is the worker's, in one word such as "unauthorized", or one of ours.
	Reason string
	// Message is what was recorded, Vercel's answer in it, for people.
	Message string
	// Died is zero for a task that never failed.
	Died time.Time
	// Attempts counts the calls made, or for a request how often it was tried.
	Attempts int
	Call     *tasks.Call
	Request  *tasks.Purge
	Delivery *Delivery
	Fault    error
	// Payload is what is stored, as it is.
	Payload []byte
}

func read(t *asynq.TaskInfo) Letter {
	l := Letter{
		Key:  Key{Queue: t.Queue, ID: t.ID},
		Type: t.Type, Died: t.LastFailedAt, Attempts: t.Retried + 1, Payload: t.Payload,
	}
	switch t.Type {
	case tasks.TypeCall:
		c, err := tasks.DecodeCall(t.Payload)
		if err != nil {
			l.Fault = err
			break
		}
		l.Call = &c
		l.Attempts = c.Attempt
		if c.Verdict == nil { // asynq made further attempts
			l.Attempts += t.Retried + 1
		}
	case tasks.TypeRequest:
		p, err := tasks.DecodePurge(t.Payload)
		if err != nil {
			l.Fault = err
			break
		}
		l.Request = &p
	case tasks.TypeDelivery:
		d, err := decodeDelivery(t.Payload)
		if err != nil {
			l.Fault = err
			break
		}
		l.Delivery = &d
		l.Died = d.ReceivedAt // asynq never ran it
	default:
		l.Fault = fmt.Errorf("%w: task type %q is not edgepurge's", tasks.ErrInvalid, t.Type)
	}
	l.Reason, l.Message = l.why(t.LastErr)
	return l
}

// why takes the worker's reason off what asynq recorded.
func (l *Letter) why(recorded string) (reason, message string) {
	word, rest, ok := strings.Cut(recorded, ": ")
	switch {
	case l.Delivery != nil:
		return Unmappable, l.Delivery.Reason
	case ok && isReason(word):
		return word, rest
	case l.Call != nil && l.Call.Verdict != nil:
		return l.Call.Verdict.Reason, l.Call.Verdict.Error()
	case recorded == "":
		return ByHand, "archived by hand"
	default:
		return Unknown, recorded
	}
}

func isReason(word string) bool {
	return word != "" && !strings.ContainsFunc(word, func(c rune) bool { return c != '_' && (c < 'a' || c > 'z') })
}

// Project is the project of the purge; empty if it cannot be read.
func (l *Letter) Project() string {
	switch {
	case l.Call != nil:
		return l.Call.Lane.Project
	case l.Request != nil:
		return l.Request.Project
	}
	return ""
}

// Account is the account of a call; requests belong to none as yet.
func (l *Letter) Account() string {
	if l.Call == nil {
		return ""
	}
	return l.Call.Account
}

// Operation is delete or invalidate; empty if it cannot be read.
func (l *Letter) Operation() tasks.Operation {
	switch {
	case l.Call != nil:
		return l.Call.Lane.Operation
	case l.Request != nil:
		return l.Request.Operation
	}
	return ""
}

// Items returns the items of one kind.
func (l *Letter) Items(kind tasks.Kind) []string {
	switch {
	case l.Call != nil && l.Call.Lane.Kind == kind:
		return l.Call.Items
	case l.Request != nil:
		return l.Request.Items(kind)
	}
	return nil
}

// Purge is the request that asks for the letter's items again. It has no ID: the
// archived task keeps its own, and a task of the same id would not be stored. It
// returns nil if the payload cannot be read.
func (l *Letter) Purge() *tasks.Purge {
	if l.Request != nil {
		p := *l.Request
		p.ID, p.RequestedAt = "", time.Time{}
		return &p
	}
	if l.Call == nil {
		return nil
	}
	lane := l.Call.Lane
	p := tasks.Purge{
		Project: lane.Project, Operation: lane.Operation, Target: lane.Target, Priority: lane.Priority,
		Source: Source,
	}
	if lane.DeadlineSeconds != tasks.NoDeadline { // not the call's, which may be staggered
		p.DeadlineSeconds = &lane.DeadlineSeconds
	}
	p.Tags, p.SrcImages = l.Items(tasks.Tag), l.Items(tasks.SrcImage)
	p.AllowAll = slices.Contains(p.Tags, tasks.AllTags) // whoever asked first has said so
	return &p
}

type wireLetter struct {
	ID              string          `json:"id"`
	Queue           string          `json:"queue"`
	Type            string          `json:"type"`
	DiedAt          *time.Time      `json:"died_at,omitempty"`
	Reason          string          `json:"reason"`
	Message         string          `json:"message"`
	Attempts        int             `json:"attempts"`
	Account         string          `json:"account,omitempty"`
	Project         string          `json:"project,omitempty"`
	Operation       tasks.Operation `json:"operation,omitempty"`
	Target          tasks.Target    `json:"target,omitempty"`
	DeadlineSeconds *int            `json:"deadline_seconds,omitempty"`
	Priority        tasks.Priority  `json:"priority,omitempty"`
	Tags            []string        `json:"tags,omitempty"`
	SrcImages       []string        `json:"src_images,omitempty"`
	Source          string          `json:"source,omitempty"`
	RequestedAt     *time.Time      `json:"requested_at,omitempty"`
	ClaimedAt       *time.Time      `json:"claimed_at,omitempty"`
	Verdict         *tasks.Verdict  `json:"verdict,omitempty"`
	ReceivedAt      *time.Time      `json:"received_at,omitempty"`
	Header          http.Header     `json:"header,omitempty"`
	Body            string          `json:"body,omitempty"` // of a delivery
	Unverified      bool            `json:"unverified,omitempty"`
	BodyBytes       int             `json:"body_bytes,omitempty"` // of a body that was clipped
	Fault           string          `json:"fault,omitempty"`
	Payload         string          `json:"payload,omitempty"` // of a letter with a fault
}

// MarshalJSON writes everything readable, in snake case.
func (l Letter) MarshalJSON() ([]byte, error) {
	w := wireLetter{
		ID: l.ID, Queue: l.Queue, Type: l.Type, DiedAt: optional(l.Died), Reason: l.Reason, Message: l.Message,
		Attempts: l.Attempts, Account: l.Account(), Project: l.Project(), Operation: l.Operation(),
		Tags: l.Items(tasks.Tag), SrcImages: l.Items(tasks.SrcImage),
	}
	if p := l.Purge(); p != nil {
		w.Target, w.DeadlineSeconds, w.Priority = p.Target, p.DeadlineSeconds, p.Priority
	}
	if l.Request != nil {
		w.Source, w.RequestedAt = l.Request.Source, optional(l.Request.RequestedAt)
	}
	if l.Call != nil {
		w.ClaimedAt, w.Verdict = optional(l.Call.ClaimedAt), l.Call.Verdict
	}
	if d := l.Delivery; d != nil {
		w.Source, w.ReceivedAt, w.Header, w.Body = d.Source, optional(d.ReceivedAt), d.Header, string(d.Body)
		w.Unverified, w.BodyBytes = d.Unverified, d.Clipped
	}
	if l.Fault != nil {
		w.Fault, w.Payload = l.Fault.Error(), string(l.Payload)
	}
	return json.Marshal(w)
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// Newer reports whether the payload was written by a newer edgepurge, which can
// replay it once its workers run.
func (l *Letter) Newer() bool { return errors.Is(l.Fault, tasks.ErrVersion) }
