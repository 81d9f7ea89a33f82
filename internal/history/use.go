package history

import (
	"net/http"
	"slices"
	"time"

	"github.com/edgepurge/edgepurge/tasks"
)

// Use says what the calls of a run were spent on. Each call is one of Batches,
// Halves, Failed and Limited.
type Use struct {
	// Batches are the calls that were packed and got an answer for good: success,
	// or a refusal that splits them or lets them die.
	Batches int
	// Halves are the calls that a split made of a refused one, in turn too.
	Halves int
	// Refused are those Batches and Halves, of more than one item, that were split.
	Refused int
	// Failed are the calls whose items must be sent once more: 5xx, 408, 425, no answer.
	Failed int
	// Limited are the calls answered 429.
	Limited int
	// Packed counts the items of Batches.
	Packed int
	// Fewest is how many calls hold them: Packed by 16 tags or 8 images a call,
	// rounded up within each family. It takes for granted when items were sent.
	Fewest int
}

// Calls is how many calls there were in all.
func (u *Use) Calls() int { return u.Batches + u.Halves + u.Failed + u.Limited }

// Overhead is by what part Batches exceed Fewest; 0 is perfect.
func (u *Use) Overhead() float64 {
	if u.Fewest == 0 {
		return 0
	}
	return float64(u.Batches)/float64(u.Fewest) - 1
}

func use(sorted []Call) Use {
	var u Use
	packed := map[Family]int{}
	open := splits{}
	for i := range sorted {
		c := &sorted[i]
		half := open.have(c)
		switch {
		case c.Status == http.StatusTooManyRequests:
			u.Limited++
			continue
		case again(c.Status):
			u.Failed++
			continue
		case half:
			u.Halves++
			open.take(c)
		default:
			u.Batches++
			u.Packed += len(c.Items)
			packed[c.Family] += len(c.Items)
		}
		if c.Status == http.StatusBadRequest && len(c.Items) > 1 {
			u.Refused++
			open.add(c)
		}
	}
	for family, n := range packed {
		most := mostItems(family.Kind)
		u.Fewest += (n + most - 1) / most
	}
	return u
}

// again reports whether the items of a call so answered must be sent once more.
func again(status int) bool {
	return status == 0 || status >= 500 || status == http.StatusRequestTimeout || status == http.StatusTooEarly
}

// splits is the refused calls whose items are still to come in halves: which of
// them an item waits for.
type splits map[key]*Call

func (s splits) add(c *Call) {
	for _, item := range c.Items {
		s[key{c.Family, item}] = c
	}
}

// have reports whether all items of a call come from one refused call that is
// over, and that had more.
func (s splits) have(c *Call) bool {
	if len(c.Items) == 0 {
		return false
	}
	parent := s[key{c.Family, c.Items[0]}]
	return parent != nil && len(c.Items) < len(parent.Items) && !c.Start.Before(parent.End) &&
		!slices.ContainsFunc(c.Items, func(item string) bool { return s[key{c.Family, item}] != parent })
}

func (s splits) take(c *Call) {
	for _, item := range c.Items {
		delete(s, key{c.Family, item})
	}
}

func mostItems(kind tasks.Kind) int {
	if kind == tasks.SrcImage {
		return tasks.MaxSrcImagesPerCall
	}
	return tasks.MaxTagsPerCall
}

// Widest is the most calls that started within any half-open window of length
// per, whatever was answered: what a budget of calls in per must not be below.
func Widest(calls []Call, per time.Duration) int {
	starts := make([]time.Time, len(calls))
	for i := range calls {
		starts[i] = calls[i].Start
	}
	slices.SortFunc(starts, time.Time.Compare)
	most, from := 0, 0
	for to := range starts {
		for from < to && starts[to].Sub(starts[from]) >= per {
			from++
		}
		most = max(most, to-from+1)
	}
	return most
}
