package tasks

import (
	"errors"
	"fmt"
	"time"
)

// Call is one API call with one batch, as it is kept in Redis: under its lease
// while it is made, and as an asynq task when it must be tried again or looked at.
type Call struct {
	// Batch is the id of the batch; the halves of a split are "<id>.0" and "<id>.1".
	Batch   string
	Account string
	Lane    Lane
	Items   []string
	// DeadlineSeconds is what this call sends. It differs from Lane.DeadlineSeconds
	// when the worker staggered the deadlines of a lane that names none.
	DeadlineSeconds int
	ClaimedAt       time.Time
	// Attempt counts the calls with these items that failed so far, those of earlier
	// batches included.
	Attempt int
	// Verdict is set on a dead letter: why the call cannot succeed.
	Verdict *Verdict
}

// Verdict is the reason of a dead letter, in words for people.
type Verdict struct {
	Reason    string `json:"reason"`               // the judge's reason, such as "unauthorized"
	Status    int    `json:"status,omitempty"`     // HTTP status; 0: no answer
	Code      string `json:"code,omitempty"`       // Vercel's error code
	Message   string `json:"message,omitempty"`    // Vercel's message, bounded
	RequestID string `json:"request_id,omitempty"` // Vercel's x-vercel-id
}

func (v *Verdict) Error() string {
	s := v.Reason
	if v.Status != 0 {
		s += fmt.Sprintf(": Vercel answered %d", v.Status)
	}
	if v.Code != "" {
		s += " " + v.Code
	}
	if v.Message != "" {
		s += ": " + v.Message
	}
	if v.RequestID != "" {
		s += " (x-vercel-id " + v.RequestID + ")"
	}
	return s
}

// Validate reports all faults of the call at once, each matching ErrInvalid.
// Only items within Vercel's limits, alone and together, pass.
func (c *Call) Validate() error {
	var faults []error
	add := func(err error) {
		if err != nil {
			faults = append(faults, err)
		}
	}
	if !isName(c.Batch) || len(c.Batch) > MaxIDBytes {
		add(fault("batch", "%q must be 1 to %d letters, digits, '.', '_' or '-'", abbreviate(c.Batch), MaxIDBytes))
	}
	if !isName(c.Account) {
		add(fault("account", "%q may hold only letters, digits, '.', '_' and '-'", abbreviate(c.Account)))
	}
	add(c.Lane.Validate())
	if c.DeadlineSeconds != c.Lane.DeadlineSeconds {
		if c.Lane.DeadlineSeconds != NoDeadline {
			add(fault("deadline_seconds", "%d differs from the lane's %d: only a lane without deadline is staggered", c.DeadlineSeconds, c.Lane.DeadlineSeconds))
		}
		add(checkDeadline(c.DeadlineSeconds, c.Lane.Operation))
	}
	add(checkTime("claimed_at", c.ClaimedAt))
	if c.Attempt < 0 {
		add(fault("attempt", "%d is negative", c.Attempt))
	}
	if c.Verdict != nil && c.Verdict.Reason == "" {
		add(fault("verdict.reason", "is missing"))
	}
	if len(c.Items) == 0 {
		add(fault("items", "is empty"))
	}
	size := len(c.Items) - 1
	for i, item := range c.Items {
		size += len(item)
		if err := CheckItem(c.Lane.Kind, item); err != nil {
			add(fault(fmt.Sprintf("items[%d]", i), "%v", err))
		}
	}
	switch {
	case c.Lane.Kind == SrcImage && len(c.Items) > MaxSrcImagesPerCall:
		add(fault("items", "%d source images, the limit of a call is %d", len(c.Items), MaxSrcImagesPerCall))
	case c.Lane.Kind == Tag && len(c.Items) > MaxTagsPerCall && size > MaxTagStringBytes:
		add(fault("items", "%d tags of %d bytes, the limit of a call is %d tags or %d bytes", len(c.Items), size, MaxTagsPerCall, MaxTagStringBytes))
	}
	return errors.Join(faults...)
}
