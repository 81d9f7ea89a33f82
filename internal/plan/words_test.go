package plan

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestShort(t *testing.T) {
	t.Parallel()
	for x, want := range map[float64]string{
		0: "0", 0.00074074: "0.000741", 0.5: "0.5", 1: "1", 44.8188: "44.8", 99.96: "100", 219.8: "220", 1999: "1,999", 540000: "540,000", 1234567: "1,234,567",
	} {
		assert.Equal(t, want, Short(x), x)
	}
}

func TestSummary_OneOfEach(t *testing.T) {
	t.Parallel()
	p := Plan{Tags: 1, Pages: 1, Regions: 1, Renders: 1, RPS: 1, Capacity: 1}
	assert.Equal(t, "1 tag, 1 page in 1 region: 1 render in the end. 1 visit a second, every page alike; the origin can do 1 render a second.", p.Summary())
	p = Plan{Tags: 2, Pages: 3000, Regions: 18, Renders: 54000, RPS: 0.5, Capacity: 50, Zipf: 1}
	assert.Equal(t, "2 tags, 3,000 pages in 18 regions: 54,000 renders in the end. 0.5 visits a second, popularity by Zipf 1; the origin can do 50 renders a second.", p.Summary())
}

func TestAbout(t *testing.T) {
	t.Parallel()
	for x, want := range map[float64]string{0: "0", 99.4: "99.4", 540_200: "540,000", 1_834_768: "1,830,000", 9_999_999: "10,000,000"} {
		assert.Equal(t, want, About(x), x)
	}
}

func TestSpan(t *testing.T) {
	t.Parallel()
	for x, want := range map[float64]string{
		0.5: "500ms", 59: "59s", 60: "1m", 1866.2: "31m6s", 11281: "3h8m", 200_000: "2d8h", 1e12: "centuries",
	} {
		assert.Equal(t, want, Span(x), x)
	}
}

func TestTicks(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[float64][]string{
		16200: {"0", "1h", "2h", "3h", "4h"}, 60: {"0", "15s", "30s", "45s", "1m"}, 2: {"0", "1s", "2s"},
	} {
		var got []string
		for _, tick := range timeTicks(seconds) {
			got = append(got, tick.Text)
		}
		assert.Equal(t, want, got, seconds)
	}
	for highest, want := range map[float64]float64{220: 300, 50: 60, 9.9: 15, 0.03: 0.04, 1: 1.5} {
		ticks, top := rateTicks(highest)
		assert.InEpsilon(t, want, top, 1e-9, highest)
		assert.InEpsilon(t, 100, ticks[len(ticks)-1].Percent, 1e-9)
	}
}

func TestDraw(t *testing.T) {
	t.Parallel()
	c := draw([]Point{{Renders: 50, Waited: 25}, {Renders: 100}}, 100, 75)
	assert.Equal(t, "M0.0 75.0L300.0 0.0L600.0 0.0", c.Line)
	assert.Equal(t, "M0.0 112.5L300.0 150.0L600.0 150.0L600.0 150.0L0 150.0Z", c.Waited)
	assert.InDelta(t, 37.5, c.Capacity, 1e-9)
}

func TestFloor3(t *testing.T) {
	t.Parallel()
	for x, want := range map[float64]float64{0: 0, 0.16666: 0.166, 0.5: 0.5, 12345: 12300, 0.001: 0.001, 99.99: 99.9} {
		assert.InDelta(t, want, floor3(x), 1e-9, x)
	}
}
