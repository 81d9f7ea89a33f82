package emulator

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/edgepurge/edgepurge/internal/vercel/api"
)

// exchange is one call under way.
type exchange struct {
	w      http.ResponseWriter
	r      *http.Request
	faults *compiledFaults
	roll   roll
	call   Call
	limit  verdict
}

// decide says how a call is answered and fills in the journal's record of it.
// The order of the steps is the one that the package comment promises.
func (e *Emulator) decide(x *exchange) answer {
	route, refused := findRoute(x.r)
	if refused != nil {
		return *refused
	}
	x.call.Kind, x.call.Operation = route.kind, route.operation
	if x.faults.Outage {
		x.call.Fault = FaultOutage
		return x.faults.failure(http.StatusServiceUnavailable, x.roll.html)
	}
	if refused := e.authorize(x); refused != nil {
		return *refused
	}
	if route.purges {
		x.limit = e.limiter.admit(x.call.account())
		x.call.Start, x.call.Counted = x.limit.at, x.limit.ok
		if !x.limit.ok {
			return tooMany(x.limit, e.refused.Add(1)-1)
		}
	}
	body, refused := e.readBody(x)
	if refused != nil {
		return *refused
	}
	parsed := route.parse(e, x, body)
	if x.roll.fault != NoFault && (!x.roll.after || !route.purges) {
		return x.faults.strike(x)
	}
	if parsed != nil {
		return *parsed
	}
	if refused := x.faults.refuse(&x.call); refused != nil {
		return *refused
	}
	if !route.purges {
		return answer{status: http.StatusOK, body: api.Show(x.call.Path, x.call.Token, x.call.Team)}
	}
	x.call.Applied = true
	e.counters.apply(len(x.call.Items))
	if x.roll.fault != NoFault {
		return x.faults.strike(x)
	}
	return answer{status: http.StatusOK}
}

// readBody reads the whole body, because net/http notices that a client has
// left only when nothing is left to read.
func (e *Emulator) readBody(x *exchange) ([]byte, *answer) {
	body, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, e.maxBody))
	if err == nil {
		return body, nil
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, refuse(api.TooLarge)
	}
	return nil, refuse(api.Unreadable)
}

// finish waits for what the faults ask for, notes the call and answers it. The
// note comes first: who has the answer finds the call in the journal.
func (e *Emulator) finish(x *exchange, a answer) {
	if wait := x.faults.latency(x.roll); wait > 0 && !a.hang && !e.sleep(x, wait) {
		x.call.Fault, a = FaultClientLeft, answer{drop: true}
	}
	if a.hang {
		select {
		case <-x.r.Context().Done():
		case <-e.closed:
		}
		a.drop = true
	}
	x.call.Status, x.call.End = a.status, time.Now()
	e.counters.answered(a.status)
	e.journal.add(x.call)
	if a.drop {
		drop(x.w)
		return
	}
	a.write(x.w, x.limit)
}

// sleep returns false if the client left meanwhile.
func (e *Emulator) sleep(x *exchange, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-e.closed:
	case <-x.r.Context().Done():
		return false
	}
	return true
}
