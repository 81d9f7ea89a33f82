package worker

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
)

func TestRetryDelay(t *testing.T) {
	wrap := func(err error) error { return fmt.Errorf("outer: %w", err) }
	assert.Equal(t, 7*time.Second, retryDelay(0, wrap(&retryError{after: 7 * time.Second, cause: errors.New("x")}), nil))
	assert.Equal(t, 3*time.Minute, retryDelay(50, wrap(&laterError{after: 3 * time.Minute}), nil))
	for n, most := range map[int]time.Duration{0: 2 * time.Second, 1: 3 * time.Second, 5: 33 * time.Second, 6: 61 * time.Second, 1000: 61 * time.Second} {
		for range 50 {
			d := retryDelay(n, errors.New("Redis refused"), nil)
			assert.GreaterOrEqual(t, d, time.Second)
			assert.LessOrEqual(t, d, most, "after %d retries", n)
		}
	}
}

func TestIsFailure_LaterCostsNoAttempt(t *testing.T) {
	assert.False(t, isFailure(&laterError{why: "budget"}))
	assert.False(t, isFailure(fmt.Errorf("outer: %w", &laterError{why: "budget"})))
	assert.True(t, isFailure(&retryError{cause: errors.New("503")}))
	assert.True(t, isFailure(&letterError{reason: Invalid, cause: errors.New("x")}))
	// Else a task that kills its worker would be tried for ever.
	assert.True(t, isFailure(asynq.ErrLeaseExpired))
}

func TestErrorLog_Levels(t *testing.T) {
	for _, c := range []struct {
		name, want string
		err        error
	}{
		{
			"dead letter", `{"level":"error","task":"","type":"purge:call","dead_letter":true,"error":"forbidden: 403","message":"task"}`,
			&letterError{reason: Forbidden, cause: errors.New("403")},
		},
		{
			"retry", `{"level":"warn","task":"","type":"purge:call","dead_letter":false,"error":"503","message":"task"}`,
			&retryError{cause: errors.New("503")},
		},
		{
			"no attempt", `{"level":"info","task":"","type":"purge:call","dead_letter":false,"error":"later: budget","message":"task"}`,
			&laterError{why: "budget"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var logs logBuffer
			errorLog(zerolog.New(&logs)).HandleError(t.Context(), asynq.NewTask(tasks.TypeCall, nil), c.err)
			assert.JSONEq(t, c.want, logs.String())
		})
	}
}

func TestIsStored(t *testing.T) {
	assert.True(t, isStored(fmt.Errorf("x: %w", asynq.ErrTaskIDConflict)))
	assert.True(t, isStored(fmt.Errorf("x: %w", asynq.ErrDuplicateTask)))
	assert.False(t, isStored(errors.New("x")))
	assert.False(t, isStored(nil))
}

func TestAsynqLog_NeverExits(t *testing.T) {
	var logs logBuffer
	l := asynqLog{zerolog.New(&logs)}
	l.Debug("a", 1)
	l.Info("b")
	l.Warn("c")
	l.Error("d")
	l.Fatal("e")
	assert.Contains(t, logs.String(), `{"level":"debug","message":"a1"}`)
	assert.Contains(t, logs.String(), `{"level":"error","message":"e"}`)
}

func TestHandler_UnknownTypeIsADeadLetter(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	l := newLab(t, testConfig(nowhere), rdb)
	h := handler(tasks.TypeCall, l.attempts, l.attempts.bury)
	mail := asynq.NewTask("mail:send", nil)
	err := h.ProcessTask(t.Context(), mail)
	require.ErrorIs(t, err, asynq.SkipRetry)
	assert.ErrorContains(t, err, `task type "mail:send" is not edgepurge's: delete it with`)
	assert.InDelta(t, 1, l.metric("edgepurge_buried_total", "reason", "invalid"), 0)

	l.fillArchive()
	var later *laterError
	require.ErrorAs(t, h.ProcessTask(t.Context(), mail), &later)
}
