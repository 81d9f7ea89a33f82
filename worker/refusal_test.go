package worker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
)

// errorReply is an error that Redis answers.
type errorReply string

func (e errorReply) Error() string { return string(e) }
func (e errorReply) RedisError()   {}

// paused says how long the hook pauses after the answers to commands, given in
// turn: a command's name and the error that Redis answers, "" for none.
func paused(p *errorPause, answers ...[2]string) []time.Duration {
	var took []time.Duration
	for _, a := range answers {
		next := func(context.Context, redis.Cmder) error {
			if a[1] == "" {
				return nil
			}
			return errorReply(a[1])
		}
		start := time.Now()
		_ = p.ProcessHook(next)(context.Background(), redis.NewCmd(context.Background(), a[0]))
		took = append(took, time.Since(start))
	}
	return took
}

// A replica refuses asynq's every dequeue and answers the scripts that only
// read: the pause must grow all the same.
func TestErrorPause_ReadsDoNotEndIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const readOnly = "READONLY You can't write against a read only replica."
		p := &errorPause{}
		var last time.Duration
		for range 12 {
			last = paused(p, [2]string{"evalsha", readOnly}, [2]string{"evalsha"}, [2]string{"time"})[0]
		}
		assert.Equal(t, longestErrorPause, last)
		assert.Equal(t, []time.Duration{0, firstErrorPause},
			paused(p, [2]string{"zadd"}, [2]string{"evalsha", readOnly}), "a write that succeeds ends it")
	})
}

func TestErrorPause_RareErrorsDoNotAddUp(t *testing.T) {
	synctest.Test(t, func(*testing.T) {
		p := &errorPause{}
		for range 10 {
			assert.Equal(t, []time.Duration{firstErrorPause}, paused(p, [2]string{"evalsha", "ERR a script's own"}))
			time.Sleep(errorsRare + time.Second)
		}
	})
}

// The hint that a full Redis refuses follows what is written down already.
func TestErrorPause_NotAfterAHint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &errorPause{}
		start := time.Now()
		hook := p.ProcessHook(func(context.Context, redis.Cmder) error { return errorReply("OOM command not allowed") })
		assert.Error(t, hook(t.Context(), redis.NewIntCmd(t.Context(), "zadd", "edgepurge:due", "lt", "1", "acme")))
		assert.Zero(t, time.Since(start))
		assert.Error(t, hook(t.Context(), redis.NewIntCmd(t.Context(), "zadd", "other", "1", "x")))
		assert.Equal(t, firstErrorPause, time.Since(start), "other writes pause")
	})
}

// Redis 7.0 does not know all that go-redis says of itself on a new connection.
func TestErrorPause_GreetingIsNoRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		unknown := [2]string{"client", "ERR unknown subcommand 'maint_notifications'"}
		assert.Equal(t, []time.Duration{0, 0}, paused(&errorPause{}, unknown, unknown))
	})
}
