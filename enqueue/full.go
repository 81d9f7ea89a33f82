package enqueue

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/tasks"
)

// ErrFull says that too many requests wait already to be taken in by a worker.
// Nothing of the refused request is stored.
var ErrFull = errors.New("too many requests wait to be taken in")

// lookEvery is for how long a count of what waits is good: a busy producer asks
// Redis once in it, and may go over the bound by what it stores meanwhile.
const lookEvery = time.Second

// bound keeps what waits below a number of requests.
type bound struct {
	most    int64 // 0: unbounded
	since   time.Time
	next    atomic.Int64 // when to look again, nanoseconds after since
	waiting atomic.Int64 // as it was last seen
}

func newBound(most int) *bound { return &bound{most: int64(most), since: time.Now()} }

// pendingKey is the list in which asynq keeps what no worker has dequeued.
func pendingKey(queue string) string { return "asynq:{" + queue + "}:pending" }

// retryKey is the set in which asynq keeps what a worker put back: a request
// whose account's backlog is full waits there.
func retryKey(queue string) string { return "asynq:{" + queue + "}:retry" }

// check returns an error that matches ErrFull when there is no room.
func (b *bound) check(ctx context.Context, rdb redis.UniversalClient) error {
	if b.most == 0 {
		return nil
	}
	waiting, err := b.count(ctx, rdb)
	if err != nil {
		return fmt.Errorf("count the requests that wait: %w", err)
	}
	if waiting >= b.most {
		return fmt.Errorf("%w: %d, the bound is %d; start workers, find out why those that run do not keep up, or raise the bound (redis.max_queued, enqueue.Config.MaxQueued)", ErrFull, waiting, b.most)
	}
	return nil
}

// count returns how many requests wait. One caller looks at a time, and nobody
// waits for it: the others take what was last seen.
func (b *bound) count(ctx context.Context, rdb redis.UniversalClient) (int64, error) {
	now, next := int64(time.Since(b.since)), b.next.Load()
	if now < next || !b.next.CompareAndSwap(next, now+int64(lookEvery)) {
		return b.waiting.Load(), nil
	}
	var waiting int64
	cmds, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, queue := range []string{tasks.QueueUrgent, tasks.QueueIntake} { // two slots of a cluster
			p.LLen(ctx, pendingKey(queue))
			p.ZCard(ctx, retryKey(queue))
		}
		return nil
	})
	if err != nil {
		b.next.Store(0) // the next one looks
		return 0, err
	}
	for _, cmd := range cmds {
		if n, ok := cmd.(*redis.IntCmd); ok {
			waiting += n.Val()
		}
	}
	b.waiting.Store(waiting)
	return waiting, nil
}
