package worker

import (
	"context"

	"github.com/edgepurge/edgepurge/worker/lanes"
)

// eventOf is what the answer to a call says of the state of the API; "" for
// nothing. Of a success it speaks only while the account is slowed or failing.
func eventOf(j Judgment, b lanes.Batch) lanes.Event {
	switch {
	case j.Verdict == Done && b.Adapting:
		return lanes.Succeeded
	case j.Reason == ServerError || j.Reason == Unreachable:
		return lanes.Failed
	}
	return ""
}

// adapt lets the account slow down or recover. It is advice: when Redis does not
// take it, the call is carried out all the same.
func (c *caller) adapt(ctx context.Context, a *account, b lanes.Batch, event lanes.Event, told int) {
	if event == "" {
		return
	}
	if err := c.lanes.Adapt(ctx, a.pace(b.Lane), event, told); err != nil {
		c.log.Debug().Err(err).Str("account", a.Name).Msg("adapt")
	}
}
