package webhook

import (
	"context"
	"errors"
	"fmt"

	"github.com/rs/zerolog"

	"github.com/edgepurge/edgepurge/tasks"
)

// result is what became of a delivery.
type result struct {
	outcome  Outcome
	id       string
	requests []string // the ids of what was stored, the first maxRequestIDs
}

// maxRequestIDs is how many requests the line and the answer name, as many as the
// line of a call does.
const maxRequestIDs = 20

// take does with a delivery what is to be done. What it holds unproved ends once
// it is proved.
func (h *Handler) take(ctx context.Context, hook *Hook, d Delivery, client string, stay *stay) (done result) {
	defer func() {
		if v := recover(); v != nil {
			h.Log.Error().Str("source", hook.name).Str("panic", hook.redact(fmt.Sprint(v))).Msg("webhook not taken in: a fault of this program")
			done = result{outcome: Unavailable}
		}
	}()
	l := &line{source: hook.name}
	var proof proof
	if err := h.inTurn(ctx, d, func() { proof = hook.prove(d) }); err != nil {
		l.err = err.Error()
		h.Log.Error().EmbedObject(l).Msg("webhook not taken in: not checked in time")
		return result{outcome: Unavailable}
	}
	l.reason = proof.reason
	if proof.reason != Verified {
		if !hook.logOnly {
			l.client = client
			h.Log.Warn().EmbedObject(l).Msg("webhook refused")
			return result{outcome: Unauthorized}
		}
		h.Count(hook.name, Unverified)
		h.Log.Warn().EmbedObject(l).Msg("webhook not verified, taken in because the source only logs that")
	} else if !hook.open() {
		stay.end()
	}
	var ids []string
	if proof.reason == Verified { // else anyone could make a purge seem a duplicate
		ids = hook.ids(d, proof)
	}
	l.id = answerID(hook, d, ids)
	outcome := Duplicate
	if !h.seen(ctx, l, hook, ids) {
		outcome = h.carryOut(ctx, l, hook, d)
		if outcome == Queued {
			// Nothing else is remembered. Of a delivery that was ignored or could not be
			// mapped, not all was purged: sent again once the source is changed, it can be.
			// One that still cannot be mapped is the dead letter that it was, by its id.
			h.mark(ctx, l, hook, ids)
		}
	}
	if outcome == Rejected {
		l.client = client
	}
	level := levelOf(outcome)
	if l.warning != "" {
		level = max(level, zerolog.WarnLevel)
	}
	h.Log.WithLevel(level).EmbedObject(l).Str("outcome", string(outcome)).Msg("webhook")
	return result{outcome, l.id, l.requests}
}

// inTurn does some work on a body when it may, unless ctx ends before.
func (h *Handler) inTurn(ctx context.Context, d Delivery, work func()) error {
	back, err := h.turns.take(ctx, len(d.Body))
	if err != nil {
		return err
	}
	defer back()
	work()
	return nil
}

// carryOut maps a delivery and stores what it asks for, and what is wrong with it.
func (h *Handler) carryOut(ctx context.Context, l *line, hook *Hook, d Delivery) Outcome {
	var p plan
	if err := h.inTurn(ctx, d, func() { p = hook.plan(ctx, d) }); err != nil {
		l.err = err.Error()
		return Unavailable
	}
	outcome := hook.outcome(p)
	l.mapped, l.operation, l.items = true, p.operation, p.items()
	l.environment, l.warning = hook.redact(p.environment), hook.redact(p.warning())
	if outcome == Rejected {
		l.problem = hook.redact(p.problem.Error())
		return Rejected
	}
	if p.items() > 0 {
		outcome = h.enqueue(ctx, l, &p, hook, outcome)
	}
	if p.problem != nil && outcome != Unavailable {
		l.problem = hook.redact(p.problem.Error())
		letter := Letter{Source: hook.name, ID: l.id, ReceivedAt: d.Now, Reason: l.problem, Unverified: l.reason != Verified}
		if err := h.keep(ctx, hook, d, letter); err != nil {
			outcome, p.problem = Unavailable, fmt.Errorf("keep a dead letter: %w", err)
			if errors.Is(err, ErrNoRoom) {
				outcome = NoRoom
			}
		}
	}
	if outcome == Unavailable || outcome == NoRoom {
		l.err = hook.redact(p.problem.Error())
	}
	return outcome
}

// keep keeps a dead letter if there is room, with what of the delivery may be shown.
// A source that is full costs no redaction.
func (h *Handler) keep(ctx context.Context, hook *Hook, d Delivery, l Letter) error {
	if h.Room != nil {
		if err := h.Room(ctx, l, len(d.Body)); err != nil {
			return err
		}
	}
	if err := h.inTurn(ctx, d, func() { l.Header, l.Body = hook.redactHeader(d.Header), hook.redactBody(d.Body) }); err != nil {
		return err
	}
	return h.Dead(ctx, l)
}

// enqueue stores the requests of a plan. It returns the outcome, changed if
// they are not stored, with the cause as the plan's problem.
func (h *Handler) enqueue(ctx context.Context, l *line, p *plan, hook *Hook, outcome Outcome) Outcome {
	for _, request := range hook.purges(*p) {
		id, err := h.Enqueue(ctx, request)
		switch {
		case errors.Is(err, tasks.ErrInvalid): // no retry can help
			p.problem = errors.Join(p.problem, fmt.Errorf("enqueue: %w", err))
			outcome = Dead
		case err != nil:
			p.problem = fmt.Errorf("enqueue: %w", err)
			return Unavailable
		case len(l.requests) < maxRequestIDs:
			l.requests = append(l.requests, id)
		}
	}
	return outcome
}

func (h *Handler) seen(ctx context.Context, l *line, hook *Hook, ids []string) bool {
	if h.Dedupe == nil || len(ids) == 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, dedupeWithin)
	defer cancel()
	seen, err := h.Dedupe.Seen(ctx, hook.name, ids...)
	if err != nil { // a purge twice does no harm, one that is lost does
		h.Log.Warn().EmbedObject(l).Err(err).Msg("webhook may be a duplicate: nobody knows")
		return false
	}
	return seen
}

func (h *Handler) mark(ctx context.Context, l *line, hook *Hook, ids []string) {
	if h.Dedupe == nil || len(ids) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, dedupeWithin)
	defer cancel()
	if err := h.Dedupe.Mark(ctx, hook.name, hook.dedupeTTL, ids...); err != nil {
		h.Log.Warn().EmbedObject(l).Err(err).Msg("webhook is not remembered: a duplicate will purge again")
	}
}
