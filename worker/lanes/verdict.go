package lanes

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// verdictKept bounds how long the note of a dead letter that was never
// enqueued (its worker died in between) lies about.
const verdictKept = 24 * time.Hour

// NoteVerdict says that the batch's task is about to be enqueued as a dead
// letter. Its handler takes the note and archives the task; a replay of the
// task, from the web UI say, finds no note and makes the call.
func (l *Lanes) NoteVerdict(ctx context.Context, account, batch string) error {
	key := keysOf(account).verdicts()
	now, err := l.now(ctx)
	if err != nil {
		return fmt.Errorf("note the verdict on batch %s: %w", batch, err)
	}
	_, err = l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.ZRemRangeByScore(ctx, key, "-inf", strconv.FormatInt(now.Add(-verdictKept).UnixMilli(), 10))
		p.ZAdd(ctx, key, redis.Z{Score: float64(now.UnixMilli()), Member: batch})
		return nil
	})
	if err != nil {
		return fmt.Errorf("note the verdict on batch %s: %w", batch, err)
	}
	return nil
}

// TakeVerdict reports whether there was a note, and removes it.
func (l *Lanes) TakeVerdict(ctx context.Context, account, batch string) (bool, error) {
	n, err := l.rdb.ZRem(ctx, keysOf(account).verdicts(), batch).Result()
	if err != nil {
		return false, fmt.Errorf("take the verdict on batch %s: %w", batch, err)
	}
	return n == 1, nil
}
