package worker

import (
	"context"

	"github.com/edgepurge/edgepurge/worker/lanes"
)

// scopeOf is what a verdict holds, besides the batch's own death; "" for nothing.
func scopeOf(v Verdict, project string) string {
	switch v {
	case HoldAccount:
		return lanes.ScopeAccount
	case HoldProject:
		return lanes.ScopeProject(project)
	case Done, Wait, TryAgain, Split, Dead:
	}
	return ""
}

// mayDie reports whether the batch becomes a dead letter. It does not when the
// hold that its verdict asks for is there already (one expired token costs one
// dead letter, not one a call), when the call began before that hold was released,
// or when asynq's archive has no room: then its items have gone back to their lane.
//
// The hold comes first: whatever fails after it, the calls have stopped.
func (c *caller) mayDie(ctx context.Context, a *account, b lanes.Batch, attempt int, j Judgment) (bool, error) {
	if scope := scopeOf(j.Verdict, b.Lane.Project); scope != "" {
		created, err := c.hold(ctx, a, b, attempt, scope, j.Reason, &j)
		if err != nil {
			return false, err
		}
		if !created {
			return false, c.handBack(ctx, a, b, attempt, j.Reason)
		}
	}
	full, err := c.archive.full(ctx)
	if err != nil {
		return false, err
	}
	if full {
		if _, err := c.hold(ctx, a, b, attempt, lanes.ScopeAccount, ArchiveFull, &j); err != nil {
			return false, err
		}
		return false, c.handBack(ctx, a, b, attempt, ArchiveFull)
	}
	c.metrics.letters.WithLabelValues(string(j.Reason)).Inc()
	return true, nil
}

// hold holds a scope and logs it if this made the hold.
func (c *caller) hold(ctx context.Context, a *account, b lanes.Batch, attempt int, scope string, reason Reason, j *Judgment) (created bool, err error) {
	held, err := c.lanes.Hold(ctx, a.Name, scope, string(reason), j.Letter.Error(), b, attempt)
	if held.Created {
		c.log.Error().Str("account", a.Name).Str("scope", held.Scope).Str("reason", string(reason)).Str("detail", j.Letter.Error()).
			Msg("held: nothing of it is called until a probe succeeds or it is released")
	}
	return held.Created, err
}
