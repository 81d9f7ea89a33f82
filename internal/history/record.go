package history

import (
	"time"

	"github.com/edgepurge/edgepurge/tasks"
)

// Family is what a request and the call that serves it have in common. Priority
// and deadline are not part of it: an item may move up, and a deadline may be
// staggered.
type Family struct {
	Project   string
	Kind      tasks.Kind
	Operation tasks.Operation
	Target    tasks.Target
}

// Request is what a producer asked for, of one kind.
type Request struct {
	// ID may stand for several Requests: one with tags and images makes two.
	ID string
	Family
	Items []string
	// Asked is when the producer began to ask: its content had changed by then.
	Asked time.Time
	// Accepted is when it was told that the request is stored. Waits begin here.
	Accepted time.Time
	// Priority decides whom the item may pass; empty is tasks.Normal. Only Stuck looks at it.
	Priority tasks.Priority
	// Settle and NotBefore are the request's own: an earlier call does not count.
	Settle    time.Duration
	NotBefore time.Time
}

// Requests is the records of one purge request: one for each kind of item that
// it names.
func Requests(p tasks.Purge, asked, accepted time.Time) []Request {
	var records []Request
	for _, kind := range []tasks.Kind{tasks.Tag, tasks.SrcImage} {
		if items := p.Items(kind); len(items) > 0 {
			lane := p.Lane(kind)
			records = append(records, Request{
				ID: p.ID, Family: Family{lane.Project, lane.Kind, lane.Operation, lane.Target}, Items: items,
				Asked: asked, Accepted: accepted, Settle: p.Settle, NotBefore: p.NotBefore, Priority: lane.Priority,
			})
		}
	}
	return records
}

// due is when a call that serves the request may start at the earliest.
func (r *Request) due() time.Time {
	due := r.Asked.Add(r.Settle)
	if r.NotBefore.After(due) {
		return r.NotBefore
	}
	return due
}

// Call is one call as the far side saw it.
type Call struct {
	Family
	Items []string
	// StringForm says that the tags came as one string, which is bounded by its
	// length and not by their number.
	StringForm bool
	Start, End time.Time
	// OK says that the purge took effect, whatever was answered.
	OK bool
	// Status is what was answered; 0: nothing.
	Status int
}

// Letter is a dead letter: a call that people must look at, or a request.
type Letter struct {
	Family
	Items []string
	// At is when the call's batch was claimed: what is asked for later needs a
	// call of its own. When that is not known, it is when the letter died, which
	// excuses more than it should.
	At time.Time
	// Grain is what At was rounded down to: 1 ms by Redis, 1 s by asynq.
	Grain time.Duration
	// Request is set if the letter is a request that no worker could take in. It
	// then stands for that request alone, and At means nothing.
	Request string
}
