package emulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// DefaultPer is the window of a Limit that names none.
const DefaultPer = time.Minute

// Limit is a rate limit for each token and team. The zero value is none.
type Limit struct {
	// Calls is how many calls a window holds, the refused ones included but for
	// 429s; 0: unlimited.
	Calls int
	// Per is the window's length; 0: DefaultPer.
	Per time.Duration
	// Mode is how windows lie in time; empty: Sliding.
	Mode Mode
	// Body is how a 429 looks; empty: Alternating.
	Body LimitBody
}

// MeasuredLimit is the one rate limit of the live API that somebody has
// measured (a third party, August 2026): 5 calls in any minute.
func MeasuredLimit() Limit { return Limit{Calls: 5, Per: time.Minute} }

// Mode is how the windows of a limit lie in time.
type Mode string

// The modes.
const (
	// Sliding: any window of Per holds at most Calls calls.
	Sliding Mode = "sliding"
	// Fixed: a window begins with the first call after the last one ended, so
	// that nearly twice Calls can fall into Per around a border.
	Fixed Mode = "fixed"
)

// LimitBody is one of the bodies that Vercel documents for a 429.
type LimitBody string

// The bodies of a 429.
const (
	Alternating     LimitBody = "alternating"       // the three below in turn
	TooManyRequests LimitBody = "too_many_requests" // code and message only
	RateLimited     LimitBody = "rate_limited"      // with a limit object, its reset in seconds
	RateLimitedMs   LimitBody = "rate_limited_ms"   // the same, its reset in milliseconds, as was seen
)

func (l Limit) withDefaults() Limit {
	if l.Per == 0 {
		l.Per = DefaultPer
	}
	if l.Mode == "" {
		l.Mode = Sliding
	}
	if l.Body == "" {
		l.Body = Alternating
	}
	return l
}

func (l Limit) validate() error {
	var faults []error
	add := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("emulator: limit: "+format, args...))
	}
	if l.Calls < 0 {
		add("calls: %d is negative", l.Calls)
	}
	if l.Per < 0 {
		add("per: %s is negative", l.Per)
	}
	switch l.Mode {
	case "", Sliding, Fixed:
	default:
		add("mode: %q is unknown: use %q or %q", l.Mode, Sliding, Fixed)
	}
	switch l.Body {
	case "", Alternating, TooManyRequests, RateLimited, RateLimitedMs:
	default:
		add("body: %q is unknown: use %q, %q, %q or %q", l.Body, Alternating, TooManyRequests, RateLimited, RateLimitedMs)
	}
	return errors.Join(faults...)
}

type wireLimit struct {
	Calls int       `json:"calls"`
	Per   duration  `json:"per"`
	Mode  Mode      `json:"mode"`
	Body  LimitBody `json:"body"`
}

// MarshalJSON writes {"calls":5,"per":"1m0s","mode":"sliding","body":"alternating"}.
func (l Limit) MarshalJSON() ([]byte, error) {
	l = l.withDefaults()
	return json.Marshal(wireLimit{l.Calls, duration(l.Per), l.Mode, l.Body})
}

// UnmarshalJSON reads what MarshalJSON writes; absent fields are zero, unknown
// ones an error.
func (l *Limit) UnmarshalJSON(data []byte) error {
	var w wireLimit
	if err := strict(data, &w); err != nil {
		return err
	}
	*l = Limit{w.Calls, time.Duration(w.Per), w.Mode, w.Body}
	return nil
}
