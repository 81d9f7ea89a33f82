package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// unknownPatience is how long a task that a worker's configuration or version does not
// cover is put back before it becomes a dead letter. During a rolling restart that adds
// a project, an account or a field, a newer worker takes it.
const unknownPatience = 5 * time.Minute

// The first look after it was put back, and the longest wait between two looks.
const (
	firstUnknownLook   = 2 * time.Second
	longestUnknownLook = 10 * time.Second
)

// unknowns leaves tasks that this worker does not know to other workers for a while.
type unknowns struct {
	lanes    *lanes.Lanes
	patience time.Duration
	log      zerolog.Logger // a few lines a second at most
}

func newUnknowns(l *lanes.Lanes, log zerolog.Logger) *unknowns {
	return &unknowns{lanes: l, patience: unknownPatience, log: log.Sample(&zerolog.BurstSampler{Burst: 3, Period: time.Second})}
}

// putBack returns what lets another worker have the task, or nil if all had their
// chance and it is to become a dead letter.
func (u *unknowns) putBack(ctx context.Context, task string, why error) error {
	age, err := u.lanes.UnknownFor(ctx, task)
	if err != nil {
		return err
	}
	if age >= u.patience {
		return u.lanes.ForgetUnknown(ctx, task)
	}
	if age == 0 {
		u.log.Warn().Str("task", task).Err(why).Dur("dead_letter_in_ms", u.patience).
			Msg("unknown to this worker: put back, for a newer one may know it (a rolling restart?)")
	}
	return &laterError{after: unknownLook(age, random()), why: fmt.Sprintf("left to other workers: %v", why)}
}

// unknownLook is when a task that has been unknown for so long is looked at again:
// soon at first, with full jitter so that other workers get it. random is in [0, 1).
func unknownLook(age time.Duration, random float64) time.Duration {
	wait := min(max(age, firstUnknownLook), longestUnknownLook)
	return wait/2 + time.Duration(random*float64(wait)/2)
}

// mayBeNewer reports whether a payload is one that a newer edgepurge may read.
func mayBeNewer(err error) bool {
	return errors.Is(err, tasks.ErrVersion) || errors.Is(err, tasks.ErrUnknownField)
}
