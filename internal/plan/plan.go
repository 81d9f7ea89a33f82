package plan

import (
	"cmp"
	"errors"
	"math"
)

// Input is what is to be purged, who visits it, and what may be done.
type Input struct {
	// Items are the tags, at least one; their Cost must not be 0 throughout.
	Items []Item
	// Asked is how many tags were asked for, where Collapsed says what became of some;
	// 0: all are Items.
	Asked     int
	Collapsed []Collapsed
	// PagesPerTag is how many pages carry a tag of cost 1, and no other tag of
	// these; a tag of cost c has c times as many. At least 1.
	PagesPerTag float64
	// Traffic's Pages are set from the two.
	Traffic Traffic
	Origin  Origin
	// Headroom is the share of the capacity that a recommended spread leaves free, 0 to below 1.
	Headroom float64
	// Pace is that of the configuration.
	Pace Pace
}

// Way is one way to purge and what it comes to.
type Way struct {
	// Name is one of the constants below.
	Name string `json:"way"`
	// Gently: by invalidate instead of delete.
	Gently bool   `json:"-"`
	Plan   []Call `json:"-"`
	Outcome
}

// The ways, in the order of Plan.Ways.
const (
	AtOnce     = "delete at once"     // as fast as the budget allows
	Configured = "as configured"      // only where the configuration spreads
	Spreading  = "spread calls"       // by the recommended spread; only where one is needed and possible
	Staggered  = "staggered deadline" // by the recommended deadlines; only where they are possible
	Invalidate = "invalidate"         // as fast as the budget allows
)

// Plan is what a purge will do.
type Plan struct {
	Tags int `json:"tags"`
	// Collapsed is what the rules of the configuration made of them first, in order.
	Collapsed []Collapsed `json:"collapsed,omitempty"`

	Pages   float64 `json:"pages"`
	Regions float64 `json:"regions"`
	RPS     float64 `json:"rps"`
	Zipf    float64 `json:"zipf"`
	// Renders is how many renders the purge costs in the end, on every way.
	Renders  float64 `json:"renders"`
	Capacity float64 `json:"origin_capacity"`
	BaseLoad float64 `json:"base_load"`
	// Limit is the highest rate that a recommendation may reach, base load included.
	Limit       float64 `json:"limit_renders_per_second"`
	StepSeconds float64 `json:"step_seconds"`
	Ways        []Way   `json:"ways"`
	// Spread is nil where none is needed (Needed false) or none helps (Obstacle says why).
	Needed   bool      `json:"spread_needed"`
	Spread   *Spread   `json:"spread,omitempty"`
	Obstacle string    `json:"obstacle,omitempty"`
	Deadline *Deadline `json:"-"`
	// Flat is the lowest peak, base load included, that any spread over the time of
	// the recommended one can have; 0 without one.
	Flat float64 `json:"flat_optimum_renders_per_second,omitempty"`
}

// ErrNothing is Make's answer to items that cost nothing: they stand for no page.
var ErrNothing = errors.New("every tag has cost 0 by spread.weights, so it stands for no page: nothing would be rendered")

// Make calculates the plan.
func Make(in Input) (*Plan, error) {
	cost := 0.0
	for _, item := range in.Items {
		cost += item.Cost
	}
	if cost == 0 {
		return nil, ErrNothing
	}
	in.Traffic.Pages = cost * in.PagesPerTag
	j := &job{items: in.Items, cost: cost, traffic: in.Traffic, classes: in.Traffic.classes(), pace: in.Pace}
	p := &Plan{
		Tags: cmp.Or(in.Asked, len(in.Items)), Collapsed: in.Collapsed, Pages: in.Traffic.Pages, Regions: in.Traffic.Regions, RPS: in.Traffic.RPS, Zipf: in.Traffic.Zipf,
		Renders: entries(j.classes), Capacity: in.Origin.Capacity, BaseLoad: in.Origin.BaseLoad,
		Limit: in.Origin.Capacity * (1 - in.Headroom),
	}
	j.limit = p.Limit - p.BaseLoad
	p.choose(j)
	last := lastOnset(p.Ways)
	tail := 3 * p.Renders / p.RPS
	if last > 0 {
		tail = math.Min(tail, last/2)
	}
	horizon := niceCeil(last + tail)
	p.StepSeconds = horizon / seriesPoints
	for i := range p.Ways {
		w := &p.Ways[i]
		w.Outcome = evaluate(j.classes, in.Origin, w.Plan, w.Gently, horizon)
	}
	if w := p.Way(Spreading); w != nil {
		p.Flat = p.BaseLoad + in.Traffic.FlatOptimum(w.DoneSeconds)
	}
	return p, nil
}

// choose sets the ways and the recommendations.
func (p *Plan) choose(j *job) {
	fast := j.pace
	fast.Rate, fast.StaggerOver = 0, 0
	atOnce := fast.Schedule(j.items)
	p.Ways = append(p.Ways, Way{Name: AtOnce, Plan: atOnce})
	if j.pace.Rate > 0 || j.pace.StaggerOver > 0 {
		p.Ways = append(p.Ways, Way{Name: Configured, Plan: j.pace.Schedule(j.items)})
	}
	all, _ := onsets(atOnce, false)
	if p.Needed = peak(j.classes, all) > j.limit; p.Needed {
		p.Spread, p.Obstacle = j.spreadFor()
	}
	if p.Spread != nil {
		p.Ways = append(p.Ways, Way{Name: Spreading, Plan: p.Spread.Apply(j.pace).Schedule(j.items)})
	}
	if p.Deadline = j.deadlineFor(); p.Deadline != nil {
		p.Ways = append(p.Ways, Way{Name: Staggered, Plan: p.Deadline.Apply(j.pace).Schedule(j.items)})
	}
	p.Ways = append(p.Ways, Way{Name: Invalidate, Gently: true, Plan: atOnce})
}

// Way returns the way of that name, or nil.
func (p *Plan) Way(name string) *Way {
	for i := range p.Ways {
		if p.Ways[i].Name == name {
			return &p.Ways[i]
		}
	}
	return nil
}
