package tasks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// ErrVersion says that a payload was written by a newer edgepurge. It matches
// ErrInvalid too: this worker cannot run the task, a newer one can.
var ErrVersion = fmt.Errorf("%w: unknown wire version", ErrInvalid)

// ErrUnknownField says that a payload has a field that this edgepurge does not know: it
// may be of a newer one. It matches ErrInvalid too.
var ErrUnknownField = fmt.Errorf("%w", ErrInvalid)

type wirePurge struct {
	V               int        `json:"v"`
	ID              string     `json:"id"`
	Project         string     `json:"project"`
	Operation       Operation  `json:"operation"`
	Tags            []string   `json:"tags,omitempty"`
	SrcImages       []string   `json:"src_images,omitempty"`
	AllowAll        bool       `json:"allow_all,omitempty"`
	Target          Target     `json:"target,omitempty"`
	DeadlineSeconds *int       `json:"deadline_seconds,omitempty"`
	Priority        Priority   `json:"priority,omitempty"`
	SettleMS        int64      `json:"settle_ms,omitempty"`
	ReboundMS       int64      `json:"rebound_ms,omitempty"`
	NotBefore       *time.Time `json:"not_before,omitempty"`
	Track           bool       `json:"track,omitempty"`
	Receipt         string     `json:"receipt,omitempty"`
	Source          string     `json:"source,omitempty"`
	RequestedAt     *time.Time `json:"requested_at,omitempty"`
}

type wireCall struct {
	V               int       `json:"v"`
	Batch           string    `json:"batch"`
	Account         string    `json:"account"`
	Project         string    `json:"project"`
	Operation       Operation `json:"operation"`
	Kind            Kind      `json:"kind"`
	Items           []string  `json:"items"`
	Target          Target    `json:"target,omitempty"`
	DeadlineSeconds *int      `json:"deadline_seconds,omitempty"`
	// Staggered says that the deadline is the worker's, not the request's.
	Staggered bool      `json:"staggered,omitempty"`
	Priority  Priority  `json:"priority"`
	ClaimedAt time.Time `json:"claimed_at"`
	Attempt   int       `json:"attempt,omitempty"`
	Verdict   *Verdict  `json:"verdict,omitempty"`
}

// Encode writes the request as wire version 1. It does not validate.
func (p *Purge) Encode() ([]byte, error) {
	w := wirePurge{
		V: Version, ID: p.ID, Project: p.Project, Operation: p.Operation,
		Tags: p.Tags, SrcImages: p.SrcImages, AllowAll: p.AllowAll,
		Target: p.Target, DeadlineSeconds: p.DeadlineSeconds, Priority: p.Priority,
		SettleMS: p.Settle.Milliseconds(), ReboundMS: p.Rebound.Milliseconds(),
		NotBefore: optionalTime(p.NotBefore), Track: p.Track, Receipt: p.Receipt, Source: p.Source,
		RequestedAt: optionalTime(p.RequestedAt),
	}
	return encode(w)
}

// DecodePurge reads a request of this or an older wire version. Unknown
// versions, fields and values, missing fields and trailing data are errors that
// match ErrInvalid. The request is validated and its priority is never empty.
func DecodePurge(data []byte) (Purge, error) {
	var w wirePurge
	if err := decode(data, &w); err != nil {
		return Purge{}, err
	}
	p := Purge{
		ID: w.ID, Project: w.Project, Operation: w.Operation,
		Tags: w.Tags, SrcImages: w.SrcImages, AllowAll: w.AllowAll,
		Target: w.Target, DeadlineSeconds: w.DeadlineSeconds, Priority: w.Priority,
		Track: w.Track, Receipt: w.Receipt, Source: w.Source,
	}
	if w.NotBefore != nil {
		p.NotBefore = w.NotBefore.UTC()
	}
	if w.RequestedAt != nil {
		p.RequestedAt = w.RequestedAt.UTC()
	}
	var faults []error
	var err error
	if p.Settle, err = milliseconds("settle_ms", w.SettleMS); err != nil {
		faults = append(faults, err)
	}
	if p.Rebound, err = milliseconds("rebound_ms", w.ReboundMS); err != nil {
		faults = append(faults, err)
	}
	if p.ID == "" {
		faults = append(faults, fault("id", "is missing"))
	}
	if err := errors.Join(append(faults, p.Validate())...); err != nil {
		return Purge{}, err
	}
	if p.Priority == "" {
		p.Priority = Normal
	}
	return p, nil
}

