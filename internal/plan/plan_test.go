package plan

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func numbered(n int) []Item {
	items := make([]Item, n)
	for i := range items {
		items[i] = Item{Bytes: 19, Cost: 1}
	}
	return items
}

// example is that of issue 5, with the default settings.
func example() Input {
	return Input{
		Items: numbered(2000), PagesPerTag: 15, Headroom: 0.1,
		Traffic: Traffic{Regions: 18, RPS: 400},
		Origin:  Origin{Capacity: 50, RenderSeconds: 0.5},
		Pace:    defaultPace(),
	}
}

func defaultPace() Pace {
	return Pace{
		Calls: 5, Per: time.Minute, Reserve: 1, InFlight: 4, MaxItems: 16, Full: 16,
		Linger: time.Second, MaxDelay: 15 * time.Minute, Burst: 1, CallTime: 200 * time.Millisecond,
	}
}

func names(p *Plan) []string {
	var found []string
	for _, w := range p.Ways {
		found = append(found, w.Name)
	}
	return found
}

func TestMake_Example(t *testing.T) {
	t.Parallel()
	p, err := Make(example())
	require.NoError(t, err)
	assert.Equal(t, []string{AtOnce, Spreading, Staggered, Invalidate}, names(p))
	assert.InDelta(t, 540_000, p.Renders, 1e-6)
	atOnce, spread, staggered, gently := p.Way(AtOnce), p.Way(Spreading), p.Way(Staggered), p.Way(Invalidate)

	// 125 calls at 4 a minute, for one of 5 is kept: 31 windows after the first.
	for _, w := range []*Way{atOnce, staggered, gently} {
		assert.Equal(t, 125, w.Calls, w.Name)
		assert.InDelta(t, 31*60, w.DoneSeconds, 10, w.Name)
		assert.InDelta(t, atOnce.Peak, w.Peak, 1e-9, "%s: whoever waits, the first visit makes the origin render", w.Name)
	}
	assert.Greater(t, atOnce.Peak, 4*p.Capacity)
	assert.Positive(t, atOnce.OverSeconds)
	assert.InDelta(t, atOnce.DoneSeconds, *atOnce.StaleMaxSeconds, 1e-9)

	assert.LessOrEqual(t, spread.Peak, p.Limit)
	assert.Zero(t, spread.OverSeconds)
	assert.LessOrEqual(t, spread.Peak, 1.1*p.Flat)
	assert.InDelta(t, 0.5, spread.LongestWaitSeconds, 1e-9)
	assert.InDelta(t, p.Renders, spread.WaitingVisits, p.Renders/1000)

	assert.LessOrEqual(t, staggered.PeakWaited, p.Limit)
	assert.Less(t, staggered.WaitingVisits, atOnce.WaitingVisits)
	assert.Zero(t, gently.WaitingVisits)
	assert.Nil(t, gently.StaleMaxSeconds)
}

// The promise of the issue, for whatever is purged: at most 1.1 times what no
// spread over the same time can go below, and below the limit.
func TestSpread_NearTheFlatOptimum(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := example()
		in.Items = numbered(rapid.IntRange(500, 5000).Draw(t, "tags"))
		in.PagesPerTag = float64(rapid.IntRange(1, 50).Draw(t, "pages"))
		in.Traffic.Regions = float64(rapid.IntRange(1, 30).Draw(t, "regions"))
		in.Traffic.RPS = rapid.Float64Range(20, 2000).Draw(t, "rps")
		in.Origin.Capacity = in.Traffic.RPS * rapid.Float64Range(0.05, 0.5).Draw(t, "capacity")
		// Neither the budget nor a wait for company decides how fast it goes.
		in.Pace.Calls, in.Pace.InFlight, in.Pace.Linger = rapid.SampledFrom([]int{0, 2000}).Draw(t, "budget"), 100, 0
		p, err := Make(in)
		if err != nil {
			t.Fatal(err)
		}
		w := p.Way(Spreading)
		if w == nil {
			// As slowly as spread.rate goes, for ever: what is rendered each second.
			if slowest := lowestRate * p.Renders / float64(p.Tags); p.Needed && slowest < 0.9*p.Limit {
				t.Fatalf("no spread: %s", p.Obstacle)
			}
			return
		}
		if w.Peak > p.Limit || w.Peak > 1.1*p.Flat {
			t.Fatalf("peak %g, limit %g, flat %g: %+v, done after %g", w.Peak, p.Limit, p.Flat, *p.Spread, w.DoneSeconds)
		}
	})
}

