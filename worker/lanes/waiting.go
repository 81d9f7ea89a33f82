package lanes

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/tasks"
)

// Waiting is what a project has pending.
type Waiting struct {
	Items int64
	// Scheduled are those of them that are due more than Soon ahead.
	Scheduled int64
	Oldest    time.Time // due time of the oldest item; it may lie ahead
}

// Soon is how far ahead an item may be due and still count as due, not as scheduled:
// a usual settle time is no schedule.
const Soon = time.Minute

// waitingChunk is how many lanes are counted in one round trip.
const waitingChunk = 500

// Waiting counts by project what waits for a call in an account. A project that
// has nothing pending is not in the answer.
func (l *Lanes) Waiting(ctx context.Context, account string) (map[string]Waiting, error) {
	k := keysOf(account)
	ids, err := l.rdb.HKeys(ctx, k.lanes()).Result()
	if err != nil {
		return nil, fmt.Errorf("count what waits in account %s: %w", account, err)
	}
	now, err := l.now(ctx)
	if err != nil {
		return nil, fmt.Errorf("count what waits in account %s: %w", account, err)
	}
	found := map[string]Waiting{}
	for chunk := range slices.Chunk(ids, waitingChunk) {
		if err := l.countChunk(ctx, k, chunk, now.Add(Soon), found); err != nil {
			return nil, fmt.Errorf("count what waits in account %s: %w", account, err)
		}
	}
	return found, nil
}

func (l *Lanes) countChunk(ctx context.Context, k keys, ids []string, soon time.Time, found map[string]Waiting) error {
	type replies struct {
		project            string
		pending, scheduled *redis.IntCmd
		head               *redis.ZSliceCmd
	}
	read, after := make([]replies, len(ids)), "("+strconv.FormatInt(soon.UnixMilli(), 10)
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, id := range ids {
			lane, err := tasks.ParseLane(id)
			if err != nil {
				return err
			}
			key := k.pending(lane)
			read[i] = replies{lane.Project, p.ZCard(ctx, key), p.ZCount(ctx, key, after, "+inf"), p.ZRangeWithScores(ctx, key, 0, 0)}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, r := range read {
		head := r.head.Val()
		if len(head) == 0 {
			continue
		}
		w, oldest := found[r.project], time.UnixMilli(int64(head[0].Score))
		if w.Items == 0 || oldest.Before(w.Oldest) {
			w.Oldest = oldest
		}
		w.Items += r.pending.Val()
		w.Scheduled += r.scheduled.Val()
		found[r.project] = w
	}
	return nil
}
