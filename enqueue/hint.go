package enqueue

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/tasks"
)

// hintEvery bounds the hints of a busy producer: for a second after one, the
// workers look for tasks by themselves every 40 ms.
const hintEvery = 20 * time.Millisecond

// hint tells the workers that tasks were stored, so that they need not look for
// them all the time.
type hint struct {
	since time.Time
	next  *atomic.Int64 // nanoseconds after since
}

func newHint() hint { return hint{since: time.Now(), next: new(atomic.Int64)} }

// give tells the workers. Nobody need know that it failed: they see the tasks all
// the same, half a second later.
func (h hint) give(ctx context.Context, rdb redis.UniversalClient) {
	if h.isDue() {
		_ = rdb.Publish(ctx, tasks.ChannelQueued, "").Err()
	}
}

// isDue reports whether to give a hint now, and notes that.
func (h hint) isDue() bool {
	now, next := int64(time.Since(h.since)), h.next.Load()
	return now >= next && h.next.CompareAndSwap(next, now+int64(hintEvery))
}
