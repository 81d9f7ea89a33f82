package worker

import (
	"fmt"
	"slices"
	"time"

	"github.com/hibiken/asynq"
	"github.com/rs/zerolog"

	"github.com/edgepurge/edgepurge/tasks"
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
	inspector *asynq.Inspector
	max       int
	log       zerolog.Logger
}

// queues lists those of our queues that exist by now.
func (a *archive) queues() ([]string, error) {
	all, err := a.inspector.Queues()
	if err != nil {
		return nil, fmt.Errorf("list the queues: %w", err)
	}
	return slices.DeleteFunc(all, func(q string) bool {
		return q != tasks.QueueCalls && q != tasks.QueueIntake && q != tasks.QueueUrgent
	}), nil
}

// full reports whether any queue's archive has no room for another letter.
func (a *archive) full() (bool, error) {
	queues, err := a.queues()
	if err != nil {
		return false, err
	}
	for _, queue := range queues {
		info, err := a.inspector.GetQueueInfo(queue)
		if err != nil {
			return false, fmt.Errorf("look how full the archive of %s is: %w", queue, err)
		}
		if info.Archived >= a.max {
			return true, nil
		}
	}
	return false, nil
}

// tellOld logs every dead letter that asynq will soon delete, with its full
// content, so that it is never gone without a trace. It returns how many.
func (a *archive) tellOld(now time.Time) (int, error) {
	old := 0
	queues, err := a.queues()
	if err != nil {
		return 0, err
	}
	for _, queue := range queues {
		for page := 1; ; page++ {
			letters, err := a.inspector.ListArchivedTasks(queue, asynq.PageSize(100), asynq.Page(page))
			if err != nil {
				return old, fmt.Errorf("list the archive of %s: %w", queue, err)
			}
			for _, t := range letters {
				if now.Sub(t.LastFailedAt) < oldLetter {
					continue
				}
				old++
				a.log.Warn().Str("queue", queue).Str("task", t.ID).Time("died", t.LastFailedAt).
					Str("reason", t.LastErr).Bytes("payload", t.Payload).
					Msg("asynq deletes this dead letter after 90 days: replay or delete it")
			}
			if len(letters) < 100 {
				break
			}
		}
	}
	return old, nil
}
