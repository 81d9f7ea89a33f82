package emulator

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// Faults is what goes wrong. The zero value is nothing. Probabilities are 0 to
// 1; those of Status, Reset and Hang exclude each other, so their sum is at most 1.
type Faults struct {
	// Status is how often a call is answered with a status, 300 to 599,
	// such as 503: 0.02.
	Status map[int]float64
	// HTML is how often such an answer of 500 or more, and that of an outage, is
	// an HTML page and not an error envelope.
	HTML float64
	// RetryAfter is sent with such a 429 and 503 and with an outage, rounded up to seconds; 0: not sent.
	RetryAfter time.Duration
	// Latency delays every answer, by up to LatencyJitter more. At most MaxLatency each.
	Latency       time.Duration
	LatencyJitter time.Duration
	// Reset is how often the connection is reset in place of an answer.
	Reset float64
	// Hang is how often no answer comes until the client leaves or the emulator is closed.
	Hang float64
	// AfterEffect is how often one of the above strikes after the call took
	// effect, not before: the purge is applied and the client cannot know.
	AfterEffect float64
	// Outage answers every call with a 503 before anything else is looked at;
	// such calls do not count against the rate limit.
	Outage bool
	// Projects answers calls for a project with a status, 400 to 599, such as
	// "prj_gone": 410. The name is compared as the client sends it.
	Projects map[string]int
	// PoisonTags are items, tags or source images: a call that holds one is
	// answered with a 400 that does not say which.
	PoisonTags []string
	// ExpiredTokens are names of tokens, as in the journal, that get a 403.
	ExpiredTokens []string
}

// MaxLatency bounds the two latencies: beyond it a Hang is meant.
const MaxLatency = 10 * time.Minute

func (f Faults) clone() Faults {
	f.Status, f.Projects = maps.Clone(f.Status), maps.Clone(f.Projects)
	f.PoisonTags, f.ExpiredTokens = slices.Clone(f.PoisonTags), slices.Clone(f.ExpiredTokens)
	return f
}

type wireFaults struct {
	Status        map[int]float64 `json:"status,omitempty"`
	HTML          float64         `json:"html,omitempty"`
	RetryAfter    duration        `json:"retry_after,omitempty"`
	Latency       duration        `json:"latency,omitempty"`
	LatencyJitter duration        `json:"latency_jitter,omitempty"`
	Reset         float64         `json:"reset,omitempty"`
	Hang          float64         `json:"hang,omitempty"`
	AfterEffect   float64         `json:"after_effect,omitempty"`
	Outage        bool            `json:"outage,omitempty"`
	Projects      map[string]int  `json:"projects,omitempty"`
	PoisonTags    []string        `json:"poison_tags,omitempty"`
	ExpiredTokens []string        `json:"expired_tokens,omitempty"`
}

// MarshalJSON writes the fields that are not zero, in snake case, durations as
// "1.5s": {"status":{"503":0.02},"latency":"20ms","outage":true}.
func (f Faults) MarshalJSON() ([]byte, error) {
	return json.Marshal(wireFaults{
		f.Status, f.HTML, duration(f.RetryAfter), duration(f.Latency), duration(f.LatencyJitter),
		f.Reset, f.Hang, f.AfterEffect, f.Outage, f.Projects, f.PoisonTags, f.ExpiredTokens,
	})
}

// UnmarshalJSON reads what MarshalJSON writes; unknown fields are an error. It
// does not validate: SetFaults does.
func (f *Faults) UnmarshalJSON(data []byte) error {
	var w wireFaults
	if err := strict(data, &w); err != nil {
		return err
	}
	*f = Faults{
		w.Status, w.HTML, time.Duration(w.RetryAfter), time.Duration(w.Latency), time.Duration(w.LatencyJitter),
		w.Reset, w.Hang, w.AfterEffect, w.Outage, w.Projects, w.PoisonTags, w.ExpiredTokens,
	}
	return nil
}
