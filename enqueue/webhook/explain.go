package webhook

import (
	"context"
	"errors"

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
	DeliveryID string `json:"delivery_id,omitempty"`
	// Environment is that of the sender for which the delivery is ignored; empty: it is not.
	Environment string          `json:"environment,omitempty"`
	Operation   tasks.Operation `json:"operation,omitempty"`
	Tags        []string        `json:"tags,omitempty"`
	SrcImages   []string        `json:"src_images,omitempty"`
	// Lanes are the ids of the lanes that the items would travel in.
	Lanes []string `json:"lanes,omitempty"`
	// Warning says which tags may purge nothing as they are written.
	Warning string `json:"warning,omitempty"`
	// Problem says what could not be mapped.
	Problem string `json:"problem,omitempty"`
}

// Explain tells what a delivery would do. It stores nothing and asks nobody. A
// delivery that is not genuine is mapped all the same.
func (h *Hook) Explain(ctx context.Context, d Delivery) Explanation {
	packed := d
	d, err := unpacked(d, h.limits.Body, func(int64) bool { return true })
	proof := h.prove(d)
	e := Explanation{Source: h.name, Verified: proof.reason == Verified, Reason: proof.reason}
	if encoding, ok := errors.AsType[*encodingError](err); ok {
		e.Outcome, e.Problem = BadEncoding, encoding.Error()
		return e
	}
	if err != nil || int64(len(packed.Body)) > h.limits.Body {
		e.Outcome = TooLarge
		return e
	}
	p := h.plan(ctx, d)
	e.Outcome, e.Tags, e.SrcImages, e.Environment = h.outcome(p), p.tags, p.images, p.environment
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
	e.Operation, e.Warning = p.operation, h.redact(p.warning())
	for _, request := range h.purges(p) {
		for _, kind := range []tasks.Kind{tasks.Tag, tasks.SrcImage} {
			if len(request.Items(kind)) > 0 {
				e.Lanes = append(e.Lanes, request.Lane(kind).ID())
			}
		}
	}
	return e
}

// Credentials says, for each way to prove a delivery, what it must carry and
// where, such as "a signature in the header X-Signature". It holds no secret.
func (h *Hook) Credentials() []string {
	list := make([]string, len(h.verifiers))
	for i, v := range h.verifiers {
		switch v := v.(type) {
		case *signatureVerifier:
			list[i] = "a signature in the header " + v.header.Header
			if v.stamp != nil && v.stamp.from.kind == inHeader {
				list[i] += " and a time in the header " + v.stamp.from.name
			}
		case *tokenVerifier:
			list[i] = "the secret as " + v.from.String()
			if v.scheme != "" {
				list[i] += " after " + v.scheme
			}
		case *basicVerifier:
			list[i] = "user and password in the header Authorization (Basic)"
		default:
			list[i] = "nothing"
		}
	}
	return list
}

// Purges maps a delivery as a Handler does, without asking whether it is genuine
// or was seen before: for one that was kept because it could not be mapped then.
// It returns a request for each project, none if there is nothing to purge. The
// error says what cannot be mapped; there are no requests then.
func (h *Hook) Purges(ctx context.Context, d Delivery) ([]tasks.Purge, error) {
	p := h.plan(ctx, d)
	if p.problem != nil {
		return nil, errors.New(h.redact(p.problem.Error()))
	}
	if p.items() == 0 {
		return nil, nil
	}
	return h.purges(p), nil
}
