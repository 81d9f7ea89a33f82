package worker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/edgepurge/edgepurge/internal/redisaway"
	"github.com/edgepurge/edgepurge/tasks"
)

// neverExhausted is the MaxRetry of our tasks: asynq must not archive one
// because it ran out of retries; the handlers say when a task is dead. At least
// 1 is needed in any case, since a lost reply to a dequeue counts as a failure.
const neverExhausted = math.MaxInt32

// How often servers ask for tasks after they found none; idle ones wait in the gate.
const (
	taskCheck    = 10 * time.Millisecond
	delayedCheck = 500 * time.Millisecond
	// Requests are delayed only while Redis refuses or the backlog is full, and one
	// server forwards them for all.
	intakeDelayed = 2 * time.Second
	leaveDelayed  = 24 * time.Hour
)

// inAsynq is how long to tell asynq to wait, so that a task waits no less than floor. asynq
// keeps the moment in whole seconds, rounded down: without a floor that hurts nobody.
func inAsynq(wait, floor time.Duration) time.Duration {
	if floor > 0 {
		wait += time.Second
	}
	return wait
}

// isStored reports whether an enqueue error says that the task is there
// already: go-redis sent it a second time after a lost reply.
func isStored(err error) bool {
	return errors.Is(err, asynq.ErrTaskIDConflict) || errors.Is(err, asynq.ErrDuplicateTask)
}

// newServers returns the asynq servers of a worker: c.Servers for the intake
// and one for calls. Every intake server serves both queues, the urgent one
// first: while it is empty the gate says so, and that costs no round trip.
func newServers(c Config, rdb redis.UniversalClient, away *redisaway.Watch, log zerolog.Logger) (intakes []*asynq.Server, calls *asynq.Server) {
	base := asynq.Config{
		RetryDelayFunc: retryDelay,
		IsFailure:      isFailure,
		ErrorHandler:   errorLog(log),
		Logger:         newQuietLog(asynqLog{log}, away.Away),
		LogLevel:       asynq.WarnLevel,
		// What is still running then is put back into its queue.
		ShutdownTimeout: c.Timeout + leaseMargin,
	}
	for i := range c.Servers {
		cfg := base
		cfg.Queues = map[string]int{tasks.QueueUrgent: 2, tasks.QueueIntake: 1}
		cfg.StrictPriority = true
		cfg.Concurrency = max(1, c.Concurrency/c.Servers)
		cfg.TaskCheckInterval = taskCheck
		cfg.DelayedTaskCheckInterval = leaveDelayed
		if i == 0 {
			cfg.DelayedTaskCheckInterval = intakeDelayed
		}
		intakes = append(intakes, asynq.NewServerFromRedisClient(rdb, cfg))
	}
	cfg := base
	cfg.Queues = map[string]int{tasks.QueueCalls: 1}
	cfg.Concurrency = c.Concurrency
	cfg.TaskCheckInterval = taskCheck
	cfg.DelayedTaskCheckInterval = delayedCheck
	return intakes, asynq.NewServerFromRedisClient(rdb, cfg)
}

// errorLog is the one place that logs why a task did not end well.
func errorLog(log zerolog.Logger) asynq.ErrorHandler {
	return asynq.ErrorHandlerFunc(func(ctx context.Context, t *asynq.Task, err error) {
		id, _ := asynq.GetTaskID(ctx)
		level := zerolog.WarnLevel
		switch {
		case errors.Is(err, asynq.SkipRetry):
			level = zerolog.ErrorLevel
		case !isFailure(err):
			level = zerolog.InfoLevel
		}
		log.WithLevel(level).Str("task", id).Str("type", t.Type()).
			Bool("dead_letter", level == zerolog.ErrorLevel).Err(err).Msg("task")
	})
}

// asynqLog hands asynq's own messages to zerolog.
type asynqLog struct{ log zerolog.Logger }

// Debug hands on what asynq does.
func (l asynqLog) Debug(args ...any) { l.log.Debug().Msg(fmt.Sprint(args...)) }

// Info hands on what asynq says of itself.
func (l asynqLog) Info(args ...any) { l.log.Info().Msg(fmt.Sprint(args...)) }

// Warn leaves out what asynq says of every archived task: errorLog has said why
// it died, and no retry was exhausted.
func (l asynqLog) Warn(args ...any) {
	if line := fmt.Sprint(args...); !strings.HasPrefix(line, "Retry exhausted for task") {
		l.log.Warn().Msg(line)
	}
}

// Error hands on an error of asynq's own.
func (l asynqLog) Error(args ...any) { l.log.Error().Msg(fmt.Sprint(args...)) }

// Fatal is never called for what can happen at run time; a library must not exit.
func (l asynqLog) Fatal(args ...any) { l.log.Error().Msg(fmt.Sprint(args...)) }
