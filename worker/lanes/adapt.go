package lanes

import (
	"context"
	"fmt"
)

// Event is what an answer says of the state of the API.
type Event string

// The events.
const (
	Succeeded Event = "succeeded"
	Failed    Event = "failed"    // a 5xx, a timeout, no connection
	Restarted Event = "restarted" // a hold ended: begin slowly
)

// Adapt slows an account down while the API fails and gives it back its budget
// when it answers again: three failures in a row halve the calls of a window (of
// an account without budget: the calls under way) down to one, a success gives
// back a tenth, at most one each tenth of the window. Told is the limit that a
// success spoke of, 0 if none: it raises what a 429 had taught. Successes need to
// be told only for batches that are Adapting.
func (l *Lanes) Adapt(ctx context.Context, pace Pace, event Event, told int) error {
	full := pace.Calls
	if full == 0 {
		full = pace.InFlight
	}
	err := adaptScript.Run(ctx, l.rdb, []string{keysOf(pace.Account).state()},
		string(event), full, pace.Per.Milliseconds(), told).Err()
	if err != nil {
		return fmt.Errorf("adapt account %s: %w", pace.Account, err)
	}
	return nil
}
