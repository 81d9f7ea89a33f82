package tasks

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// Bounds of a request that are ours, not Vercel's.
const (
	MaxWait        = 30 * 24 * time.Hour // settle and rebound
	MaxNotBefore   = 366 * 24 * time.Hour
	MaxIDBytes     = 64
	MaxSourceBytes = 100
	// MaxFaults bounds how many faults Validate reports; it says how many more there are.
	MaxFaults = 20
)

// Purge is a request: what a producer asks a worker to purge. Project,
// Operation and at least one tag or source image are required.
type Purge struct {
	// ID names the request; package enqueue chooses it. Letters, digits, '.', '_', '-'.
	ID string
	// Project is a Vercel project id (prj_…) or name.
	Project   string
	Operation Operation
	// Tags are cache tags, each 1 to MaxTagBytes, sent verbatim. Any number.
	Tags []string
	// SrcImages are source images of Vercel's image optimisation, each 1 to MaxSrcImageBytes. Any number.
	SrcImages []string
	// AllowAll lets Tags hold AllTags, which purges the whole project.
	AllowAll bool
	// Target limits the purge of Tags to one environment; zero means all. Vercel
	// knows no environment of SrcImages: those beside Tags are purged in all of
	// them, and SrcImages alone take no Target.
	Target Target
	// DeadlineSeconds, for Delete only: until then entries are revalidated in
	// the background, afterwards what was not visited is deleted. Nil leaves it
	// to the worker's configuration, 0 deletes at once. At most MaxDeadlineSeconds.
	DeadlineSeconds *int
	// Priority: empty means Normal.
	Priority Priority
	// Settle is how long after RequestedAt the content may still be stale at the
	// origin: the purge waits for it. At most MaxWait, milliseconds count.
	Settle time.Duration
	// Rebound asks for a second purge this long after the first; 0 for none. At most MaxWait.
	Rebound time.Duration
	// NotBefore holds the purge back until then (a page under embargo); zero means at once.
	NotBefore time.Time
	// Track asks for a receipt that can be followed.
	Track bool
	// Receipt is, of a tracked request in several tasks, the ID of the whole; empty
	// means ID. Package enqueue sets it, whatever stands here.
	Receipt string
	// Source says who asked, for logs and metrics, such as "sanity/blog".
	Source string
	// RequestedAt is when the producer asked; package enqueue sets it.
	RequestedAt time.Time
}

// Validate reports all faults of the request at once, each a *FieldError that
// matches ErrInvalid, or nil. An empty ID, Priority or RequestedAt is no fault:
// package enqueue fills them in.
func (p *Purge) Validate() error {
	var faults []error
	add := func(err error) {
		if err != nil {
			faults = append(faults, err)
		}
	}
	if p.ID != "" && (!isName(p.ID) || len(p.ID) > MaxIDBytes) {
		add(fault("id", "%q must be 1 to %d letters, digits, '.', '_' or '-'", abbreviate(p.ID), MaxIDBytes))
	}
	if p.Receipt != "" && (!isName(p.Receipt) || len(p.Receipt) > MaxIDBytes) {
		add(fault("receipt", "%q must be 1 to %d letters, digits, '.', '_' or '-'", abbreviate(p.Receipt), MaxIDBytes))
	}
	add(checkProject(p.Project))
	add(checkOperation(p.Operation))
	add(checkTarget(p.Target))
	if p.DeadlineSeconds != nil && *p.DeadlineSeconds == NoDeadline {
		add(outOfRange(NoDeadline)) // only a lane writes "none" as a number
	} else {
		add(checkDeadline(p.deadline(), p.Operation))
	}
	if p.Priority != "" {
		add(checkPriority(p.Priority))
	}
	if len(p.Tags)+len(p.SrcImages) == 0 {
		add(fault("tags", "name at least one tag or source image"))
	}
	if p.Target != AllTargets && len(p.Tags) == 0 && len(p.SrcImages) > 0 {
		add(fault("target", "Vercel takes no target for source images: leave it out"))
	}
	add(checkWait("settle_ms", p.Settle))
	add(checkWait("rebound_ms", p.Rebound))
	if len(p.Source) > MaxSourceBytes {
		add(fault("source", "is %d bytes long, the limit is %d", len(p.Source), MaxSourceBytes))
	}
	if !utf8.ValidString(p.Source) { // JSON would replace it by something longer
		add(fault("source", "is not valid UTF-8: %q", abbreviate(p.Source)))
	}
	add(checkTime("not_before", p.NotBefore))
	add(checkTime("requested_at", p.RequestedAt))
	if !p.NotBefore.IsZero() && !p.RequestedAt.IsZero() && p.NotBefore.Sub(p.RequestedAt) > MaxNotBefore {
		add(fault("not_before", "%s is more than a year away", p.NotBefore.Format(time.RFC3339)))
	}
	for i, tag := range p.Tags {
		if tag == AllTags && !p.AllowAll {
			add(fault(fmt.Sprintf("tags[%d]", i), `"*" purges the whole project: set allow_all if that is meant`))
		} else if err := CheckItem(Tag, tag); err != nil {
			add(fault(fmt.Sprintf("tags[%d]", i), "%v", err))
		}
	}
	for i, image := range p.SrcImages {
		if err := CheckItem(SrcImage, image); err != nil {
			add(fault(fmt.Sprintf("src_images[%d]", i), "%v", err))
		}
	}
	if more := len(faults) - MaxFaults; more > 0 {
		faults = append(faults[:MaxFaults], fault("request", "%d more faults", more))
	}
	return errors.Join(faults...)
}

// Lane returns the lane that the request's items of one kind travel in.
// Images take no target.
func (p *Purge) Lane(kind Kind) Lane {
	l := Lane{
		Project:         p.Project,
		Kind:            kind,
		Operation:       p.Operation,
		Target:          p.Target,
		DeadlineSeconds: p.deadline(),
		Priority:        p.Priority,
	}
	if kind == SrcImage {
		l.Target = AllTargets
	}
	if l.Priority == "" {
		l.Priority = Normal
	}
	return l
}

// ReceiptID names the receipt in which the request's items are counted; empty
// if it is not tracked.
func (p *Purge) ReceiptID() string {
	switch {
	case !p.Track:
		return ""
	case p.Receipt != "":
		return p.Receipt
	}
	return p.ID
}

// Items returns the request's items of one kind.
func (p *Purge) Items(kind Kind) []string {
	if kind == SrcImage {
		return p.SrcImages
	}
	return p.Tags
}

func (p *Purge) deadline() int {
	if p.DeadlineSeconds == nil {
		return NoDeadline
	}
	return *p.DeadlineSeconds
}

// checkTime refuses what JSON cannot write: RFC 3339 has four digits for the year.
func checkTime(field string, t time.Time) error {
	if year := t.UTC().Year(); year < 0 || year > 9999 {
		return fault(field, "the year %d is out of range: use 0 to 9999", year)
	}
	return nil
}

func checkWait(field string, d time.Duration) error {
	if d < 0 || d > MaxWait {
		return fault(field, "%s is out of range: use 0 to %s", d, MaxWait)
	}
	if d%time.Millisecond != 0 {
		return fault(field, "%s is finer than a millisecond", d)
	}
	return nil
}
