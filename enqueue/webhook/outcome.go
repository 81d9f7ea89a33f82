package webhook

// Outcome is what became of a delivery, as metrics count it.
type Outcome string

// The outcomes. A delivery has one of them; Unverified comes beside another.
const (
	Queued       Outcome = "queued"       // its purge is stored
	Ignored      Outcome = "ignored"      // accept is false
	NoTags       Outcome = "no_tags"      // accepted, but the mapping names nothing to purge
	Duplicate    Outcome = "duplicate"    // taken in before
	Partial      Outcome = "partial"      // a part is stored, and the delivery is a dead letter for the rest
	Dead         Outcome = "dead_letter"  // it cannot be mapped, and is a dead letter
	Rejected     Outcome = "rejected"     // it cannot be mapped, and the source says to refuse it
	Unauthorized Outcome = "unauthorized" // it is not genuine
	Unverified   Outcome = "unverified"   // it is not genuine, but the source only logs that
	TooLarge     Outcome = "too_large"    // its body is over the limit
	BadEncoding  Outcome = "bad_encoding" // its body is compressed in a way that is not unpacked
	BadMethod    Outcome = "bad_method"   // it is not a POST
	Unavailable  Outcome = "unavailable"  // it could not be stored, or not in time
	NotFound     Outcome = "not_found"    // no source has its name; only with UnknownSource
	NoRoom       Outcome = "no_room"      // it cannot be mapped, and too many dead letters of its source are kept
)

// Outcomes returns all outcomes of a source, for the labels of a metric. NotFound is
// none: there is no source.
func Outcomes() []Outcome {
	return []Outcome{
		Queued, Ignored, NoTags, Duplicate, Partial, Dead, Rejected,
		Unauthorized, Unverified, TooLarge, BadEncoding, BadMethod, Unavailable, NoRoom,
	}
}

// outcome is what a plan leads to when everything can be stored.
func (h *Hook) outcome(p plan) Outcome {
	switch {
	case p.problem != nil && h.reject:
		return Rejected
	case p.problem != nil && p.items() > 0:
		return Partial
	case p.problem != nil:
		return Dead
	case !p.accepted:
		return Ignored
	case p.items() == 0:
		return NoTags
	}
	return Queued
}
