package worker

import (
	"strings"
	"time"

	"github.com/hibiken/asynq"
)

// letterError makes asynq archive the task, with the reason as the first word
// of what people read there.
type letterError struct {
	reason Reason
	cause  error
}

func (e *letterError) Error() string {
	first := string(e.reason) + ": "
	return first + strings.TrimPrefix(e.cause.Error(), first)
}

// Is makes the error an asynq.SkipRetry without its words.
func (e *letterError) Is(target error) bool { return target == asynq.SkipRetry }

func (e *letterError) Unwrap() error { return e.cause }

// retryError makes asynq try the task again after a backoff, as a spent attempt.
type retryError struct {
	after time.Duration
	cause error
}

func (e *retryError) Error() string { return e.cause.Error() }
func (e *retryError) Unwrap() error { return e.cause }

// laterError makes asynq run the task again without counting an attempt.
type laterError struct {
	after time.Duration
	why   string
}

func (e *laterError) Error() string { return "later: " + e.why }
