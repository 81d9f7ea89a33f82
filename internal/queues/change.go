package queues

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"
)

// The states of a task that a person may change.
const (
	Pending   = "pending"
	Scheduled = "scheduled"
	Retry     = "retry"
	Active    = "active"
	Dead      = "archived" // a dead letter
	Completed = "completed"
)

// Errors of Remove, Archive and ArchiveAll.
var (
	ErrMissing = errors.New("no such task")
	ErrFull    = errors.New("the archive has no room: replay or delete dead letters first")
)

// StateError says that a task is in another state than a change is for.
type StateError struct{ ID, State string }

// Error implements error.
func (e *StateError) Error() string { return "task " + e.ID + " is " + e.State }

// Remove deletes a task for good while it is in a state that asynq keeps in a sorted set:
// not Pending and not Active. asynq's own deletion takes it in any state, so that a purge
// that waits would be gone without a trace. Another state is a *StateError, no task ErrMissing.
func Remove(ctx context.Context, rdb redis.UniversalClient, queue, id, state string) error {
	answer, err := removeScript.Run(ctx, rdb, []string{TaskKey(queue, id), Key(queue, state)}, id, state).Text()
	if err != nil {
		return fmt.Errorf("delete %s in %s: %w", id, queue, err)
	}
	switch answer {
	case "removed":
		return nil
	case "missing":
		return fmt.Errorf("delete %s in %s: %w", id, queue, ErrMissing)
	}
	return fmt.Errorf("delete from %s: %w", queue, &StateError{id, answer})
}

// Archive makes a task that waits a dead letter, of which the archive holds at most
// so many: past some 10,000 asynq deletes the oldest silently. ErrFull says that
// there is no room; otherwise as Remove.
func Archive(ctx context.Context, rdb redis.UniversalClient, queue, id string, most int) error {
	answer, err := archiveScript.Run(ctx, rdb, []string{
		TaskKey(queue, id), Key(queue, Pending), Key(queue, Scheduled), Key(queue, Retry), Key(queue, Dead),
	}, id, most).Text()
	if err != nil {
		return fmt.Errorf("archive %s in %s: %w", id, queue, err)
	}
	switch answer {
	case "done":
		return nil
	case "missing":
		return fmt.Errorf("archive %s in %s: %w", id, queue, ErrMissing)
	case "full":
		return fmt.Errorf("archive %s in %s: %w", id, queue, ErrFull)
	}
	return fmt.Errorf("archive in %s: %w", queue, &StateError{id, answer})
}

// List lists the tasks of a queue in a state.
func List(ctx context.Context, rdb redis.UniversalClient, queue, state string) ([]string, error) {
	read := rdb.ZRange
	if slices.Contains([]string{Pending, Active}, state) {
		read = rdb.LRange
	}
	ids, err := read(ctx, Key(queue, state), 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("list the %s tasks of %s: %w", state, queue, err)
	}
	return ids, nil
}

// StateOf is the state of a task, or ErrMissing.
func StateOf(ctx context.Context, rdb redis.UniversalClient, queue, id string) (string, error) {
	state, err := rdb.HGet(ctx, TaskKey(queue, id), "state").Result()
	switch {
	case errors.Is(err, redis.Nil):
		return "", fmt.Errorf("%s in %s: %w", id, queue, ErrMissing)
	case err != nil:
		return "", fmt.Errorf("look at %s in %s: %w", id, queue, err)
	}
	return state, nil
}
