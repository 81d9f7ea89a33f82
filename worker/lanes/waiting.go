package lanes

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/tasks"
)

// Waiting is what a project has pending.
type Waiting struct {
	Items  int64
	Oldest time.Time // due time of the oldest item; it may lie ahead
}

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
	found := map[string]Waiting{}
	for chunk := range slices.Chunk(ids, waitingChunk) {
		if err := l.countChunk(ctx, k, chunk, found); err != nil {
			return nil, fmt.Errorf("count what waits in account %s: %w", account, err)
		}
	}
	return found, nil
}

func (l *Lanes) countChunk(ctx context.Context, k keys, ids []string, found map[string]Waiting) error {
	type replies struct {
		project string
		pending *redis.IntCmd
		head    *redis.ZSliceCmd
	}
	read := make([]replies, len(ids))
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, id := range ids {
			lane, err := tasks.ParseLane(id)
			if err != nil {
				return err
			}
			read[i] = replies{lane.Project, p.ZCard(ctx, k.pending(lane)), p.ZRangeWithScores(ctx, k.pending(lane), 0, 0)}
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
		found[r.project] = w
	}
	return nil
}
