package lanes

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// unknownKept is how long it is remembered since when a task has been unknown; long
// enough for a queue that is slow to run it again.
const unknownKept = time.Hour

// UnknownFor reports how long ago a worker first said that its configuration does not
// cover the task of that id; 0: this is the first time.
func (l *Lanes) UnknownFor(ctx context.Context, task string) (time.Duration, error) {
	now, err := l.now(ctx)
	if err != nil {
		return 0, fmt.Errorf("look since when task %s is unknown: %w", task, err)
	}
	key := keyUnknown(task)
	isFirst, err := l.rdb.SetNX(ctx, key, now.UnixMilli(), unknownKept).Result()
	if err != nil || isFirst {
		return 0, wrapNil(err, "note since when task "+task+" is unknown")
	}
	text, err := l.rdb.Get(ctx, key).Result()
	if err != nil { // it expired in between: the next look begins anew
		return 0, wrapNil(err, "look since when task "+task+" is unknown")
	}
	since, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("look since when task %s is unknown: %w", task, err)
	}
	return max(0, now.Sub(time.UnixMilli(since))), nil
}

// ForgetUnknown lets the next UnknownFor of the task be a first one: it became a dead
// letter, and may be replayed.
func (l *Lanes) ForgetUnknown(ctx context.Context, task string) error {
	if err := l.rdb.Del(ctx, keyUnknown(task)).Err(); err != nil {
		return fmt.Errorf("forget since when task %s was unknown: %w", task, err)
	}
	return nil
}
