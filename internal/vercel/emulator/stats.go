package emulator

import (
	"slices"
	"sync/atomic"
	"time"
)

// Stats are counts since the start or the last Reset.
type Stats struct {
	// Calls counts the calls of the API that ended, of every kind.
	Calls int64 `json:"calls"`
	// ByStatus counts them by status; 0: not answered.
	ByStatus map[int]int64 `json:"by_status"`
	// AppliedCalls and AppliedItems count purges that took effect.
	AppliedCalls int64 `json:"applied_calls"`
	AppliedItems int64 `json:"applied_items"`
	// InFlight counts the calls under way, PeakInFlight the most at once.
	InFlight     int64 `json:"in_flight"`
	PeakInFlight int64 `json:"peak_in_flight"`
	// Per is the window of the rate limit in force.
	Per time.Duration `json:"-"`
	// PeakCounted is PeakInWindow of the counted calls of the journal, and
	// PeakArrived of all purges in it, 429s included.
	PeakCounted int `json:"peak_counted"`
	PeakArrived int `json:"peak_arrived"`
	// Kept and Dropped count calls in the journal and those beyond its cap.
	Kept    int   `json:"kept"`
	Dropped int64 `json:"dropped"`
}

// counters are what is counted without a lock.
type counters struct {
	status                 [600]atomic.Int64
	calls, items           atomic.Int64
	inFlight, peakInFlight atomic.Int64
}

func (c *counters) begin() {
	n := c.inFlight.Add(1)
	for {
		peak := c.peakInFlight.Load()
		if n <= peak || c.peakInFlight.CompareAndSwap(peak, n) {
			return
		}
	}
}

func (c *counters) end() { c.inFlight.Add(-1) }

func (c *counters) apply(items int) {
	c.calls.Add(1)
	c.items.Add(int64(items))
}

func (c *counters) answered(status int) { c.status[status].Add(1) }

func (c *counters) reset() {
	for i := range c.status {
		c.status[i].Store(0)
	}
	c.calls.Store(0)
	c.items.Store(0)
	c.peakInFlight.Store(c.inFlight.Load())
}

// Stats returns the counts. It walks the whole journal for the peaks.
func (e *Emulator) Stats() Stats {
	calls, _, dropped := e.journal.since(0, 0)
	per := e.limiter.get().Per
	s := Stats{
		ByStatus:     map[int]int64{},
		AppliedCalls: e.counters.calls.Load(),
		AppliedItems: e.counters.items.Load(),
		InFlight:     e.counters.inFlight.Load(),
		PeakInFlight: e.counters.peakInFlight.Load(),
		Per:          per,
		PeakCounted:  PeakInWindow(calls, per, func(c Call) bool { return c.Counted }),
		PeakArrived:  PeakInWindow(calls, per, func(c Call) bool { return c.Kind != "" }),
		Kept:         len(calls),
		Dropped:      dropped,
	}
	for status := range e.counters.status {
		if n := e.counters.status[status].Load(); n > 0 {
			s.ByStatus[status] = n
			s.Calls += n
		}
	}
	return s
}

// PeakInWindow returns the most calls of one account (token and team) whose
// Start falls into any half-open window of length per, among the calls that
// match; nil matches all. It is 0 for no calls or per <= 0.
func PeakInWindow(calls []Call, per time.Duration, match func(Call) bool) int {
	starts := map[string][]time.Time{}
	for i := range calls {
		if match == nil || match(calls[i]) {
			account := calls[i].account()
			starts[account] = append(starts[account], calls[i].Start)
		}
	}
	peak := 0
	for _, times := range starts {
		slices.SortFunc(times, time.Time.Compare)
		from := 0
		for to := range times {
			for from <= to && times[to].Sub(times[from]) >= per {
				from++
			}
			peak = max(peak, to-from+1)
		}
	}
	return peak
}
