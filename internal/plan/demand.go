package plan

import (
	"cmp"
	"math"
	"slices"
)

// onset is when a share of all entries begins to ask for renders: each at its
// next visit. Aged entries had that chance before: only those that nobody has
// visited for Age seconds are left.
type onset struct {
	at, share, age float64
}

// onsets are when the calls make the origin render at all, and when somebody
// waits for it: never if gently (invalidate), else from the deadline on.
func onsets(calls []Call, gently bool) (all, waited []onset) {
	total := totalCost(calls)
	for _, c := range calls {
		if c.Cost == 0 {
			continue
		}
		o := onset{at: c.At, share: c.Cost / total}
		all = append(all, o)
		if gently {
			continue
		}
		if c.Deadline != NoDeadline {
			o.at, o.age = c.At+c.Deadline, c.Deadline
		}
		waited = append(waited, o)
	}
	byTime := func(a, b onset) int { return cmp.Compare(a.at, b.at) }
	slices.SortStableFunc(all, byTime)
	slices.SortStableFunc(waited, byTime)
	return all, waited
}

func totalCost(calls []Call) float64 {
	total := 0.0
	for _, c := range calls {
		total += c.Cost
	}
	return total
}

// demand is how many entries of each class await their next visit, which makes
// the origin render them: a visit is a Poisson event, so they decay exponentially.
type demand struct {
	classes []class
	left    []float64
}

func newDemand(classes []class) *demand { return &demand{classes, make([]float64, len(classes))} }

// add lets an onset happen now.
func (d *demand) add(o onset) {
	for i, c := range d.classes {
		d.left[i] += o.share * c.entries * math.Exp(-c.rate*o.age)
	}
}

// rate is renders a second now.
func (d *demand) rate() float64 {
	sum := 0.0
	for i, c := range d.classes {
		sum += d.left[i] * c.rate
	}
	return sum
}

// waiting is how many entries have not been rendered yet.
func (d *demand) waiting() float64 {
	sum := 0.0
	for _, n := range d.left {
		sum += n
	}
	return sum
}

// pass lets seconds pass. It answers how many entries were rendered, and how many
// requests a second come to all of those together.
func (d *demand) pass(seconds float64) (renders, requests float64) {
	for i, c := range d.classes {
		n := -d.left[i] * math.Expm1(-c.rate*seconds)
		d.left[i] -= n
		renders += n
		requests += n * c.rate
	}
	return renders, requests
}

// peak is the highest rate of renders, in renders a second. Between onsets the
// rate only falls, so it is found right after one of them.
func peak(classes []class, all []onset) float64 {
	d := newDemand(classes)
	highest, now := 0.0, 0.0
	for _, o := range all {
		if o.at > now {
			highest = max(highest, d.rate())
			d.pass(o.at - now)
			now = o.at
		}
		d.add(o)
	}
	return max(highest, d.rate())
}

// optimumSteps is into how many steps FlatOptimum cuts the time.
const optimumSteps = 4000

// FlatOptimum is the lowest peak, in renders a second, that any way to spread the
// deletions over so many seconds can have: as much at once as brings the rate to
// the peak, then just what keeps it there until the last one.
//
// Visited equally often, N entries with λ visits a second each have it at
// N / (seconds + 1/λ): at the end the rate is λ × what is left, so no more than
// peak/λ is left, and no more than peak × seconds was rendered before.
func (t Traffic) FlatOptimum(seconds float64) float64 {
	classes := t.classes()
	if len(classes) == 1 {
		return classes[0].entries / (seconds + 1/classes[0].rate)
	}
	// The shares that hold the rate at 1; all of them together are 1/peak.
	d := newDemand(classes)
	sum := 0.0
	for i := range optimumSteps + 1 {
		if i > 0 {
			d.pass(seconds / optimumSteps)
		}
		share := (1 - d.rate()) / t.RPS
		d.add(onset{share: share})
		sum += share
	}
	return 1 / sum
}