// Encode writes the call as wire version 1. It does not validate.
func (c *Call) Encode() ([]byte, error) {
	w := wireCall{
		V: Version, Batch: c.Batch, Account: c.Account,
		Project: c.Lane.Project, Operation: c.Lane.Operation, Kind: c.Lane.Kind,
		Items: c.Items, Target: c.Lane.Target, Priority: c.Lane.Priority,
		ClaimedAt: c.ClaimedAt.UTC(), Attempt: c.Attempt, Verdict: c.Verdict,
		Staggered: c.DeadlineSeconds != c.Lane.DeadlineSeconds,
	}
	if c.DeadlineSeconds != NoDeadline {
		w.DeadlineSeconds = &c.DeadlineSeconds
	}
	return encode(w)
}

// DecodeCall reads a call of this or an older wire version, as strictly as
// DecodePurge. A call that names no priority has Normal.
func DecodeCall(data []byte) (Call, error) {
	var w wireCall
	if err := decode(data, &w); err != nil {
		return Call{}, err
	}
	c := Call{
		Batch: w.Batch, Account: w.Account, Items: w.Items,
		Lane: Lane{
			Project: w.Project, Kind: w.Kind, Operation: w.Operation, Target: w.Target,
			DeadlineSeconds: NoDeadline, Priority: w.Priority,
		},
		DeadlineSeconds: NoDeadline,
		ClaimedAt:       w.ClaimedAt.UTC(), Attempt: w.Attempt, Verdict: w.Verdict,
	}
	if c.Lane.Priority == "" {
		c.Lane.Priority = Normal
	}
	if w.DeadlineSeconds != nil {
		if *w.DeadlineSeconds < 0 {
			return Call{}, outOfRange(*w.DeadlineSeconds)
		}
		c.DeadlineSeconds = *w.DeadlineSeconds
		if !w.Staggered {
			c.Lane.DeadlineSeconds = *w.DeadlineSeconds
		}
	} else if w.Staggered {
		return Call{}, fault("staggered", "needs deadline_seconds")
	}
	if err := c.Validate(); err != nil {
		return Call{}, err
	}
	return c, nil
}

func encode(w any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // tags are shown to people in the web UI
	if err := e.Encode(w); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// decode looks at the version first, so that a payload of a newer edgepurge is
// refused for its version and not for a field that this one does not know.
func decode(data []byte, into any) error {
	fields, err := Object(data)
	if err != nil {
		return err
	}
	var version *int
	if raw, ok := fields["v"]; ok {
		if err := json.Unmarshal(raw, &version); err != nil {
			return fault("v", "%s is not a version number", abbreviate(string(raw)))
		}
	}
	switch {
	case version == nil:
		return fault("v", "is missing: this payload was not written by edgepurge")
	case *version > Version:
		return fmt.Errorf("%w %d: this edgepurge reads versions up to %d, upgrade the worker", ErrVersion, *version, Version)
	case *version < 1:
		return fmt.Errorf("%w %d: versions begin at 1", ErrVersion, *version)
	}
	if err := checkSpelling(fields); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		if strings.HasPrefix(err.Error(), "json: unknown field") { // encoding/json has no type for it
			return fmt.Errorf("%w: %w", ErrUnknownField, err)
		}
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

// checkSpelling refuses names that only encoding/json would take for ours: it
// ignores their case, so "Tags" beside "tags" would be a duplicate in disguise.
// Our names are lower-case ASCII, and two such names match only when equal.
func checkSpelling(fields map[string]json.RawMessage) error {
	for name, value := range fields {
		for _, c := range []byte(name) {
			if c >= utf8.RuneSelf || 'A' <= c && c <= 'Z' {
				return fault(abbreviate(name), "is unknown: the names of fields are lower case")
			}
		}
		if value[0] != '{' {
			continue
		}
		inner, err := members(value)
		if err != nil {
			return err
		}
		if err := checkSpelling(inner); err != nil {
			return err
		}
	}
	return nil
}

func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// milliseconds guards the conversion: a huge number of milliseconds would
// overflow a Duration into a small or negative one.
func milliseconds(field string, ms int64) (time.Duration, error) {
	if ms < 0 || ms > MaxWait.Milliseconds() {
		return 0, fault(field, "%d is out of range: use 0 to %d", ms, MaxWait.Milliseconds())
	}
	return time.Duration(ms) * time.Millisecond, nil
}
