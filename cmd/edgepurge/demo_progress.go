package main

import (
	"fmt"
	"time"

	"github.com/schollz/progressbar/v3"
)

// demoProgress shows how far the demo is: a bar on a terminal, else a line a
// second.
type demoProgress struct {
	app      *app
	interval time.Duration
	bar      *progressbar.ProgressBar
	told     time.Duration // when the last line was written
}

// demoLine is how often a line is written where there is no terminal.
const demoLine = time.Second

func newDemoProgress(a *app, plan demoPlan) *demoProgress {
	p := &demoProgress{app: a, interval: 250 * time.Millisecond}
	if isTerminal(a.stderr) {
		p.bar = progressbar.NewOptions(len(plan.requests),
			progressbar.OptionSetWriter(a.stderr), progressbar.OptionSetWidth(24), progressbar.OptionShowCount(),
			progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false),
			progressbar.OptionShowDescriptionAtLineEnd(), progressbar.OptionClearOnFinish(),
		)
	}
	return p
}

func (p *demoProgress) show(t demoTick) {
	if p.bar != nil {
		p.bar.Describe(fmt.Sprintf("purged, %.0f/s, %s items wait, %s calls",
			float64(t.purged)/t.elapsed.Seconds(), grouped(t.pending), grouped(t.calls)))
		_ = p.bar.Set(t.purged) // a terminal that is gone ends the demo by itself
		return
	}
	if t.elapsed < p.told+demoLine {
		return
	}
	p.told = t.elapsed.Truncate(demoLine)
	p.app.notef("%4.0f s  %6s asked  %6s purged  %5s items wait  %4s calls",
		t.elapsed.Seconds(), grouped(t.asked), grouped(t.purged), grouped(t.pending), grouped(t.calls))
}

// end takes the bar away.
func (p *demoProgress) end() {
	if p.bar != nil {
		_ = p.bar.Clear()
		_ = p.bar.Exit()
	}
}
