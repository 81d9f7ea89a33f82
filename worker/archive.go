package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/edgepurge/edgepurge/internal/queues"
)

// asynq deletes archived tasks silently past 9,999 and after 90 days, and its
// script breaks for good on 8,000 old ones at once (asynq.md, 4.3). So nothing
// is archived past MaxLetters, and old letters are told about in time.
const (
	// MaxLetters is how many dead letters the archive of a queue may hold. Past it
	// what would die is held instead.
	MaxLetters       = 5000
	oldLetter        = 80 * 24 * time.Hour
	archiveFullDelay = time.Minute
)

// archive watches asynq's archive, where dead letters lie.
type archive struct {
	rdb       redis.UniversalClient
	inspector *asynq.Inspector
	max       int
	log       zerolog.Logger
	reported  map[string]bool // old letters that are in the log already, by queue and id
}

// full reports whether any queue's archive has no room for another letter. It
// counts and nothing else: a verdict waits for the answer.
func (a *archive) full(ctx context.Context) (bool, error) {
	for _, queue := range queues.Served() {
		n, err := queues.Archived(ctx, a.rdb, queue)
		if err != nil {
			return false, err
		}
		if n >= a.max {
			return true, nil
		}
	}
	return false, nil
}

// tellOld logs every dead letter that asynq will soon delete, with its full
// content and once a process, so that it is never gone without a trace. It returns
// how many there are. It reads them one by one: a letter may be a megabyte. One
// that cannot be read keeps none of the others from the log.
func (a *archive) tellOld(ctx context.Context, now time.Time) (int, error) {
	old, faults := 0, []error{}
	for _, queue := range queues.Served() {
		ids, err := queues.ArchivedBefore(ctx, a.rdb, queue, now.Add(-oldLetter))
		if err != nil {
			faults = append(faults, err)
			continue
		}
		old += len(ids)
		for _, id := range ids {
			if ctx.Err() != nil {
				return old, ctx.Err()
			}
			if a.reported[queue+"/"+id] {
				continue
			}
			t, err := a.inspector.GetTaskInfo(queue, id)
			if errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound) {
				continue // replayed or deleted meanwhile, or nothing is left of it
			}
			if err != nil {
				faults = append(faults, fmt.Errorf("read dead letter %s of %s: %w", id, queue, err))
				continue
			}
			a.log.Warn().Str("queue", queue).Str("task", t.ID).Time("died", t.LastFailedAt).
				Str("reason", t.LastErr).Bytes("payload", t.Payload).
				Msg("asynq deletes this dead letter after 90 days: replay or delete it")
			a.reported[queue+"/"+id] = true
		}
	}
	return old, errors.Join(faults...)
}
