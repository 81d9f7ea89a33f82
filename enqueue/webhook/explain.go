package webhook

import (
	"context"

	"github.com/edgepurge/edgepurge/tasks"
)

// Explanation is what a delivery would do.
type Explanation struct {
	Source   string `json:"source"`
	Verified bool   `json:"verified"`
	Reason   Reason `json:"reason"`
	// Outcome is the one it would have, if it was not seen before and Redis takes it.
	Outcome Outcome `json:"outcome"`
	// DeliveryID is what a retry is known by; empty: nothing names the delivery.
	DeliveryID string          `json:"delivery_id,omitempty"`
	Operation  tasks.Operation `json:"operation,omitempty"`
	Tags       []string        `json:"tags,omitempty"`
	SrcImages  []string        `json:"src_images,omitempty"`
	// Lanes are the ids of the lanes that the items would travel in.
	Lanes []string `json:"lanes,omitempty"`
	// Problem says what could not be mapped.
	Problem string `json:"problem,omitempty"`
}

// Explain tells what a delivery would do. It stores nothing and asks nobody. A
// delivery that is not genuine is mapped all the same.
func (h *Hook) Explain(ctx context.Context, d Delivery) Explanation {
	proof := h.prove(d)
	e := Explanation{Source: h.name, Verified: proof.reason == Verified, Reason: proof.reason}
	if int64(len(d.Body)) > h.limits.Body {
		e.Outcome = TooLarge
		return e
	}
	p := h.plan(ctx, d)
	e.Outcome, e.Tags, e.SrcImages = h.outcome(p), p.tags, p.images
	if !e.Verified && !h.logOnly {
		e.Outcome = Unauthorized
	}
	e.DeliveryID, _ = h.id(d)
	if p.problem != nil {
		e.Problem = h.redact(p.problem.Error())
	}
	if p.items() == 0 {
		return e
	}
	e.Operation = p.operation
	for _, request := range h.purges(p) {
		for _, kind := range []tasks.Kind{tasks.Tag, tasks.SrcImage} {
			if len(request.Items(kind)) > 0 {
				e.Lanes = append(e.Lanes, request.Lane(kind).ID())
			}
		}
	}
	return e
}