func TestMake_WithoutASpread(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change   func(in *Input)
		needed   bool
		obstacle string
	}{
		"the visits are fewer": {func(in *Input) { in.Traffic.RPS = 40 }, false, ""},
		"the budget is slow":   {func(in *Input) { in.Origin.Capacity = 250 }, false, ""},
		"one tag is too much":  {func(in *Input) { in.Items = numbered(3) }, true, "the pages of one tag are visited 133 times a second"},
		"the slowest is too fast": {func(in *Input) {
			in.Items, in.PagesPerTag, in.Traffic.Regions, in.Traffic.RPS, in.Origin.Capacity = numbered(500), 47, 30, 20, 1.4
		}, true, "even one tag after the other, as slowly as spread.rate goes"},
		"the base load is too much": {func(in *Input) { in.Origin.BaseLoad = 46 }, true, "base load leaves the origin no capacity"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := example()
			c.change(&in)
			p, err := Make(in)
			require.NoError(t, err)
			assert.Equal(t, c.needed, p.Needed)
			assert.Nil(t, p.Spread)
			assert.Nil(t, p.Way(Spreading))
			assert.Contains(t, p.Obstacle, c.obstacle)
			assert.NotEmpty(t, p.Advice())
			assert.NotEmpty(t, p.Headline())
		})
	}
}

func TestMake_BaseLoadAndBatch(t *testing.T) {
	t.Parallel()
	in := example()
	in.Origin.BaseLoad = 35
	p, err := Make(in)
	require.NoError(t, err)
	w := p.Way(Spreading)
	assert.LessOrEqual(t, w.Peak, p.Limit)
	assert.Greater(t, w.Peak, 0.9*p.Limit)
	assert.InDelta(t, 35, w.Series[len(w.Series)-1].Renders, 5, "in the end the base load is left")
	assert.Positive(t, p.Spread.MaxTags, "16 tags at once ask for more than a tenth of what is left")
	assert.Less(t, p.Spread.MaxTags, 16)
	assert.Greater(t, w.Calls, p.Way(AtOnce).Calls)
}

// Where the budget decides the pace, batches are no smaller than they must be.
func TestMake_BatchUnderABudget(t *testing.T) {
	t.Parallel()
	in := example()
	in.Items, in.PagesPerTag, in.Traffic.Regions, in.Traffic.RPS, in.Origin.Capacity = numbered(500), 3, 3, 1000, 20
	p, err := Make(in)
	require.NoError(t, err)
	w := p.Way(Spreading)
	assert.LessOrEqual(t, w.Peak, p.Limit)
	assert.Greater(t, p.Spread.MaxTags, 1, "one tag brings 2 renders a second of 18")
	assert.Less(t, w.DoneSeconds, 0.6*7200, "one tag a call, 4 calls a minute, would take two hours")
}

func TestMake_NothingCosts(t *testing.T) {
	t.Parallel()
	in := example()
	in.Items = []Item{{Bytes: 3}}
	_, err := Make(in)
	assert.ErrorIs(t, err, ErrNothing)
}

// A tag that costs more stands for more pages.
func TestMake_Costs(t *testing.T) {
	t.Parallel()
	in := example()
	in.Items[7].Cost = 501
	p, err := Make(in)
	require.NoError(t, err)
	assert.InDelta(t, 2500*15, p.Pages, 1e-6)
}

func TestFlatOptimum(t *testing.T) {
	t.Parallel()
	uniform := Traffic{Pages: 30_000, Regions: 18, RPS: 400}
	assert.InDelta(t, 400, uniform.FlatOptimum(0), 1e-9, "all at once: every visit renders")
	assert.InDelta(t, 540_000.0/(1350+8650), uniform.FlatOptimum(8650), 1e-9)
	popular := uniform
	popular.Zipf = 1e-12 // as good as uniform, by the other way of calculating
	assert.InEpsilon(t, uniform.FlatOptimum(8650), popular.FlatOptimum(8650), 0.001)
	popular.Zipf = 1
	assert.Less(t, popular.FlatOptimum(8650), uniform.FlatOptimum(8650), "cold pages are rendered later")
}

