package tasks

import (
	"strconv"
	"strings"
)

// Operation is what a purge does to the cached entries.
type Operation string

// The two operations.
const (
	// Delete is Vercel's "dangerously delete": the next visitor waits for the origin.
	Delete Operation = "delete"
	// Invalidate is the gentle one: the next visitor gets the stale entry while it is revalidated.
	Invalidate Operation = "invalidate"
)

// Target is the environment whose cache is purged; the zero value means all of them.
type Target string

// The two targets that Vercel knows, for tags only.
const (
	AllTargets Target = ""
	Production Target = "production"
	Preview    Target = "preview"
)

// Priority orders lanes when the budget is short.
type Priority string

// The priorities, most urgent first.
const (
	Urgent Priority = "urgent" // passes over linger and spread, may use the budget's reserve
	Normal Priority = "normal" // the zero value of a request means this
	Bulk   Priority = "bulk"   // waits while normal lanes have work, with a floor against starving
)

// Priorities lists all priorities, most urgent first.
var Priorities = [3]Priority{Urgent, Normal, Bulk}

// NoDeadline is the deadline of a lane whose requests named none.
const NoDeadline = -1

// Lane is everything that may share an API call. Two items of equal lanes may
// travel in one batch; items of different lanes never do.
type Lane struct {
	Project   string    `json:"project"`
	Kind      Kind      `json:"kind"`
	Operation Operation `json:"operation"`
	Target    Target    `json:"target,omitempty"`
	// DeadlineSeconds is 0 to MaxDeadlineSeconds, or NoDeadline.
	DeadlineSeconds int      `json:"deadline_seconds"`
	Priority        Priority `json:"priority"`
}

// With returns the same lane at another priority.
func (l Lane) With(p Priority) Lane {
	l.Priority = p
	return l
}

// Family is the identity of the lane without its priority. An item is pending
// at most once in a family.
func (l Lane) Family() string {
	target, deadline := "all", "none"
	if l.Target != AllTargets {
		target = string(l.Target)
	}
	if l.DeadlineSeconds != NoDeadline {
		deadline = strconv.Itoa(l.DeadlineSeconds)
	}
	return strings.Join([]string{l.Project, string(l.Kind), string(l.Operation), target, deadline}, ":")
}

// ID names the lane in Redis keys, such as "prj_abc:tag:delete:production:60:normal".
// No part of it can hold a colon, so different lanes have different ids.
func (l Lane) ID() string { return l.Family() + ":" + string(l.Priority) }

// ParseLane is the inverse of Lane.ID. It returns an error that matches
// ErrInvalid for anything that ID does not write.
func ParseLane(id string) (Lane, error) {
	part := strings.Split(id, ":")
	if len(part) != 6 {
		return Lane{}, fault("lane", "%q does not have six parts", id)
	}
	l := Lane{
		Project:         part[0],
		Kind:            Kind(part[1]),
		Operation:       Operation(part[2]),
		Target:          Target(part[3]),
		DeadlineSeconds: NoDeadline,
		Priority:        Priority(part[5]),
	}
	if part[3] == "all" {
		l.Target = AllTargets
	}
	if part[4] != "none" {
		n, err := strconv.Atoi(part[4])
		if err != nil {
			return Lane{}, fault("lane", "%q: the deadline is not a number", id)
		}
		l.DeadlineSeconds = n
	}
	if err := l.Validate(); err != nil {
		return Lane{}, err
	}
	if l.ID() != id {
		return Lane{}, fault("lane", "%q is not in its one right spelling, %q", id, l.ID())
	}
	return l, nil
}

// Validate reports the first fault of the lane, or nil.
func (l Lane) Validate() error {
	for _, err := range []error{
		checkProject(l.Project),
		checkKind(l.Kind),
		checkOperation(l.Operation),
		checkTarget(l.Target),
		checkDeadline(l.DeadlineSeconds, l.Operation),
		checkPriority(l.Priority),
	} {
		if err != nil {
			return err
		}
	}
	if l.Target != AllTargets && l.Kind == SrcImage {
		return fault("target", "Vercel takes no target for source images: leave it out")
	}
	return nil
}

// MaxProjectBytes bounds a project id or name; Vercel's names have at most 100 characters.
const MaxProjectBytes = 100

func checkProject(p string) error {
	if p == "" {
		return fault("project", "is missing: give the project's id (prj_…) or name")
	}
	if len(p) > MaxProjectBytes {
		return fault("project", "is %d bytes long, the limit is %d", len(p), MaxProjectBytes)
	}
	if !isName(p) {
		return fault("project", "%q may hold only letters, digits, '.', '_' and '-'", abbreviate(p))
	}
	return nil
}

// isName reports whether s can stand in a Redis key and an asynq task id as it is.
func isName(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return s != ""
}

func checkKind(k Kind) error {
	if k != Tag && k != SrcImage {
		return fault("kind", "%q is unknown: use %q or %q", abbreviate(string(k)), Tag, SrcImage)
	}
	return nil
}

func checkOperation(o Operation) error {
	if o == "" {
		return fault("operation", "is missing: use %q or %q", Delete, Invalidate)
	}
	if o != Delete && o != Invalidate {
		return fault("operation", "%q is unknown: use %q or %q", abbreviate(string(o)), Delete, Invalidate)
	}
	return nil
}

func checkTarget(t Target) error {
	if t != AllTargets && t != Production && t != Preview {
		return fault("target", "%q is unknown: use %q or %q, or leave it out for every environment", abbreviate(string(t)), Production, Preview)
	}
	return nil
}

func checkDeadline(seconds int, o Operation) error {
	if seconds == NoDeadline {
		return nil
	}
	if seconds < 0 || seconds > MaxDeadlineSeconds {
		return outOfRange(seconds)
	}
	if o == Invalidate {
		return fault("deadline_seconds", "an invalidate takes no deadline: leave it out or use operation %q", Delete)
	}
	return nil
}

func outOfRange(seconds int) error {
	return fault("deadline_seconds", "%d is out of range: use 0 to %d seconds, a year", seconds, MaxDeadlineSeconds)
}

func checkPriority(p Priority) error {
	for _, known := range Priorities {
		if p == known {
			return nil
		}
	}
	return fault("priority", "%q is unknown: use %q, %q or %q", abbreviate(string(p)), Urgent, Normal, Bulk)
}
