package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/edgepurge/edgepurge/tasks"
)

// field reads one field of a purge. Problem says what the value should be;
// empty: it was read.
type field func(p *tasks.Purge, raw json.RawMessage) (problem string)

// fields are those of a purge, named and meant as on the wire. What is not among
// them is not for a client to say: id, source and requested_at.
var fields = map[string]field{
	"project":          text(func(p *tasks.Purge) *string { return &p.Project }),
	"operation":        text(func(p *tasks.Purge) *tasks.Operation { return &p.Operation }),
	"tags":             texts(func(p *tasks.Purge) *[]string { return &p.Tags }),
	"src_images":       texts(func(p *tasks.Purge) *[]string { return &p.SrcImages }),
	"allow_all":        value("should be true or false", func(p *tasks.Purge) *bool { return &p.AllowAll }),
	"target":           text(func(p *tasks.Purge) *tasks.Target { return &p.Target }),
	"deadline_seconds": value("should be a whole number of seconds", func(p *tasks.Purge) **int { return &p.DeadlineSeconds }),
	"priority":         text(func(p *tasks.Purge) *tasks.Priority { return &p.Priority }),
	"settle_ms":        milliseconds(func(p *tasks.Purge) *time.Duration { return &p.Settle }),
	"rebound_ms":       milliseconds(func(p *tasks.Purge) *time.Duration { return &p.Rebound }),
	"not_before":       value("should be a time such as 2026-12-01T09:00:00Z", func(p *tasks.Purge) *time.Time { return &p.NotBefore }),
	"track":            value("should be true or false", func(p *tasks.Purge) *bool { return &p.Track }),
}

// decodePurge reads a purge that is asked for at a time. It is strict, and
// reports all faults at once. A purge is tracked unless it says otherwise.
func decodePurge(body []byte, now time.Time) (tasks.Purge, []fault) {
	p := tasks.Purge{Track: true, RequestedAt: now.UTC().Truncate(time.Millisecond)}
	members, err := tasks.Object(body)
	if err != nil {
		return tasks.Purge{}, []fault{objectFault(err)}
	}
	var faults []fault
	broken := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		problem := "is unknown: use " + strings.Join(slices.Sorted(maps.Keys(fields)), ", ")
		if read, ok := fields[name]; ok {
			problem = read(&p, members[name])
		} else {
			name = abbreviate(name)
		}
		if problem != "" && len(faults) < tasks.MaxFaults {
			faults = append(faults, fault{name, problem})
			broken[name] = true
		}
	}
	p.NotBefore = p.NotBefore.UTC()
	if err := p.Validate(); err != nil {
		for _, f := range faultsOf(err) {
			whole, _, _ := strings.Cut(f.Field, "[")
			if !broken[whole] && !missesItemsOnlyFor(f, broken) {
				faults = append(faults, f)
			}
		}
	}
	if len(faults) > 0 {
		return tasks.Purge{}, faults
	}
	return p, nil
}

// missesItemsOnlyFor reports whether a fault says that no item is named, where
// some are in a list that could not be read.
func missesItemsOnlyFor(f fault, broken map[string]bool) bool {
	return f.Field == "tags" && broken["src_images"]
}

// objectFault words what is wrong with the body as a whole.
func objectFault(err error) fault {
	if f, ok := errors.AsType[*tasks.FieldError](err); ok {
		return fault{abbreviate(f.Field), strings.Replace(f.Problem, "the payload", "the body", 1)}
	}
	said := strings.TrimPrefix(err.Error(), tasks.ErrInvalid.Error()+": ")
	return fault{"body", strings.NewReplacer("payload", "it", " of edgepurge", "").Replace(said)}
}

func value[T any](problem string, at func(*tasks.Purge) *T) field {
	return func(p *tasks.Purge, raw json.RawMessage) string {
		if string(raw) == "null" { // encoding/json would take it for absent
			return problem + ", or be left out"
		}
		var v T
		if json.Unmarshal(raw, &v) != nil {
			return problem
		}
		*at(p) = v
		return ""
	}
}

func text[T ~string](at func(*tasks.Purge) *T) field {
	return func(p *tasks.Purge, raw json.RawMessage) string {
		var s T
		if problem := value("should be text", func(*tasks.Purge) *T { return &s })(p, raw); problem != "" {
			return problem
		}
		if s == "" {
			return "is empty: leave it out or give it a value"
		}
		*at(p) = s
		return ""
	}
}

// texts tells the first element that is no text, which []string would not: it
// takes null for "".
func texts(at func(*tasks.Purge) *[]string) field {
	return func(p *tasks.Purge, raw json.RawMessage) string {
		var list []*string
		if raw[0] != '[' {
			return "should be an array of texts"
		}
		if json.Unmarshal(raw, &list) != nil {
			return "should hold texts only"
		}
		items := make([]string, len(list))
		for i, item := range list {
			if item == nil {
				return fmt.Sprintf("should hold texts only, and has null at %d", i)
			}
			items[i] = *item
		}
		*at(p) = items
		return ""
	}
}

// milliseconds guards the conversion: a huge number would overflow a Duration
// into a small or negative one.
func milliseconds(at func(*tasks.Purge) *time.Duration) field {
	return func(p *tasks.Purge, raw json.RawMessage) string {
		var ms int64
		most := tasks.MaxWait.Milliseconds()
		problem := fmt.Sprintf("should be a whole number of milliseconds, 0 to %d", most)
		if said := value(problem, func(*tasks.Purge) *int64 { return &ms })(p, raw); said != "" {
			return said
		}
		if ms < 0 || ms > most {
			return problem
		}
		*at(p) = time.Duration(ms) * time.Millisecond
		return ""
	}
}

// abbreviate names a field in a message, whatever the client calls it.
func abbreviate(s string) string {
	const most = 64
	if s == "" {
		return `""`
	}
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
