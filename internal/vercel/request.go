package vercel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/edgepurge/edgepurge/tasks"
)

// Request is one call: what to purge, in one project.
type Request struct {
	// Project is a project id (prj_…) or name. Required.
	Project string
	// Kind and Operation choose the endpoint. Required.
	Kind      tasks.Kind
	Operation tasks.Operation
	// Items are tags or source images, sent verbatim and in this order. How many
	// there may be, and how long, is for Vercel to say; none is sent as an empty list.
	Items []string
	// Target is for tags only; tasks.AllTargets (the zero value) is not sent.
	Target tasks.Target
	// DeadlineSeconds is sent with a delete, 0 to tasks.MaxDeadlineSeconds;
	// tasks.NoDeadline is not sent. With an invalidate, which takes none, 0 and
	// tasks.NoDeadline are alike and anything above is a fault.
	DeadlineSeconds int
	// StringForm sends tags as one comma-separated string, not as an array.
	StringForm bool
}

// wireBody holds every field that any endpoint knows; encode fills in those
// that its endpoint knows, for all four schemas forbid any other.
type wireBody struct {
	Tags      any           `json:"tags,omitempty"` // []string or string
	SrcImages []string      `json:"srcImages,omitzero"`
	Target    *tasks.Target `json:"target,omitempty"`
	Deadline  *int          `json:"revalidationDeadlineSeconds,omitempty"`
}

// path is the endpoint of a request that encode accepts.
func (r Request) path() string {
	verb, noun := "dangerously-delete", "tags"
	if r.Operation == tasks.Invalidate {
		verb = "invalidate"
	}
	if r.Kind == tasks.SrcImage {
		noun = "src-images"
	}
	return "/v1/edge-cache/" + verb + "-by-" + noun
}

// encode writes the body of the call. What the endpoint cannot express is an
// error and never left out in silence: a purge without its target is a wider
// purge than was asked for.
func (r Request) encode() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("vercel: %w", err)
	}
	items := r.Items
	if items == nil {
		items = []string{}
	}
	var body wireBody
	switch {
	case r.Kind == tasks.SrcImage:
		body.SrcImages = items
	case r.StringForm:
		body.Tags = strings.Join(items, ",")
	default:
		body.Tags = items
	}
	if r.Target != tasks.AllTargets {
		body.Target = &r.Target
	}
	if r.Operation == tasks.Delete && r.DeadlineSeconds != tasks.NoDeadline {
		body.Deadline = &r.DeadlineSeconds
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// check returns the first fault, which matches tasks.ErrInvalid.
func (r Request) check() error {
	fault := func(field, format string, args ...any) error {
		return &tasks.FieldError{Field: field, Problem: fmt.Sprintf(format, args...)}
	}
	switch {
	case r.Project == "":
		return fault("project", "is missing")
	case r.Kind != tasks.Tag && r.Kind != tasks.SrcImage:
		return fault("kind", "%q is unknown: use %q or %q", r.Kind, tasks.Tag, tasks.SrcImage)
	case r.Operation != tasks.Delete && r.Operation != tasks.Invalidate:
		return fault("operation", "%q is unknown: use %q or %q", r.Operation, tasks.Delete, tasks.Invalidate)
	case r.Kind == tasks.SrcImage && r.Target != tasks.AllTargets:
		return fault("target", "Vercel takes no target for source images")
	case r.Kind == tasks.SrcImage && r.StringForm:
		return fault("string form", "Vercel takes source images as an array only")
	case r.Operation == tasks.Invalidate && r.DeadlineSeconds > 0:
		return fault("deadline_seconds", "an invalidate takes no deadline")
	case r.DeadlineSeconds < tasks.NoDeadline || r.DeadlineSeconds > tasks.MaxDeadlineSeconds:
		return fault("deadline_seconds", "%d is out of range: use 0 to %d", r.DeadlineSeconds, tasks.MaxDeadlineSeconds)
	}
	for i, item := range r.Items {
		if !utf8.ValidString(item) { // encoding/json would replace bytes and so purge a different item
			return fault(fmt.Sprintf("items[%d]", i), "is not valid UTF-8")
		}
		if r.StringForm && strings.Contains(item, ",") {
			return fault(fmt.Sprintf("items[%d]", i), "holds a comma, which separates tags in the string form")
		}
	}
	return nil
}
