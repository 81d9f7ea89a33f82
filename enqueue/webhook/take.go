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
	outcome Outcome
	id      string
}

// take does with a delivery what is to be done.
func (h *Handler) take(ctx context.Context, hook *Hook, d Delivery) (done result) {
	defer func() {
		if v := recover(); v != nil {
			h.Log.Error().Str("source", hook.name).Str("panic", hook.redact(fmt.Sprint(v))).Msg("webhook not taken in: a fault of this program")
			done = result{outcome: Unavailable}
		}
	}()
	proof := hook.prove(d)
	log := h.Log.With().Str("source", hook.name).Str("reason", string(proof.reason)).Logger()
	if proof.reason != Verified {
		if !hook.logOnly {
			log.Warn().Msg("webhook refused")
			return result{outcome: Unauthorized}
		}
		h.Count(hook.name, Unverified)
		log.Warn().Msg("webhook not verified, taken in because the source only logs that")
	}
	var ids []string
	if proof.reason == Verified { // else anyone could make a purge seem a duplicate
		ids = hook.ids(d, proof)
	}
	id := answerID(hook, d, ids)
	log = log.With().Str("id", id).Logger()
	if h.seen(ctx, log, hook, ids) {
		return result{end(log, Duplicate), id}
	}
	p := hook.plan(ctx, d)
	outcome := hook.outcome(p)
	log = log.With().Str("operation", string(p.operation)).Int("items", p.items()).Logger()
	if outcome == Rejected {
		log = log.With().Str("problem", hook.redact(p.problem.Error())).Logger()
		return result{end(log, Rejected), id}
	}
	if p.items() > 0 {
		outcome = h.enqueue(ctx, &p, hook, outcome)
	}
	if p.problem != nil && outcome != Unavailable {
		problem := hook.redact(p.problem.Error())
		log = log.With().Str("problem", problem).Logger()
		if err := h.Dead(ctx, Letter{
			Source: hook.name, ID: id, ReceivedAt: d.Now,
			Header: hook.redactHeader(d.Header), Body: hook.redactBody(d.Body), Reason: problem,
		}); err != nil {
			outcome, p.problem = Unavailable, fmt.Errorf("keep a dead letter: %w", err)
		}
	}
	if outcome == Unavailable {
		log = log.With().Str("err", hook.redact(p.problem.Error())).Logger()
		return result{end(log, Unavailable), id}
	}
	h.mark(ctx, log, hook, ids)
	return result{end(log, outcome), id}
}

// enqueue stores the requests of a plan. It returns the outcome, changed if
// they are not stored, with the cause as the plan's problem.
func (h *Handler) enqueue(ctx context.Context, p *plan, hook *Hook, outcome Outcome) Outcome {
	for _, request := range hook.purges(*p) {
		err := h.Enqueue(ctx, request)
		switch {
		case errors.Is(err, tasks.ErrInvalid): // no retry can help
			p.problem = errors.Join(p.problem, fmt.Errorf("enqueue: %w", err))
			outcome = Dead
		case err != nil:
			p.problem = fmt.Errorf("enqueue: %w", err)
			return Unavailable
		}
	}
	return outcome
}

func (h *Handler) seen(ctx context.Context, log zerolog.Logger, hook *Hook, ids []string) bool {
	if h.Dedupe == nil || len(ids) == 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, dedupeWithin)
	defer cancel()
	seen, err := h.Dedupe.Seen(ctx, hook.name, ids...)
	if err != nil { // a purge twice does no harm, one that is lost does
		log.Warn().Err(err).Msg("webhook may be a duplicate: nobody knows")
		return false
	}
	return seen
}

func (h *Handler) mark(ctx context.Context, log zerolog.Logger, hook *Hook, ids []string) {
	if h.Dedupe == nil || len(ids) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, dedupeWithin)
	defer cancel()
	if err := h.Dedupe.Mark(ctx, hook.name, hook.dedupeTTL, ids...); err != nil {
		log.Warn().Err(err).Msg("webhook is not remembered: a duplicate will purge again")
	}
}

// end logs the outcome.
func end(log zerolog.Logger, outcome Outcome) Outcome {
	level := zerolog.InfoLevel
	switch outcome {
	case Unavailable:
		level = zerolog.ErrorLevel
	case Dead, Partial, Rejected, NoTags:
		level = zerolog.WarnLevel
	default:
	}
	log.WithLevel(level).Str("outcome", string(outcome)).Msg("webhook")
	return outcome
}
