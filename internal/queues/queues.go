// Package queues names edgepurge's queues and sees to it that asynq knows them. It
// does not look into them.
package queues

import (
	"context"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/internal/redisacl"
	"github.com/edgepurge/edgepurge/tasks"
)

// Served are the queues that workers serve, in the order of a purge's way through them.
func Served() []string { return []string{tasks.QueueIntake, tasks.QueueUrgent, tasks.QueueCalls} }

// All are the served queues, and the one of deliveries that no source could map.
func All() []string { return append(Served(), tasks.QueueDeliveries) }

// known is the set by which asynq v0.26 tells whether a queue exists.
const known = "asynq:queues"

// Register makes asynq know all of our queues. It is to be called before an
// asynq.Inspector looks into one, and costs one read if nothing is missing.
//
// A client of asynq registers a queue with the first task that it stores in it, and
// never again. So when Redis has lost its data under running processes, asynq's
// inspector takes our queues for missing, whatever lies in them by now.
//
// A user without the right to write leaves it to the workers and gateways, which
// register every few seconds: that is no error.
func Register(ctx context.Context, rdb redis.UniversalClient) error {
	names, err := rdb.SMembers(ctx, known).Result()
	if err != nil {
		return fmt.Errorf("list the queues: %w", err)
	}
	var missing []any
	for _, name := range All() {
		if !slices.Contains(names, name) {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if err := rdb.SAdd(ctx, known, missing...).Err(); err != nil && !redisacl.Refused(err) {
		return fmt.Errorf("register the queues: %w", err)
	}
	return nil
}
