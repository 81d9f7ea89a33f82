package plan

import (
	"math"
	"time"
)

// Pace is how fast the calls of one lane may go: the settings of its account and
// project, in the words of configs/edgepurge.yaml.
type Pace struct {
	// Calls in any window of Per, 0 unlimited; Reserve of them are not for this lane.
	Calls    int
	Per      time.Duration
	Reserve  int
	InFlight int
	// MaxItems bounds a batch by number, MaxBytes, if not 0, by the length of
	// the items joined with commas. Full is how many are sent without lingering.
	MaxItems, MaxBytes, Full int
	Linger                   time.Duration
	// Rate is the spread in cost a second, 0 unlimited; Burst its bucket, above 0.
	Rate, Burst float64
	MaxDelay    time.Duration
	// StaggerMin and StaggerOver are the deadlines of spread.deadline; over 0 is off.
	StaggerMin, StaggerOver time.Duration
	// CallTime is how long the API takes to answer.
	CallTime time.Duration
}

// Item is what the pacer needs to know of a tag.
type Item struct {
	Bytes int     // its length
	Cost  float64 // 1, or what spread.weights say
}

// Call is one API call of the plan.
type Call struct {
	At    float64 // seconds from the start
	Items int
	Cost  float64 // of its items
	// Deadline is in seconds from At on; NoDeadline is none.
	Deadline float64
}

// NoDeadline is the Deadline of a call that names none.
const NoDeadline = -1

// Schedule says when which calls go for items that are all due at once, with no
// other work in the account. It follows worker/lanes/script/claim.lua, in whole
// milliseconds as that does.
func (p Pace) Schedule(items []Item) []Call {
	s := schedule{Pace: p, items: items, tokens: p.Burst, stagger: -1}
	for len(s.items) > 0 {
		if until := s.refusedUntil(); until > s.now {
			s.now = until
			continue
		}
		s.spreadOrCall()
	}
	return s.calls
}

// schedule is the state of an account and a project at an instant.
type schedule struct {
	Pace
	items    []Item
	now      int64 // milliseconds from the start
	ends     []int64
	tokens   float64
	tokensAt int64
	stagger  int64 // when the last deadline falls, -1 before the first
	calls    []Call
}

// refusedUntil is until when budget, calls in flight or linger refuse a call; now if they do not.
func (s *schedule) refusedUntil() int64 {
	if s.Calls > 0 {
		room := s.Calls - min(s.Reserve, s.Calls-1)
		if n := len(s.ends); n >= room {
			if at := s.ends[n-room] + s.Per.Milliseconds() + 1; at > s.now {
				return at
			}
		}
	}
	if n := len(s.ends); n >= s.InFlight && s.ends[n-s.InFlight] > s.now {
		return s.ends[n-s.InFlight]
	}
	if len(s.items) < s.Full && s.now < s.Linger.Milliseconds() {
		return s.Linger.Milliseconds()
	}
	return s.now
}

// spreadOrCall makes a call, or waits the debt of the spread off.
func (s *schedule) spreadOrCall() {
	n, cost := s.batch()
	if s.Rate > 0 {
		rate := s.raised(cost * float64(len(s.items)) / float64(n))
		if tokens := s.tokensNow(rate); tokens <= 0 && !math.IsInf(rate, 1) {
			wait := max(1, math.Ceil(-tokens*1000/rate+0.001))
			until := s.now + int64(math.Min(wait, 1e15)) // some 30,000 years, for rates next to nothing
			if s.MaxDelay > 0 {
				until = min(until, s.MaxDelay.Milliseconds())
			}
			s.now = max(min(until, s.nextEnd()), s.now+1)
			return
		}
		s.charge(cost, rate)
	}
	s.calls = append(s.calls, Call{At: float64(s.now) / 1000, Items: n, Cost: cost, Deadline: s.deadline(n)})
	s.ends = append(s.ends, s.now+s.CallTime.Milliseconds())
	s.items = s.items[n:]
}

// nextEnd is when the first call under way ends: then the worker asks again, and
// a raised rate may have changed.
func (s *schedule) nextEnd() int64 {
	for _, end := range s.ends[max(0, len(s.ends)-s.InFlight):] {
		if end > s.now {
			return end
		}
	}
	return math.MaxInt64
}

// batch is how many of the oldest items fit into one call, and their cost.
func (s *schedule) batch() (n int, cost float64) {
	bytes := -1
	for _, item := range s.items {
		if n == s.MaxItems || s.MaxBytes > 0 && n > 0 && bytes+1+item.Bytes > s.MaxBytes {
			break
		}
		bytes += 1 + item.Bytes
		cost += item.Cost
		n++
	}
	return n, cost
}

func (s *schedule) tokensNow(rate float64) float64 {
	return math.Min(s.Burst, s.tokens+rate*float64(s.now-s.tokensAt)/1000)
}

// raised is the rate at which backlog and debt are gone before max_delay.
func (s *schedule) raised(backlog float64) float64 {
	if s.MaxDelay == 0 {
		return s.Rate
	}
	left := s.MaxDelay.Milliseconds() - s.now
	if left <= 0 {
		return math.Inf(1)
	}
	return max(s.Rate, (max(0, -s.tokensNow(s.Rate))+backlog)*1000/float64(left))
}

func (s *schedule) charge(cost, rate float64) {
	if math.IsInf(rate, 1) {
		s.tokens = max(0, s.tokensNow(s.Rate)) - cost
	} else {
		s.tokens = s.tokensNow(rate) - cost
	}
	s.tokensAt = s.now
}

// deadline is that of the next call, of n items: each goes on from the one before
// it, and the last one reaches the end of the window, which moves on with time.
func (s *schedule) deadline(n int) float64 {
	if s.StaggerOver == 0 {
		return NoDeadline
	}
	low := s.now + s.StaggerMin.Milliseconds()
	high := low + s.StaggerOver.Milliseconds()
	at := low
	left := math.Ceil(float64(len(s.items)) / float64(n)) // batches, this one too
	if s.stagger >= 0 {
		at = max(low, min(high, s.stagger+int64(math.Round(float64(high-s.stagger)/left))))
	}
	s.stagger = at
	return float64((at - s.now) / 1000)
}
