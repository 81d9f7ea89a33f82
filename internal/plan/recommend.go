package plan

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Spread is what edgepurge.yaml should say so that deletions stay below the limit.
type Spread struct {
	// Rate and Burst are in cost a second and cost, as spread.rate and spread.burst.
	Rate  float64 `json:"rate"`
	Burst float64 `json:"burst"`
	// MaxDelay does not raise the rate of this plan; 0: none can be as long as it takes.
	MaxDelay time.Duration `json:"-"`
	// MaxTags is the batch.max_tags that goes with it; 0: that of the configuration.
	MaxTags int `json:"max_tags,omitempty"`
}

// Apply is a pace with this spread in place of its own.
func (s Spread) Apply(p Pace) Pace {
	p.Rate, p.Burst, p.MaxDelay = s.Rate, s.Burst, s.MaxDelay
	p.StaggerMin, p.StaggerOver = 0, 0
	if s.MaxTags > 0 {
		p.MaxItems, p.MaxBytes, p.Full = s.MaxTags, 0, s.MaxTags
	}
	return p
}

// Deadline is spread.deadline.
type Deadline struct{ Min, Over time.Duration }

// Apply is a pace with these deadlines and no other spread.
func (d Deadline) Apply(p Pace) Pace {
	p.Rate, p.StaggerMin, p.StaggerOver = 0, d.Min, d.Over
	return p
}

const (
	// batchShare is how much of the limit one call's pages may ask for before smaller
	// batches are tried: the rate jumps by that with each call, and half of it is above the mean.
	batchShare = 0.1
	// worthSmaller is how much earlier a smaller batch must be done: it costs more calls.
	worthSmaller = 0.98
	// maxTags is how many tags a call in the form array may hold.
	maxTags = 16
	// maxDelayLimit is the highest spread.max_delay that the configuration takes.
	maxDelayLimit = 720 * time.Hour
	// lowestRate is the lowest spread.rate that the configuration takes.
	lowestRate = 0.001
	searches   = 16 // halvings: finer than three digits
	// burstShares is into how many steps the bursts are cut that are tried.
	burstShares = 12
)

// job is what is purged, by whose visits.
type job struct {
	items   []Item
	cost    float64 // of all items
	traffic Traffic
	classes []class
	pace    Pace
	limit   float64 // renders a second that the purge may cause
}

// spreadFor finds the fastest spread whose deletions stay below the limit, or says
// why there is none.
//
// A bucket of cost × limit/RPS lets go at once what brings the renders to the
// limit; the rate then replaces what is rendered: see FlatOptimum. Where whole
// batches, the budget's window or the pages' popularity make that overshoot, a
// smaller bucket with a higher rate may be done earlier.
func (j *job) spreadFor() (*Spread, string) {
	if j.limit <= 0 {
		return nil, "the base load leaves the origin no capacity for a purge"
	}
	jump := j.traffic.RPS / j.cost // by the visits to the pages of one item of cost 1
	if jump*j.dearest() > j.limit {
		return nil, fmt.Sprintf("the pages of one tag are visited %s times a second, so no spread of whole tags keeps the origin below the limit",
			Short(jump*j.dearest()))
	}
	var s Spread
	done := math.Inf(1)
	for _, size := range j.sizes(jump) {
		if t, at := j.fastestOf(size, jump); at < done*worthSmaller {
			done, s = at, t
		}
	}
	if math.IsInf(done, 1) {
		return nil, "even one tag after the other, as slowly as spread.rate goes, asks for more than the limit"
	}
	if longest := max(j.cost/s.Rate, done) * 1.05; longest <= maxDelayLimit.Seconds() {
		s.MaxDelay = ceilTo(longest, time.Minute)
	}
	return &s, ""
}

// sizes are the batches to try, largest first: 0 is that of the configuration.
// Smaller ones only where that one's pages ask for more than batchShare of the limit.
func (j *job) sizes(jump float64) []int {
	sizes := []int{0}
	smallest := max(1, int(j.limit*batchShare/jump))
	for n := smallest; float64(n) < j.batch() && n <= maxTags; n *= 2 {
		sizes = slices.Insert(sizes, 1, n)
	}
	return sizes
}

// fastestOf finds the spread that is done first with batches of that size, and when
// it is.
func (j *job) fastestOf(size int, jump float64) (best Spread, done float64) {
	batch := float64(size)
	if size == 0 {
		batch = j.batch()
	}
	done = math.Inf(1)
	for i := range burstShares + 1 {
		t := Spread{MaxTags: size}
		t.Burst = math.Floor(max(1, j.limit/jump*float64(i)/burstShares-batch/2))
		if at := j.fastest(&t); at < done {
			best, done = t, at
		}
	}
	return best, done
}

// fastest sets the highest rate that keeps the spread below the limit, and answers
// when its last call goes; +Inf if no rate does.
func (j *job) fastest(s *Spread) float64 {
	try := func(rate float64) []Call {
		s.Rate = max(lowestRate, floor3(rate))
		return s.Apply(j.pace).Schedule(j.items)
	}
	highest := 2 * j.limit * j.cost / entries(j.classes)
	share := search(func(x float64) bool {
		all, _ := onsets(try(x*highest), false)
		return peak(j.classes, all) <= j.limit
	})
	calls := try(share * highest)
	if all, _ := onsets(calls, false); peak(j.classes, all) > j.limit {
		return math.Inf(1)
	}
	return calls[len(calls)-1].At
}

// batch is the cost of a full call.
func (j *job) batch() float64 {
	_, cost := (&schedule{Pace: j.pace, items: j.items}).batch()
	return cost
}

func (j *job) dearest() float64 {
	most := 0.0
	for _, item := range j.items {
		most = max(most, item.Cost)
	}
	return most
}

// firstDeadline leaves visitors some seconds to have the commonest pages refreshed.
const firstDeadline = 10 * time.Second

// deadlineFor finds the shortest window of deadlines over which visitors wait for
// no more renders than the limit. The origin's own peak is none of its concern.
func (j *job) deadlineFor() *Deadline {
	fits := func(over time.Duration) bool {
		_, waited := onsets(Deadline{firstDeadline, over}.Apply(j.pace).Schedule(j.items), false)
		return peak(j.classes, waited) <= j.limit
	}
	const longest = 365*24*time.Hour - firstDeadline
	if j.limit <= 0 || !fits(longest) {
		return nil
	}
	low, high := time.Second, longest
	if fits(low) {
		return &Deadline{firstDeadline, time.Minute}
	}
	for high-low > time.Second {
		if middle := low + (high-low)/2; fits(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return &Deadline{firstDeadline, min(longest, ceilTo(high.Seconds(), time.Minute))}
}

// search finds the highest x up to 1 that is right, if what is below one that is right is too.
func search(right func(x float64) bool) float64 {
	if right(1) {
		return 1
	}
	low, high := 0.0, 1.0
	for range searches {
		if middle := (low + high) / 2; right(middle) {
			low = middle
		} else {
			high = middle
		}
	}
	return low
}

func entries(classes []class) float64 {
	sum := 0.0
	for _, c := range classes {
		sum += c.entries
	}
	return sum
}

// floor3 rounds down to three digits.
func floor3(x float64) float64 {
	if x <= 0 {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(x))-2)
	return math.Floor(x/unit*(1+1e-12)) * unit
}

func ceilTo(seconds float64, unit time.Duration) time.Duration {
	return time.Duration(math.Ceil(seconds/unit.Seconds())) * unit
}
