package plan

import (
	"fmt"
	"math"
	"strings"
)

// The view of a chart's SVG. The page stretches it, so that no text is in it.
const chartWidth, chartHeight = 600.0, 150.0

// chart is one way's rates as SVG paths: everything rendered, and the part that a
// visitor waits for.
type chart struct {
	Area, Line, Waited string
	Capacity           float64 // y of the line of the capacity
}

// draw draws a series below a rate of at most top.
func draw(series []Point, top, capacity float64) chart {
	renders := func(p Point) float64 { return p.Renders }
	waited := func(p Point) float64 { return p.Waited }
	line := path(series, top, renders)
	return chart{
		Area: closed(line), Line: line, Waited: closed(path(series, top, waited)),
		Capacity: height(capacity, top),
	}
}

func height(rate, top float64) float64 {
	return math.Round(10*(chartHeight-math.Min(1, rate/top)*chartHeight)) / 10
}

// path goes from point to point; each is the highest rate of its step, held until the next.
func path(series []Point, top float64, rate func(Point) float64) string {
	var b strings.Builder
	step := chartWidth / float64(len(series))
	for i, p := range series {
		command := "L"
		if i == 0 {
			command = "M"
		}
		fmt.Fprintf(&b, "%s%.1f %.1f", command, float64(i)*step, height(rate(p), top))
	}
	fmt.Fprintf(&b, "L%.1f %.1f", chartWidth, height(rate(series[len(series)-1]), top))
	return b.String()
}

// closed is the area between a line and the ground.
func closed(line string) string {
	return fmt.Sprintf("%sL%.1f %.1fL0 %.1fZ", line, chartWidth, chartHeight, chartHeight)
}

// tick is a mark on an axis.
type tick struct {
	Percent float64 // from the left, or from the bottom
	Text    string
}

// timeTicks are the marks of the axis of time, the end's own only if it is one.
func timeTicks(seconds float64) []tick {
	var ticks []tick
	for at, step := 0.0, mark(seconds); at <= seconds*1.0001; at += step {
		text := "0"
		if at > 0 {
			text = Span(at)
		}
		ticks = append(ticks, tick{100 * at / seconds, text})
	}
	return ticks
}

// rateTicks are the marks of the axis of rates, and where it ends.
func rateTicks(highest float64) (ticks []tick, top float64) {
	unit := math.Pow(10, math.Floor(math.Log10(highest)))
	for _, step := range []float64{unit / 5, unit / 2, unit, 2 * unit, 5 * unit} {
		if n := math.Ceil(highest * 1.04 / step); n <= 4 {
			top = n * step
			for i := range int(n) + 1 {
				ticks = append(ticks, tick{100 * float64(i) / n, Short(float64(i) * step)})
			}
			return ticks, top
		}
	}
	return nil, highest
}

// Y is where a mark of the rates is in a view of that height.
func (t tick) Y(height float64) float64 { return math.Round(10*height*(1-t.Percent/100)) / 10 }
