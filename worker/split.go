package worker

import (
	"context"
	"strings"

	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// halves cuts the batch of a refused call in two. Their ids come from the
// parent's, so that a crash in the middle stores nothing twice. Halving finds
// one bad item among 16 with at most 9 calls. They count on from the attempts that
// failed before; the refused one is none of them.
func halves(parent tasks.Call) [2]tasks.Call {
	middle := len(parent.Items) / 2
	left, right := parent, parent
	left.Batch, left.Items = parent.Batch+".0", parent.Items[:middle]
	right.Batch, right.Items = parent.Batch+".1", parent.Items[middle:]
	left.Attempt = max(0, parent.Attempt-1)
	right.Attempt = left.Attempt
	return [2]tasks.Call{left, right}
}

// isHalf reports whether a batch came from a split. Its items must not go back
// to their lane when the budget is short: there they would meet again.
func isHalf(batch string) bool { return strings.Contains(batch, ".") }

// split stores both halves of a batch and ends its lease.
func (c *caller) split(ctx context.Context, a *account, b lanes.Batch, attempt int, j Judgment) error {
	if j.LearnMax > 0 {
		c.log.Warn().Str("account", a.Name).Str("kind", string(b.Lane.Kind)).Int("most", j.LearnMax).
			Msg("Vercel takes fewer items a call than documented: learned")
		if err := c.lanes.LearnMax(ctx, a.Name, b.Lane.Kind, j.LearnMax); err != nil {
			c.log.Debug().Err(err).Str("account", a.Name).Msg("learn") // the next 400 teaches it again
		}
	}
	from := 0
	for _, half := range halves(callOf(a, b, attempt)) {
		to := from + len(half.Items)
		brought := b
		brought.Items, brought.Origins, brought.Terms = half.Items, b.Origins.Slice(from, to), b.Terms.Slice(from, to)
		if err := c.store(ctx, a, half, &brought); err != nil {
			return err
		}
		from = to
	}
	return c.finish(ctx, a, b, attempt, j.provesToken())
}