// Nothing that is tried over the same time has a lower peak.
func TestFlatOptimum_IsABound(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		traffic := Traffic{
			Pages: 1000, Regions: 3, RPS: rapid.Float64Range(1, 300).Draw(t, "rps"),
			Zipf: rapid.SampledFrom([]float64{0, 0.7, 1.2}).Draw(t, "zipf"),
		}
		seconds := rapid.Float64Range(1, 1000).Draw(t, "seconds")
		n := rapid.IntRange(1, 30).Draw(t, "calls")
		var calls []Call
		for i := range n {
			calls = append(calls, Call{At: seconds * float64(i) / float64(n), Cost: rapid.Float64Range(0.1, 5).Draw(t, fmt.Sprint(i))})
		}
		all, _ := onsets(calls, false)
		if got, bound := peak(traffic.classes(), all), traffic.FlatOptimum(seconds); got < 0.99*bound {
			t.Fatalf("peak %g below the bound %g", got, bound)
		}
	})
}

func TestClasses(t *testing.T) {
	t.Parallel()
	for _, zipf := range []float64{0, 0.5, 1, 1.7} {
		for _, pages := range []float64{1, 2, 40, 30_000, 1e9} {
			all := Traffic{Pages: pages, Regions: 18, RPS: 400, Zipf: zipf}.classes()
			entries, rps := 0.0, 0.0
			for i, c := range all {
				entries += c.entries
				rps += c.entries * c.rate
				if i > 0 {
					assert.LessOrEqual(t, c.rate, all[i-1].rate, "most popular first")
				}
			}
			assert.InEpsilon(t, pages*18, entries, 1e-9)
			assert.InEpsilon(t, 400, rps, 1e-9)
		}
	}
	first := Traffic{Pages: 30_000, Regions: 1, RPS: 400, Zipf: 1}.classes()[0]
	assert.InEpsilon(t, 400/10.8862, first.rate, 1e-3, "the harmonic number of 30,000")
}

func TestDemand(t *testing.T) {
	t.Parallel()
	d := newDemand([]class{{entries: 1000, rate: 0.1}})
	d.add(onset{share: 0.5})
	assert.InDelta(t, 50, d.rate(), 1e-9)
	renders, requests := d.pass(10)
	assert.InDelta(t, 500*(1-1/2.718281828), renders, 1e-6)
	assert.InDelta(t, renders*0.1, requests, 1e-9)
	assert.InDelta(t, 50/2.718281828, d.rate(), 1e-6)
	d.add(onset{share: 0.5, age: 10})
	assert.InDelta(t, 100/2.718281828, d.rate(), 1e-6, "aged entries were visited before")
}

func TestOutcome_Overload(t *testing.T) {
	t.Parallel()
	// 1,000 entries, one visit a second each, all deleted at once, and 100 renders a
	// second: the origin has all of them after some 10 s.
	o := evaluate([]class{{1000, 1}}, Origin{Capacity: 100, RenderSeconds: 0.1}, []Call{{Items: 1, Cost: 1, Deadline: NoDeadline}}, false, 20)
	assert.InDelta(t, 1000, o.Peak, 1e-9)
	assert.InDelta(t, 2.3, o.OverSeconds, 0.1, "until 1000·e^-t is 100")
	// In line then: 1000 − 100 − 100·2.3.
	assert.InDelta(t, 0.1+6.7, o.LongestWaitSeconds, 0.1)
	assert.Zero(t, o.StaleVisits)
	assert.Zero(t, o.FreshSeconds)
	assert.Greater(t, o.WaitingVisits, 3000.0, "reloads come while the first visit waits")
	assert.InDelta(t, 1000, o.Series[0].Renders, 1e-9)
	assert.InDelta(t, 1000, o.Series[0].Waited, 1e-9)
}

func TestOutcome_Gently(t *testing.T) {
	t.Parallel()
	o := evaluate([]class{{1000, 1}}, Origin{Capacity: 2000, RenderSeconds: 0.1}, []Call{{At: 2, Items: 1, Cost: 1, Deadline: NoDeadline}}, true, 20)
	assert.InDelta(t, 2*1000+1000+0.1*1000, o.StaleVisits, 1, "before the call; the first visit; while it is rendered")
	assert.Zero(t, o.WaitingVisits)
	assert.Nil(t, o.StaleMaxSeconds)
	assert.InDelta(t, 2+4.6, o.FreshSeconds, 0.1, "e^-4.6 is 1 %")
	assert.Zero(t, o.OverSeconds)
}
