package webhook

import (
	"github.com/rs/zerolog"

	"github.com/edgepurge/edgepurge/tasks"
)

// line is what the log says of a delivery. It is put into an event at once
// (EmbedObject): a logger that gathers it step by step would be copied at each.
type line struct {
	source    string
	reason    Reason   // of the verification
	id        string   // "": not known yet
	requests  []string // the ids of what was stored, the first maxRequestIDs
	mapped    bool     // operation and items are known
	operation tasks.Operation
	items     int
	// environment is that of the sender for which it is ignored.
	environment string
	warning     string // what may purge nothing, redacted
	problem     string // what could not be mapped, redacted; "": all could be
	err         string // why nothing is stored, redacted
	client      string // the address it came from, if it is refused
}

var _ zerolog.LogObjectMarshaler = (*line)(nil)

// MarshalZerologObject implements zerolog.LogObjectMarshaler.
func (l *line) MarshalZerologObject(e *zerolog.Event) {
	e.Str("source", l.source).Str("reason", string(l.reason))
	if l.id != "" {
		e.Str("id", l.id)
	}
	if len(l.requests) > 0 {
		e.Strs("request_ids", l.requests)
	}
	if l.mapped {
		e.Str("operation", string(l.operation)).Int("items", l.items)
	}
	if l.environment != "" {
		e.Str("environment", l.environment)
	}
	if l.warning != "" {
		e.Str("warning", l.warning)
	}
	if l.problem != "" {
		e.Str("problem", l.problem)
	}
	if l.err != "" {
		e.Str(zerolog.ErrorFieldName, l.err)
	}
	if l.client != "" {
		e.Str("client", l.client)
	}
}

// levelOf is how loud the log is about an outcome.
func levelOf(outcome Outcome) zerolog.Level {
	switch outcome {
	case Unavailable, NoRoom:
		return zerolog.ErrorLevel
	case Dead, Partial, Rejected, NoTags:
		return zerolog.WarnLevel
	default:
		return zerolog.InfoLevel
	}
}
