package plan

import "strconv"

// Collapsed is what a collapse rule replaced before the first call.
type Collapsed struct {
	// Rule is which, as people read it.
	Rule string `json:"rule"`
	// Tags is how many tags it replaced.
	Tags int `json:"tags"`
	// To took their place.
	To string `json:"to"`
	// Weight is the cost that To should have in spread.weights and has not, as far as the
	// plan can tell: that of all that it replaced. 0: it has.
	Weight float64 `json:"weight_needed,omitempty"`
}

// String says it in a sentence or two.
func (c Collapsed) String() string {
	text := Short(float64(c.Tags)) + " tags match " + c.Rule + ": replaced by " + c.To + ", which purges at least their pages, all in one call."
	if c.Weight > 0 {
		text += " Give it their weight in spread.weights: {match: " + strconv.Quote(c.To) + ", cost: " + strconv.FormatFloat(c.Weight, 'f', -1, 64) + "}."
	}
	return text
}
