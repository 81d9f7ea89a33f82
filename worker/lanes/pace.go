package lanes

import (
	"encoding/json"
	"time"

	"github.com/edgepurge/edgepurge/tasks"
)

// Pace is how the items of one lane may be let go: the settings of its account
// and its project, handed to the scripts with every call, so that a changed
// setting acts at once.
type Pace struct {
	Account string

	// Calls in any window of Per; 0 is unlimited. Reserve of them are for urgent lanes.
	Calls    int
	Per      time.Duration
	Reserve  int
	InFlight int
	// Lease is how long a claimed batch belongs to its worker: the call's timeout and a margin.
	Lease time.Duration

	// MaxItems bounds a batch by number. MaxBytes, if not 0, by the length of
	// the items joined with commas.
	MaxItems, MaxBytes int
	// Full is how many items make a batch worth sending without lingering.
	Full   int
	Linger time.Duration

	// Rate is the spread in cost a second, 0 unlimited; Burst its bucket, by
	// default Rate and at least 1: a bucket that holds nothing lets nothing go.
	Rate, Burst float64
	MaxDelay    time.Duration
	Weights     []Weight
	// StaggerMin and StaggerOver give batches of deletes without deadline one
	// of their own; StaggerOver 0 does not.
	StaggerMin, StaggerOver time.Duration
}

// Weight is the cost of items equal to Match or, with Prefix, beginning with it.
type Weight struct {
	Match  string  `json:"match"`
	Prefix bool    `json:"prefix"`
	Cost   float64 `json:"cost"`
}

// wirePace is what the scripts read: milliseconds, and the lane's own facts.
type wirePace struct {
	Account     string   `json:"account"`
	Calls       int      `json:"calls"`
	Per         int64    `json:"per"`
	Reserve     int      `json:"reserve"`
	InFlight    int      `json:"in_flight"`
	Lease       int64    `json:"lease"`
	MaxItems    int      `json:"max_items"`
	MaxBytes    int      `json:"max_bytes"`
	Full        int      `json:"full"`
	Linger      int64    `json:"linger"`
	Rate        float64  `json:"rate"`
	Burst       float64  `json:"burst"`
	MaxDelay    int64    `json:"max_delay"`
	Weights     []Weight `json:"weights"`
	StaggerMin  int64    `json:"stagger_min"`
	StaggerOver int64    `json:"stagger_over"`

	Kind     tasks.Kind `json:"kind"`
	Deadline int        `json:"deadline"`
	Lanes    []string   `json:"lanes,omitempty"` // the lane as JSON at each priority
}

// encode writes what a script that takes items out of a lane reads.
func (p Pace) encode(lane tasks.Lane) (string, error) {
	text, err := json.Marshal(p.wire(lane))
	return string(text), err
}

// encodeFor writes what a script that puts items into a lane reads.
func (p Pace) encodeFor(lane tasks.Lane) (string, error) {
	w := p.wire(lane)
	for _, priority := range tasks.Priorities {
		text, err := json.Marshal(lane.With(priority))
		if err != nil {
			return "", err
		}
		w.Lanes = append(w.Lanes, string(text))
	}
	text, err := json.Marshal(w)
	return string(text), err
}

func (p Pace) wire(lane tasks.Lane) wirePace {
	w := wirePace{
		Account: p.Account,
		Calls:   p.Calls, Per: p.Per.Milliseconds(), Reserve: p.Reserve, InFlight: p.InFlight,
		Lease:    p.Lease.Milliseconds(),
		MaxItems: p.MaxItems, MaxBytes: p.MaxBytes, Full: p.Full, Linger: p.Linger.Milliseconds(),
		Rate: p.Rate, Burst: p.Burst, MaxDelay: p.MaxDelay.Milliseconds(), Weights: p.Weights,
		StaggerMin: p.StaggerMin.Milliseconds(), StaggerOver: p.StaggerOver.Milliseconds(),
		Kind: lane.Kind, Deadline: lane.DeadlineSeconds,
	}
	if w.Burst <= 0 {
		w.Burst = max(w.Rate, 1)
	}
	if lane.Operation != tasks.Delete {
		w.StaggerOver = 0
	}
	if w.Weights == nil {
		w.Weights = []Weight{} // cjson reads null as a value that has no length
	}
	return w
}

// rank is a priority's place in the scripts: 1 urgent, 2 normal, 3 bulk.
func rank(p tasks.Priority) int {
	for i, known := range tasks.Priorities {
		if p == known {
			return i + 1
		}
	}
	return len(tasks.Priorities)
}
