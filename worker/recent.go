package worker

import (
	"context"
	"sync"
	"time"

	"github.com/edgepurge/edgepurge/worker/lanes"
)

// recent tells people what was called lately: a call that succeeds leaves no
// trace in asynq. It is for display only. What cannot be written at once is
// dropped, and an idle worker writes nothing.
type recent struct {
	lanes *lanes.Lanes
	wake  chan struct{} // holds one token while there is something to write

	mu      sync.Mutex
	calls   []lanes.MadeCall // the newest last, at most lanes.RecentCalls
	next    int              // where the oldest is once calls is full
	seconds []lanes.Second   // the newest last, at most recentSeconds
}

const (
	// recentEvery is how often a busy worker writes.
	recentEvery = time.Second
	// recentWait bounds one write, and so how long the last one keeps a stop waiting.
	recentWait = 500 * time.Millisecond
	// recentSeconds bounds what gathers during a write.
	recentSeconds = 10
	// Bounds of what one call shows of its items and of Vercel's message.
	recentItems, recentItemBytes, recentMessageBytes = 3, 80, 200
)

func newRecent(l *lanes.Lanes) *recent {
	return &recent{lanes: l, wake: make(chan struct{}, 1)}
}

// add notes a call that has been judged. It is on the way of every call: it
// copies a few words and returns.
func (r *recent) add(account string, b *lanes.Batch, attempt int, j *Judgment, status int, requestID string, end time.Time, took time.Duration) {
	c := lanes.MadeCall{
		At: end, Account: account, Project: b.Lane.Project, Operation: b.Lane.Operation, Kind: b.Lane.Kind,
		Items: len(b.Items), First: b.Items[:min(len(b.Items), recentItems)], Attempt: attempt,
		Verdict: j.Verdict.String(), Reason: string(j.Reason), Status: status, Message: j.Letter.Message,
		RequestID: requestID, TookMS: took.Milliseconds(),
	}
	r.mu.Lock()
	if len(r.calls) < lanes.RecentCalls {
		r.calls = append(r.calls, c)
	} else {
		r.calls[r.next] = c
		r.next = (r.next + 1) % lanes.RecentCalls
	}
	r.count(end.Unix(), j.Verdict != Done, len(b.Items))
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default: // it knows
	}
}

// count adds a call to its second. Calls end nearly in order; one whose second is
// not there any more is counted with a neighbour.
func (r *recent) count(unix int64, failed bool, items int) {
	i := len(r.seconds) - 1
	for i > 0 && r.seconds[i].Unix > unix {
		i--
	}
	if i < 0 || r.seconds[len(r.seconds)-1].Unix < unix {
		if len(r.seconds) == recentSeconds {
			r.seconds = append(r.seconds[:0], r.seconds[1:]...)
		}
		r.seconds = append(r.seconds, lanes.Second{Unix: unix})
		i = len(r.seconds) - 1
	}
	s := &r.seconds[i]
	s.Calls++
	s.Items += items
	if failed {
		s.Failed++
	}
}

// take empties the buffers, the oldest call first.
func (r *recent) take() ([]lanes.MadeCall, []lanes.Second) {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := append(r.calls[r.next:len(r.calls):len(r.calls)], r.calls[:r.next]...)
	seconds := r.seconds
	r.calls, r.next, r.seconds = nil, 0, nil
	return calls, seconds
}

// run writes the first call at once and then once a second what came meanwhile,
// until ctx ends. Without calls it sleeps.
func (r *recent) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		}
		r.flush(ctx)
		if !sleep(ctx, recentEvery) {
			return
		}
	}
}

// flush writes what there is. An error is not worth a line: whatever made it
// keeps the pipeline from working as well, which says so.
func (r *recent) flush(ctx context.Context) {
	calls, seconds := r.take()
	if len(calls) == 0 {
		return
	}
	for i := range calls {
		c := &calls[i]
		c.Message = cut(c.Message, recentMessageBytes)
		first := make([]string, len(c.First))
		for k, item := range c.First {
			first[k] = cut(item, recentItemBytes)
		}
		c.First = first
	}
	ctx, cancel := context.WithTimeout(ctx, recentWait)
	defer cancel()
	_ = r.lanes.NoteCalls(ctx, calls, seconds)
}

// cut bounds a text for people. It leaves no part of a character.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && s[most]&0xC0 == 0x80 {
		most--
	}
	return s[:most] + "…"
}
