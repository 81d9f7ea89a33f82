package webhook

import (
	"crypto/sha256"
	"slices"

	"github.com/edgepurge/edgepurge/internal/local"
)

// Reason says how the verification of a delivery ended. It is for logs: the
// sender is never told.
type Reason string

// The reasons.
const (
	Verified        Reason = "verified"
	ReasonMissing   Reason = "missing"       // the credential, or a part of what it signs, is not there
	ReasonMalformed Reason = "malformed"     // it cannot be read
	ReasonRepeated  Reason = "repeated"      // it stands twice
	ReasonMismatch  Reason = "mismatch"      // it is wrong, or made with another secret
	ReasonTimestamp Reason = "bad_timestamp" // rightly signed, but the time cannot be read
	ReasonStale     Reason = "stale"         // rightly signed too long ago
	ReasonFuture    Reason = "future"        // rightly signed too far ahead
	ReasonForeign   Reason = "foreign_page"  // nothing is checked, and a web page of a stranger may have sent it
)

// proof is how one verifier judged a delivery.
type proof struct {
	reason Reason
	// content identifies what was signed, time included; zero if nothing was.
	content [sha256.Size]byte
	signed  bool
}

// verifier is a compiled Verifier with its secrets.
type verifier interface {
	verify(r *request) proof
	// readsBody reports whether verify looks at the body.
	readsBody() bool
}

// Verify tells whether the delivery is genuine, and why not. It depends on
// nothing but its arguments. Any verifier of the source may pass.
func (h *Hook) Verify(d Delivery) (ok bool, why Reason) {
	p := h.prove(d)
	return p.reason == Verified, p.reason
}

// prove asks the verifiers in their order. Of several that fail, the first that
// found its credential gives the reason.
func (h *Hook) prove(d Delivery) proof {
	r := &request{Delivery: d, publicPath: h.publicPath}
	verdict := proof{reason: ReasonMissing}
	for _, v := range h.verifiers {
		p := v.verify(r)
		if p.reason == Verified {
			return p
		}
		if verdict.reason == ReasonMissing {
			verdict = proof{reason: p.reason}
		}
	}
	return verdict
}

// proveWithoutBody asks the verifiers that need no body. It returns whether they
// decide: one passed, or there are no others.
func (h *Hook) proveWithoutBody(d Delivery) (p proof, decided bool) {
	r := &request{Delivery: d, publicPath: h.publicPath}
	verdict, decided := proof{reason: ReasonMissing}, true
	for _, v := range h.verifiers {
		if v.readsBody() {
			decided = false
			continue
		}
		p := v.verify(r)
		if p.reason == Verified {
			return p, true
		}
		if verdict.reason == ReasonMissing {
			verdict = proof{reason: p.reason}
		}
	}
	return verdict, decided
}

// open reports whether the source takes deliveries that nothing proves.
func (h *Hook) open() bool {
	return h.logOnly || slices.ContainsFunc(h.verifiers, func(v verifier) bool {
		_, none := v.(noneVerifier)
		return none
	})
}

// noneVerifier lets everything pass but what a web page may have sent that is open
// in a browser on this machine.
type noneVerifier struct{}

func (noneVerifier) verify(r *request) proof {
	if err := local.Refuse(r.Header.Get("Host"), r.Header); err != nil {
		return proof{reason: ReasonForeign}
	}
	return proof{reason: Verified}
}

func (noneVerifier) readsBody() bool { return false }
