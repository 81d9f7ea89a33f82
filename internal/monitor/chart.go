package monitor

import (
	"fmt"
	"strings"

	"github.com/edgepurge/edgepurge/worker/lanes"
)

// chart is a picture of the last minutes: a bar for each second, as the paths of
// an SVG whose view is chartWidth × chartHeight.
type chart struct {
	Good, Bad string // paths; Bad is the part of the bars that failed, at their foot
	Now, Peak int    // in one second; Now is the last whole one
	Sum       int
}

// named is a chart with what it counts.
type named struct {
	Unit           string
	Now, Peak, Sum int64
	Good, Bad      string
}

// As is for the templates.
func (c chart) As(unit string) named {
	return named{unit, int64(c.Now), int64(c.Peak), int64(c.Sum), c.Good, c.Bad}
}

const (
	chartWidth, chartHeight = 300, 56
)

// drawChart draws one figure of the seconds, and how much of it failed.
func drawChart(seconds []lanes.Second, figure, failed func(lanes.Second) int) chart {
	var c chart
	for i, s := range seconds {
		n := figure(s)
		c.Sum += n
		c.Peak = max(c.Peak, n)
		if i == len(seconds)-2 { // the last one still runs
			c.Now = n
		}
	}
	if c.Peak == 0 {
		return c
	}
	var good, bad strings.Builder
	step := float64(chartWidth) / float64(len(seconds))
	for i, s := range seconds {
		all := height(figure(s), c.Peak)
		foot := min(all, height(failed(s), c.Peak))
		bar(&bad, float64(i)*step, 0, foot, step)
		bar(&good, float64(i)*step, foot, all, step)
	}
	c.Good, c.Bad = good.String(), bad.String()
	return c
}

// height is that of a bar; one that is not nothing can be seen.
func height(n, peak int) float64 {
	if n <= 0 {
		return 0
	}
	return max(1.5, float64(n)/float64(peak)*chartHeight)
}

func bar(b *strings.Builder, x, from, to, width float64) {
	if to > from {
		fmt.Fprintf(b, "M%.1f %.1fh%.1fV%.1fh-%.1fz", x, chartHeight-from, width, chartHeight-to, width)
	}
}
