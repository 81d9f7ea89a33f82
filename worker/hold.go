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
func (c *caller) mayDie(ctx context.Context, a *account, b lanes.Batch, attempt int, j Judgment) (bool, error) {
	full, err := c.archive.full()
	if err != nil {
		return false, err
	}
	scope, reason := scopeOf(j.Verdict, b.Lane.Project), j.Reason
	if full {
		scope, reason = lanes.ScopeAccount, ArchiveFull
	}
	if scope == "" {
		c.metrics.letters.WithLabelValues(string(reason)).Inc()
		return true, nil
	}
	held, err := c.lanes.Hold(ctx, a.Name, scope, string(reason), j.Letter.Error(), b, attempt)
	if err != nil {
		return false, err
	}
	if held.Created {
		c.log.Error().Str("account", a.Name).Str("scope", held.Scope).Str("reason", string(reason)).Str("detail", j.Letter.Error()).
			Msg("held: nothing of it is called until a probe succeeds or it is released")
		if !full {
			c.metrics.letters.WithLabelValues(string(reason)).Inc()
			return true, nil
		}
	}
	return false, c.handBack(ctx, a, b, attempt, reason)
}
