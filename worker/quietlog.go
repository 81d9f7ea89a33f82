package worker

import (
	"fmt"
	"sync"
	"time"

	"github.com/hibiken/asynq"
)

// quietLog tells a warning or an error once in sameLine: every server of a
// worker says the same, over and over, while Redis is away.
type quietLog struct {
	asynq.Logger
	away func() bool // while Redis is away its watch says so, and asynq nothing
	mu   sync.Mutex
	told map[string]time.Time // bounded by mostTold
}

const (
	sameLine = 10 * time.Second
	mostTold = 256
)

func newQuietLog(l asynq.Logger, away func() bool) *quietLog {
	return &quietLog{Logger: l, away: away, told: map[string]time.Time{}}
}

// Warn tells a warning that was not told lately.
func (q *quietLog) Warn(args ...any) {
	if q.isNew(fmt.Sprint(args...), time.Now()) {
		q.Logger.Warn(args...)
	}
}

// Error tells an error that was not told lately.
func (q *quietLog) Error(args ...any) {
	if q.isNew(fmt.Sprint(args...), time.Now()) {
		q.Logger.Error(args...)
	}
}

func (q *quietLog) isNew(line string, now time.Time) bool {
	if q.away() {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if at, ok := q.told[line]; ok && now.Sub(at) < sameLine {
		return false
	}
	if len(q.told) >= mostTold {
		clear(q.told)
	}
	q.told[line] = now
	return true
}
