package gateway

// Outcome is what became of an exchange, as metrics count it.
type Outcome string

// The outcomes. An exchange has one of them.
const (
	Queued       Outcome = "queued"       // its purge is stored
	Repeated     Outcome = "repeated"     // its Idempotency-Key came before, with the same purge: nothing is stored twice
	Conflict     Outcome = "conflict"     // its Idempotency-Key came before, with another purge
	Shown        Outcome = "shown"        // a question is answered
	Invalid      Outcome = "invalid"      // it is refused for what it says
	Unauthorized Outcome = "unauthorized" // it has no key, or one that is unknown
	Forbidden    Outcome = "forbidden"    // its key is not for that project
	NotFound     Outcome = "not_found"    // there is no such path, or no such receipt
	BadMethod    Outcome = "bad_method"   // the path has another method
	TooLarge     Outcome = "too_large"    // its body is over the limit
	Unavailable  Outcome = "unavailable"  // it could not be stored or looked up
)

// Outcomes returns all outcomes, for the labels of a metric.
func Outcomes() []Outcome {
	return []Outcome{
		Queued, Repeated, Conflict, Shown, Invalid, Unauthorized, Forbidden,
		NotFound, BadMethod, TooLarge, Unavailable,
	}
}
