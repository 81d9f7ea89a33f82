package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/edgepurge/edgepurge/internal/plan"
)

// planJSON is what `edgepurge plan --json` prints.
type planJSON struct {
	*plan.Plan
	YAML string `json:"yaml,omitempty"`
}

// printPlan prints the plan for people, in colour on a terminal.
func (a *app) printPlan(p *plan.Plan) {
	red := func(s string) string { return s }
	if isTerminal(a.stdout) && a.getenv("NO_COLOR") == "" {
		red = func(s string) string { return "\x1b[31m" + s + "\x1b[0m" }
	}
	a.printf("%s\n", p.Summary())
	for _, c := range p.Collapsed {
		a.printf("%s\n", c)
	}
	a.printf("\n")
	t := newTable(a.stdout)
	row(t, "WAY", "CALLS", "DONE AFTER", "PEAK RENDERS/S", "OF CAPACITY", "OVER FOR", "VISITS THAT WAIT", "RENDER UP TO", "OLD PAGES UNTIL", "VISITS TO OLD")
	for i := range p.Ways {
		w := &p.Ways[i]
		row(t, w.Name, w.Calls, spanOrDash(w.DoneSeconds), plan.Short(w.Peak), strconv.FormatFloat(100*w.Peak/p.Capacity, 'f', 0, 64)+" %", spanOrDash(w.OverSeconds),
			plan.About(w.WaitingVisits), spanOrDash(w.LongestWaitSeconds), w.OldUntil(), plan.About(w.StaleVisits))
	}
	_ = t.Flush() // its writer keeps errors to itself

	highest := p.Highest()
	a.printf("\nrenders a second, over %s; a full block is %s%s\n", plan.Span(p.StepSeconds*float64(len(p.Ways[0].Series))), plan.Short(highest), overMark(p, red))
	for i := range p.Ways {
		w := &p.Ways[i]
		a.printf("  %-18s  %s\n", w.Name, sparkline(w.Series, highest, p.Capacity, red))
	}
	a.printf("\n%s\n", p.Advice())
	if text := yamlOf(p); text != "" {
		a.printf("\n%s", text)
	}
}

func overMark(p *plan.Plan, red func(string) string) string {
	if text := red("red"); text != "red" {
		return "; " + text + " is above the capacity of " + plan.Short(p.Capacity)
	}
	return ""
}

// sparkCells is how many characters a sparkline has.
const sparkCells = 60

// sparkline draws the highest rate of each part of the time, as a share of all.
func sparkline(series []plan.Point, all, capacity float64, mark func(string) string) string {
	var b strings.Builder
	for i := range sparkCells {
		rate := 0.0
		for _, p := range series[i*len(series)/sparkCells : (i+1)*len(series)/sparkCells] {
			rate = max(rate, p.Renders)
		}
		cell := spark(rate / all)
		if rate > capacity {
			cell = mark(cell)
		}
		b.WriteString(cell)
	}
	return b.String()
}

// spark is a block of that share of the height; blank is nothing to speak of.
func spark(share float64) string {
	const blocks = " ▁▂▃▄▅▆▇█"
	i := int(math.Ceil(share*8 - 0.1))
	return string([]rune(blocks)[min(8, max(0, i))])
}

func spanOrDash(seconds float64) string {
	if seconds == 0 {
		return "-"
	}
	return plan.Span(seconds)
}

// yamlOf is what to paste into edgepurge.yaml; "" where nothing is recommended.
func yamlOf(p *plan.Plan) string {
	if p.Spread == nil {
		return ""
	}
	s := p.Spread
	var b strings.Builder
	if s.MaxTags > 0 {
		fmt.Fprintf(&b, "# in the entry of the account\nbatch: {form: array, max_tags: %d}\n", s.MaxTags)
	}
	fmt.Fprintf(&b, "# in the entry of the project\nspread:\n  rate: %s\n  burst: %s\n  max_delay: %s\n",
		number(s.Rate), number(s.Burst), wholeUnits(s.MaxDelay))
	if d := p.Deadline; d != nil {
		fmt.Fprintf(&b, "  # in place of these three, to spare visitors the wait, not the origin the work:\n  #deadline: {min: %s, over: %s}\n", wholeUnits(d.Min), wholeUnits(d.Over))
	}
	return b.String()
}

func number(x float64) string {
	return strconv.FormatFloat(x, 'f', -1, 64)
}

// wholeUnits is a duration as YAML takes it, without "0s" at its end.
func wholeUnits(d time.Duration) string {
	text := d.String()
	if d >= time.Minute {
		text = strings.TrimSuffix(text, "0s")
	}
	if d >= time.Hour && strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
