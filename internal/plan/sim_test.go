package plan

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// site is a simulated edge and origin: every visit is an event of its own, every
// entry a cached copy with a state. It knows nothing of rates and exponentials.
type site struct {
	random  *rand.Rand
	pages   int // of one tag
	tags    int
	regions int
	rps     float64
	popular []float64 // cumulated share of each page's visits, nil for all alike
	render  float64   // seconds

	copies []entry // by page × region
	// what was seen
	renders, waited []float64 // when each began; waited: those that somebody waits for
	waits, stale    float64   // visits
}

// entry is the copy of one page in one region.
type entry struct {
	purged   int     // tag's call that the copy has seen; 0 none
	rendered float64 // until when a render is under way
	awaited  bool
}

// purgedTag is what the API was told of a tag: when, and from when on its old copies are gone.
type purgedTag struct{ at, hard float64 }

// visit is one request.
func (s *site) visit(now float64, page, region int, told purgedTag) {
	e := &s.copies[page*s.regions+region]
	switch {
	case now < told.at:
		s.stale++
	case now < e.rendered: // collapsed into the render that is under way
		if e.awaited {
			s.waits++
		} else {
			s.stale++
		}
	case e.purged == 0:
		e.purged, e.rendered, e.awaited = 1, now+s.render, now >= told.hard
		s.renders = append(s.renders, now)
		if e.awaited {
			s.waited = append(s.waited, now)
			s.waits++
		} else {
			s.stale++
		}
	}
}

// run lets visits come until end.
func (s *site) run(calls []Call, gently bool, end float64) {
	var told []purgedTag
	for _, c := range calls {
		t := purgedTag{c.At, c.At + max(0, c.Deadline)}
		if gently {
			t.hard = 1e300
		}
		told = append(told, slices.Repeat([]purgedTag{t}, c.Items)...)
	}
	s.copies = make([]entry, s.tags*s.pages*s.regions)
	shuffled := s.random.Perm(s.tags * s.pages) // popularity has nothing to do with tags
	for now := s.random.ExpFloat64() / s.rps; now < end; now += s.random.ExpFloat64() / s.rps {
		page := s.random.IntN(s.tags * s.pages)
		if s.popular != nil {
			page, _ = slices.BinarySearch(s.popular, s.random.Float64())
			page = shuffled[min(page, len(shuffled)-1)]
		}
		s.visit(now, page, s.random.IntN(s.regions), told[page/s.pages])
	}
}

// busiest is the highest number of events in a window of that many seconds, a second.
func busiest(events []float64, window float64) float64 {
	most, first := 0, 0
	for i := range events {
		for events[i]-events[first] > window {
			first++
		}
		most = max(most, i-first+1)
	}
	return float64(most) / window
}

func popularity(pages int, zipf float64) []float64 {
	if zipf == 0 {
		return nil
	}
	shares := make([]float64, pages)
	sum := 0.0
	for k := range shares {
		sum += powerSum(float64(k+1), float64(k+2), zipf)
		shares[k] = sum
	}
	for k := range shares {
		shares[k] /= sum
	}
	return shares
}

// The model's figures are those of simulated visits, within 10 %; the peak over
// windows in which chance is worth a few percent.
func TestModel_AgreesWithSimulation(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(in *Input)
		window float64
	}{
		"the issue's example": {func(*Input) {}, 60},
		"popular pages":       {func(in *Input) { in.Traffic.Zipf = 0.9 }, 60},
		"a visit a minute": {func(in *Input) {
			in.Items, in.PagesPerTag, in.Traffic.RPS, in.Traffic.Regions = numbered(400), 50, 3000, 10
			in.Origin.Capacity = 300
		}, 6},
		"no budget": {func(in *Input) {
			in.Items, in.Pace.Calls, in.Traffic.RPS, in.Origin.Capacity = numbered(4000), 0, 1000, 200
		}, 10},
		"configured": {func(in *Input) {
			in.Pace.Rate, in.Pace.Burst, in.Pace.MaxDelay = 0.5, 100, 0
		}, 60},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := example()
			c.change(&in)
			p, err := Make(in)
			require.NoError(t, err)
			for _, w := range p.Ways {
				s := &site{
					random: rand.New(rand.NewPCG(1, 2)), tags: len(in.Items), pages: int(in.PagesPerTag), regions: int(in.Traffic.Regions),
					rps: in.Traffic.RPS, popular: popularity(int(p.Pages), in.Traffic.Zipf), render: in.Origin.RenderSeconds,
				}
				end := p.StepSeconds * seriesPoints
				if w.OverSeconds > 0 { // what follows the last call is of no interest
					end = lastOnset([]Way{w}) + c.window
				}
				s.run(w.Plan, w.Gently, end)
				assert.InEpsilon(t, w.Peak, busiest(s.renders, c.window), 0.1, "%s: peak", w.Name)
				if w.PeakWaited > 0 {
					assert.InEpsilon(t, w.PeakWaited, busiest(s.waited, c.window), 0.1, "%s: peak of those that somebody waits for", w.Name)
				} else {
					assert.Empty(t, s.waited, w.Name)
				}
				if w.OverSeconds > 0 || float64(len(s.renders)) < 0.95*p.Renders {
					continue // the simulated origin has no capacity, or not all of it was seen
				}
				assert.InEpsilon(t, w.WaitingVisits+1, s.waits+1, 0.1, "%s: visits that wait", w.Name)
				assert.InEpsilon(t, w.StaleVisits+1, s.stale+1, 0.1, "%s: visits to old pages", w.Name)
			}
		})
	}
}
