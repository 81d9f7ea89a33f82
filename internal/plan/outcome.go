package plan

import "math"

// Origin is what renders the pages.
type Origin struct {
	// Capacity is renders a second that it can do, above 0.
	Capacity float64
	// BaseLoad is renders a second that it does anyway, 0 or more.
	BaseLoad float64
	// RenderSeconds is how long one takes when none waits.
	RenderSeconds float64
}

// Outcome is what one way of purging comes to.
type Outcome struct {
	Calls int `json:"calls"`
	// DoneSeconds is when the last call goes.
	DoneSeconds float64 `json:"done_seconds"`
	// Peak is the origin's highest rate, base load included; PeakWaited the part
	// that a visitor waits for, at its own highest, without the base load.
	Peak       float64 `json:"peak_renders_per_second"`
	PeakWaited float64 `json:"peak_waited_renders_per_second"`
	// OverSeconds is how long more is asked of the origin than it can do.
	OverSeconds float64 `json:"over_capacity_seconds"`
	// LongestWaitSeconds is how long a render takes at worst, waiting included.
	LongestWaitSeconds float64 `json:"longest_render_seconds"`
	// WaitingVisits are requests that wait for a render, StaleVisits those that are
	// answered with an old page.
	WaitingVisits float64 `json:"waiting_visits"`
	StaleVisits   float64 `json:"stale_visits"`
	// FreshSeconds is when 99 % of the entries no longer answer with the old page.
	FreshSeconds float64 `json:"fresh_99_percent_seconds"`
	// StaleMaxSeconds is when the last of them does; nil: there is no bound.
	StaleMaxSeconds *float64 `json:"stale_max_seconds"`
	// Series are the rates over the plan's time, in steps of Plan.StepSeconds.
	Series []Point `json:"series"`
}

// Point is the highest rates, in renders a second, within one step.
type Point struct {
	Renders float64 `json:"renders_per_second"` // base load included
	Waited  float64 `json:"waited_renders_per_second"`
}

const (
	seriesPoints = 240
	finePoints   = 10 // steps of the calculation within one of the series
	freshShare   = 0.99
)

// evaluate follows the calls until everything is rendered, and the rates until horizon.
func evaluate(classes []class, o Origin, calls []Call, gently bool, horizon float64) Outcome {
	all, waited := onsets(calls, gently)
	r := run{
		origin: o, all: newDemand(classes), waited: newDemand(classes), step: horizon / seriesPoints,
		out: Outcome{
			Calls: len(calls), Peak: o.BaseLoad + peak(classes, all), PeakWaited: peak(classes, waited), FreshSeconds: math.NaN(),
			Series: make([]Point, seriesPoints),
		},
	}
	for _, c := range classes {
		r.entries += c.entries
		r.rps += c.entries * c.rate
	}
	for _, c := range calls {
		r.out.DoneSeconds = c.At // in order
	}
	if !gently {
		r.out.StaleMaxSeconds = new(float64)
		for _, w := range waited {
			*r.out.StaleMaxSeconds = max(*r.out.StaleMaxSeconds, w.at)
		}
	}
	for _, c := range all {
		r.out.StaleVisits += c.share * r.rps * c.at
	}
	r.follow(all, waited, horizon)
	return r.out
}

// run is the state of edge and origin while the calls are followed.
type run struct {
	origin       Origin
	all, waited  *demand
	entries, rps float64
	called       float64 // share of the entries whose call was made
	now, queue   float64 // renders that wait for the origin
	step         float64
	out          Outcome
}

// follow walks along the calls, and a fine grid between them.
func (r *run) follow(all, waited []onset, horizon float64) {
	fine := r.step / finePoints
	for step := 1; ; step++ {
		end := float64(step) * fine
		if end > 2*horizon { // ever longer steps, for what comes late is slow
			fine *= 1.1
			end = r.now + fine
		}
		for (len(all) > 0 && all[0].at <= end) || (len(waited) > 0 && waited[0].at <= end) {
			if len(waited) == 0 || len(all) > 0 && all[0].at <= waited[0].at {
				r.pass(all[0].at)
				r.all.add(all[0])
				r.called += all[0].share
				all = all[1:]
			} else {
				r.pass(waited[0].at)
				r.waited.add(waited[0])
				waited = waited[1:]
			}
			r.note()
		}
		r.pass(end)
		r.note()
		if len(all)+len(waited) == 0 && r.isOver() {
			r.rest()
			return
		}
	}
}

// isOver reports whether nothing of interest follows.
func (r *run) isOver() bool {
	calm := r.queue == 0 && r.origin.BaseLoad+r.all.rate() <= r.origin.Capacity
	return r.out.hasSeries(r.now, r.step) && !math.IsNaN(r.out.FreshSeconds) && (calm || r.origin.BaseLoad >= r.origin.Capacity) || r.now > 1e12
}

func (o *Outcome) hasSeries(now, step float64) bool { return now >= step*float64(len(o.Series)) }

// pass goes on to a later time.
func (r *run) pass(until float64) {
	dt := until - r.now
	if dt <= 0 {
		return
	}
	o := r.origin
	renders, requests := r.all.pass(dt)
	waited, waiting := r.waited.pass(dt)
	load := o.BaseLoad*dt + renders
	if load > o.Capacity*dt {
		r.out.OverSeconds += dt
	}
	before := r.queue
	r.queue = max(0, r.queue+load-o.Capacity*dt)
	wait := o.RenderSeconds + (before+r.queue)/2/o.Capacity
	r.out.LongestWaitSeconds = max(r.out.LongestWaitSeconds, o.RenderSeconds+r.queue/o.Capacity)
	// The visit that begins a render, and those that come before it ends.
	r.out.WaitingVisits += waited + waiting*wait
	r.out.StaleVisits += (renders - waited) + (requests-waiting)*wait
	r.now = until
}

// note writes down what is so now.
func (r *run) note() {
	if i := int(r.now / r.step); i < len(r.out.Series) {
		p := &r.out.Series[i]
		p.Renders = max(p.Renders, r.origin.BaseLoad+r.all.rate())
		p.Waited = max(p.Waited, r.waited.rate())
	}
	old := (1-r.called)*r.entries + r.all.waiting() - r.waited.waiting()
	if math.IsNaN(r.out.FreshSeconds) && old <= (1-freshShare)*r.entries {
		r.out.FreshSeconds = r.now
	}
}

// rest is what is still to be rendered, in its own good time.
func (r *run) rest() {
	renders, requests := r.all.pass(math.Inf(1))
	waited, waiting := r.waited.pass(math.Inf(1))
	r.out.WaitingVisits += waited + waiting*r.origin.RenderSeconds
	r.out.StaleVisits += (renders - waited) + (requests-waiting)*r.origin.RenderSeconds
}

// lastOnset is when the last entries of all ways begin to be rendered.
func lastOnset(ways []Way) float64 {
	last := 0.0
	for _, w := range ways {
		all, waited := onsets(w.Plan, w.Gently)
		for _, o := range append(all, waited...) {
			last = max(last, o.at)
		}
	}
	return last
}
