package emulator

import (
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/edgepurge/edgepurge/internal/vercel/api"
)

// Fault is what the emulator did to a call, in the journal.
type Fault string

// The faults of a call. Those that Faults fixes for a project, an item or a
// token are not among them: they show as the status.
const (
	NoFault         Fault = ""
	FaultStatus     Fault = "status"      // answered with a status by chance
	FaultReset      Fault = "reset"       // connection reset
	FaultHang       Fault = "hang"        // not answered
	FaultOutage     Fault = "outage"      // answered 503 during an outage
	FaultClientLeft Fault = "client left" // the client gave up during the latency
)

// compiledFaults is Faults made ready for many calls. It does not change.
type compiledFaults struct {
	Faults
	statuses []int // of Faults.Status, ascending: the dice must not depend on map order
	poison   map[string]bool
	expired  map[string]bool
	chance   bool // some fault is a matter of chance
}

func compile(f Faults) *compiledFaults {
	f = f.clone()
	return &compiledFaults{
		Faults:   f,
		statuses: slices.Sorted(maps.Keys(f.Status)),
		poison:   set(f.PoisonTags),
		expired:  set(f.ExpiredTokens),
		chance:   len(f.Status) > 0 || f.Reset > 0 || f.Hang > 0 || f.LatencyJitter > 0 || (f.Outage && f.HTML > 0),
	}
}

func set(names []string) map[string]bool {
	s := make(map[string]bool, len(names))
	for _, name := range names {
		s[name] = true
	}
	return s
}

// roll is what chance has in store for one call.
type roll struct {
	fault  Fault
	status int // of FaultStatus
	html   bool
	after  bool
	jitter float64 // 0 to 1
}

// pcgStream is the second half of the generator's seed; any constant would do.
const pcgStream = 0x6564676570757267

type dice struct {
	mu  sync.Mutex
	rng *rand.Rand
}

func newDice(seed uint64) dice {
	return dice{rng: rand.New(rand.NewPCG(seed, pcgStream))} //nolint:gosec // repeatable on purpose
}

// roll throws the same number of dice for every call, so that one call's luck
// does not depend on what became of those before. Without chance there is no lock.
func (d *dice) roll(f *compiledFaults) roll {
	if !f.chance {
		return roll{}
	}
	d.mu.Lock()
	which, html, after, jitter := d.rng.Float64(), d.rng.Float64(), d.rng.Float64(), d.rng.Float64()
	d.mu.Unlock()
	r := roll{html: html < f.HTML, after: after < f.AfterEffect, jitter: jitter}
	r.fault, r.status = f.pick(which)
	return r
}

// pick divides 0 to 1 among the faults, in a fixed order.
func (f *compiledFaults) pick(u float64) (Fault, int) {
	for _, status := range f.statuses {
		if u -= f.Status[status]; u < 0 {
			return FaultStatus, status
		}
	}
	if u -= f.Reset; u < 0 {
		return FaultReset, 0
	}
	if u -= f.Hang; u < 0 {
		return FaultHang, 0
	}
	return NoFault, 0
}

func (f *compiledFaults) latency(r roll) time.Duration {
	return f.Latency + time.Duration(r.jitter*float64(f.LatencyJitter))
}

// strike is the answer of a call that chance has picked out.
func (f *compiledFaults) strike(x *exchange) answer {
	x.call.Fault = x.roll.fault
	switch x.roll.fault {
	case FaultReset:
		return answer{drop: true}
	case FaultHang:
		return answer{hang: true}
	default:
		return f.failure(x.roll.status, x.roll.html)
	}
}

func (f *compiledFaults) failure(status int, html bool) answer {
	a := failure(status, "An emulated fault: "+http.StatusText(status))
	a.html = html && status >= 500
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		a.retryAfter = f.RetryAfter
	}
	if status < 400 {
		a.location = "/_emulator/elsewhere"
	}
	return a
}

// refuse answers for the project and the items that are fixed to fail. The
// message does not name the item: finding it is what a split is for.
func (f *compiledFaults) refuse(c *Call) *answer {
	if status, ok := f.Projects[c.Project]; ok {
		a := f.failure(status, false)
		a.message = "Project " + http.StatusText(status)
		return &a
	}
	if len(f.poison) == 0 {
		return nil
	}
	for _, item := range c.Items {
		if f.poison[item] {
			return refuse(api.Invalid("an item could not be processed."))
		}
	}
	return nil
}
