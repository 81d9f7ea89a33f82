package plan

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"math"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("plan").Funcs(template.FuncMap{
	"short": Short,
	"about": About,
	"span": func(seconds float64) string {
		if seconds == 0 {
			return "none"
		}
		return Span(seconds)
	},
	"percent": func(rate, of float64) string { return fmt.Sprintf("%.0f %%", 100*rate/of) },
}).Parse(pageText))

// panel is one way on the page.
type panel struct {
	*Way
	chart
	Note string
	Over bool // above the capacity at some time
}

// notes say what each way is, for people who see it for the first time.
var notes = map[string]string{
	AtOnce:     "Calls as fast as the budget allows. Every first visit waits.",
	Configured: "The spread and deadlines of edgepurge.yaml as they are.",
	Spreading:  "Deletions paced by the recommended spread. First visits wait, for an origin that is not overloaded.",
	Staggered:  "Calls at once, hard deletion batch by batch. Spares visitors the wait, not the origin the work.",
	Invalidate: "Calls at once; the first visit gets the old page, and it is rendered in the background.",
}

// Page returns the plan as one HTML page that needs nothing else: no script, no
// network. yaml is what to paste, "" for nothing.
func Page(p *Plan, yaml string) ([]byte, error) {
	rates, top := rateTicks(math.Max(p.Highest(), p.Capacity))
	seconds := p.StepSeconds * seriesPoints
	var panels []panel
	for i := range p.Ways {
		w := &p.Ways[i]
		panels = append(panels, panel{w, draw(w.Series, top, p.Capacity), notes[w.Name], w.Peak > p.Capacity})
	}
	var b bytes.Buffer
	err := pageTemplate.Execute(&b, map[string]any{
		"Plan": p, "Panels": panels, "YAML": yaml, "Rates": rates, "Times": timeTicks(seconds), "Seconds": seconds,
		"Width": chartWidth, "Height": chartHeight, "CapacityPercent": 100 * p.Capacity / top,
	})
	if err != nil {
		return nil, fmt.Errorf("write the page: %w", err)
	}
	return b.Bytes(), nil
}
