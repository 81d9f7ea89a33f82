package plan

import (
	"math"
	"strconv"
	"time"
)

// Short is a number for people: three digits, no exponent, thousands apart.
func Short(x float64) string {
	switch {
	case x == 0:
		return "0"
	case x >= 100:
		return grouped(math.Round(x))
	}
	digits := max(0, 2-int(math.Floor(math.Log10(x))))
	text := strconv.FormatFloat(x, 'f', digits, 64)
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		text = strconv.FormatFloat(f, 'f', -1, 64) // without zeros at the end
	}
	return text
}

// About is a number for people that is known to three digits at best.
func About(x float64) string {
	if x < 1000 {
		return Short(x)
	}
	unit := math.Pow(10, math.Floor(math.Log10(x))-2)
	return grouped(math.Round(x/unit) * unit)
}

func grouped(x float64) string {
	text := strconv.FormatFloat(x, 'f', 0, 64)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// niceTimes are where the axis of time may end and have its marks.
var niceTimes = []time.Duration{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	24 * time.Hour, 48 * time.Hour, 7 * 24 * time.Hour, 14 * 24 * time.Hour, 30 * 24 * time.Hour, 90 * 24 * time.Hour, 365 * 24 * time.Hour,
}

// mark is the distance, in seconds, of at most five marks on an axis of time.
func mark(seconds float64) float64 {
	for _, d := range niceTimes {
		if seconds/d.Seconds() <= 5 {
			return d.Seconds()
		}
	}
	return math.Ceil(seconds / 5)
}

// niceCeil rounds a time up to half the distance of its marks.
func niceCeil(seconds float64) float64 {
	half := mark(seconds) / 2
	return math.Max(half, math.Ceil(seconds/half)*half)
}

// Span is a number of seconds for people, in its one or two largest units.
func Span(seconds float64) string {
	if seconds > 365*24*3600*100 {
		return "centuries"
	}
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(time.Second).String()
	case d < time.Hour:
		return units(d, time.Minute, "m", time.Second, "s")
	case d < 48*time.Hour:
		return units(d, time.Hour, "h", time.Minute, "m")
	}
	return units(d, 24*time.Hour, "d", time.Hour, "h")
}

func units(d, large time.Duration, l string, small time.Duration, s string) string {
	d = d.Round(small)
	if rest := d % large; rest != 0 {
		return strconv.Itoa(int(d/large)) + l + strconv.Itoa(int(rest/small)) + s
	}
	return strconv.Itoa(int(d/large)) + l
}

// OldUntil is how long visitors may get old pages, for people.
func (w *Way) OldUntil() string {
	if w.StaleMaxSeconds == nil {
		return "visited; 99 % by " + Span(w.FreshSeconds)
	}
	if *w.StaleMaxSeconds == 0 {
		return "-"
	}
	return Span(*w.StaleMaxSeconds)
}

// things is a number of things for people.
func things(n float64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return Short(n) + " " + thing + "s"
}

// Highest is the highest peak of all ways.
func (p *Plan) Highest() float64 {
	highest := 0.0
	for _, w := range p.Ways {
		highest = math.Max(highest, w.Peak)
	}
	return highest
}

// Summary says what is purged.
func (p *Plan) Summary() string {
	pages := "every page alike"
	if p.Zipf > 0 {
		pages = "popularity by Zipf " + Short(p.Zipf)
	}
	text := things(float64(p.Tags), "tag") + ", " + things(p.Pages, "page") + " in " + things(p.Regions, "region") + ": " + things(p.Renders, "render") +
		" in the end. " + things(p.RPS, "visit") + " a second, " + pages + "; the origin can do " + things(p.Capacity, "render") + " a second"
	if p.BaseLoad > 0 {
		text += " and does " + Short(p.BaseLoad) + " anyway"
	}
	return text + "."
}

// Headline is the plan in one sentence.
func (p *Plan) Headline() string {
	at := p.Way(AtOnce)
	switch w := p.Way(Spreading); {
	case w != nil:
		return "Spread over " + Span(w.DoneSeconds) + ", the origin peaks at " + Short(w.Peak) + " renders a second. As fast as the budget allows, it would be " + Short(at.Peak) + "."
	case !p.Needed:
		return "No spread is needed: at once, the origin peaks at " + Short(at.Peak) + " renders a second of the " + Short(p.Capacity) + " that it can do."
	}
	return "No spread keeps the origin within its capacity: it peaks at " + Short(at.Peak) + " renders a second of the " + Short(p.Capacity) + " that it can do."
}

// Advice is what to do, in a few sentences.
func (p *Plan) Advice() string {
	w := p.Way(Spreading)
	switch {
	case !p.Needed:
		return "No spread is needed: deleted at once, the peak is below the limit of " + Short(p.Limit) + " renders a second."
	case w == nil:
		return "No spread is recommended: " + p.Obstacle + ". Invalidate, so that nobody waits, and give the origin more capacity."
	}
	text := "Recommended: the spread below. It keeps the peak at " + Short(w.Peak) + " renders a second, below the limit of " + Short(p.Limit) +
		"; no spread over the same " + Span(w.DoneSeconds) + " can do with less than " + Short(p.Flat) + ". Old pages are shown until then.\n" +
		"It serves invalidate as well: then nobody waits, but every entry answers with the old page once more."
	if w.Peak < 0.75*p.Limit {
		text += "\nIt is the budget that makes it take so long: with more calls a minute it would be done earlier."
	}
	if p.Way(Staggered) != nil {
		text += "\nDeadlines keep visitors from waiting, not the origin from working: a first visit makes it render, whoever waits."
	}
	return text
}
