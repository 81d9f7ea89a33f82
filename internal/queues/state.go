package queues

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// State is how many tasks a queue holds in each state.
type State struct {
	Queue                                       string
	Pending, Active, Retry, Scheduled, Archived int
	Paused                                      bool
	// Waited is how long the oldest pending task has waited, by the clock of this
	// process; 0 if none is pending or nothing says since when.
	Waited time.Duration
}

// Read counts the tasks of some queues; one that asynq does not know is empty.
//
// asynq's own GetQueueInfo adds up the memory of a sample of tasks as well. That
// fails as a whole where Redis refuses MEMORY to scripts, as managed ones do, and
// when one task is gone.
func Read(ctx context.Context, rdb redis.UniversalClient, names ...string) ([]State, error) {
	type counts struct {
		pending, active, retry, scheduled, archived, paused *redis.IntCmd
		oldest                                              *redis.StringSliceCmd
	}
	all := make([]counts, len(names))
	_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, name := range names {
			all[i] = counts{
				pending: p.LLen(ctx, Key(name, "pending")), active: p.LLen(ctx, Key(name, "active")),
				retry: p.ZCard(ctx, Key(name, "retry")), scheduled: p.ZCard(ctx, Key(name, "scheduled")),
				archived: p.ZCard(ctx, Key(name, "archived")), paused: p.Exists(ctx, Key(name, "paused")),
				oldest: p.LRange(ctx, Key(name, "pending"), -1, -1),
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count the tasks of the queues: %w", err)
	}
	states := make([]State, len(names))
	for i, name := range names {
		c := &all[i]
		states[i] = State{
			Queue: name, Pending: int(c.pending.Val()), Active: int(c.active.Val()), Retry: int(c.retry.Val()),
			Scheduled: int(c.scheduled.Val()), Archived: int(c.archived.Val()), Paused: c.paused.Val() > 0,
		}
		if ids := c.oldest.Val(); len(ids) > 0 {
			if states[i].Waited, err = waited(ctx, rdb, name, ids[0]); err != nil {
				return nil, err
			}
		}
	}
	return states, nil
}

func waited(ctx context.Context, rdb redis.UniversalClient, queue, id string) (time.Duration, error) {
	since, err := rdb.HGet(ctx, TaskKey(queue, id), "pending_since").Result()
	if errors.Is(err, redis.Nil) { // a worker took it meanwhile
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look how long queue %s has waited: %w", queue, err)
	}
	nanos, err := strconv.ParseInt(since, 10, 64)
	if err != nil {
		return 0, nil //nolint:nilerr // for display: a broken field costs the figure, not the look
	}
	return max(0, time.Since(time.Unix(0, nanos))), nil
}

// Archived counts the dead letters of a queue.
func Archived(ctx context.Context, rdb redis.UniversalClient, queue string) (int, error) {
	n, err := rdb.ZCard(ctx, Key(queue, "archived")).Result()
	if err != nil {
		return 0, fmt.Errorf("count the dead letters of %s: %w", queue, err)
	}
	return int(n), nil
}

// ArchivedBefore lists the dead letters of a queue that were archived before a
// time, the oldest first.
func ArchivedBefore(ctx context.Context, rdb redis.UniversalClient, queue string, before time.Time) ([]string, error) {
	ids, err := rdb.ZRangeByScore(ctx, Key(queue, "archived"), &redis.ZRangeBy{
		Min: "-inf", Max: "(" + strconv.FormatInt(before.Unix(), 10),
	}).Result()
	if err != nil {
		return nil, fmt.Errorf("list the old dead letters of %s: %w", queue, err)
	}
	return ids, nil
}
