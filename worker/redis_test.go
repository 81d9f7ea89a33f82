package worker

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
)

func TestErrorPause_DoublesUpToTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &errorPause{}
		for _, want := range []int64{10, 20, 40, 80, 160, 320, 640, 1280, 2000, 2000} {
			start := time.Now()
			p.after(t.Context(), errorReply("OOM command not allowed"))
			assert.Equal(t, want, time.Since(start).Milliseconds())
		}
		for range 100 { // the shift must not overflow
			start := time.Now()
			p.after(t.Context(), errorReply("NOPERM"))
			assert.Equal(t, longestErrorPause, time.Since(start))
		}
	})
}

func TestErrorPause_OnlyForRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, err := range []error{
			nil, redis.Nil, errorReply("NOSCRIPT No matching script"), context.Canceled, io.EOF,
			&net.OpError{Op: "dial", Err: errors.New("connection refused")},
		} {
			p := &errorPause{}
			p.after(t.Context(), errorReply("OOM"))
			start := time.Now()
			p.after(t.Context(), err)
			assert.Zero(t, time.Since(start), "%v", err)
		}
	})
}

func TestErrorPause_SuccessResets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, success := range []error{nil, redis.Nil} {
			p := &errorPause{}
			for range 6 {
				p.after(t.Context(), errorReply("READONLY"))
			}
			p.after(t.Context(), success)
			start := time.Now()
			p.after(t.Context(), errorReply("READONLY"))
			assert.Equal(t, firstErrorPause, time.Since(start))
		}
	})
}

func TestErrorPause_NetworkErrorsDoNotReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &errorPause{}
		p.after(t.Context(), errorReply("LOADING"))
		p.after(t.Context(), io.EOF)
		start := time.Now()
		p.after(t.Context(), errorReply("LOADING"))
		assert.Equal(t, 2*firstErrorPause, time.Since(start))
	})
}

func TestErrorPause_ContextEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &errorPause{}
		p.failures.Store(16)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		start := time.Now()
		p.after(ctx, errorReply("OOM"))
		assert.Equal(t, 30*time.Millisecond, time.Since(start))
	})
}

func TestErrorPause_HooksCommandsAndPipelines(t *testing.T) {
	rdb, mini := redistest.Mini(t)
	p := &errorPause{}
	rdb.AddHook(p)
	require.NoError(t, rdb.Ping(t.Context()).Err())
	mini.SetError("OOM command not allowed")
	require.ErrorContains(t, rdb.Ping(t.Context()).Err(), "OOM")
	assert.EqualValues(t, 1, p.failures.Load())
	_, err := rdb.Pipelined(t.Context(), func(pipe redis.Pipeliner) error {
		pipe.Ping(t.Context())
		return nil
	})
	require.ErrorContains(t, err, "OOM")
	assert.EqualValues(t, 2, p.failures.Load())
	mini.SetError("")
	require.NoError(t, rdb.Ping(t.Context()).Err())
	assert.Zero(t, p.failures.Load())
}

// pinger is a Redis of which only PING is asked.
type pinger struct {
	redis.UniversalClient
	failures int
	err      error
}

func (p *pinger) Ping(context.Context) *redis.StatusCmd {
	if p.failures--; p.failures >= 0 {
		return redis.NewStatusResult("", p.err)
	}
	return redis.NewStatusResult("PONG", nil)
}

func TestAwaitRedis_WaitsAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logs logBuffer
		down := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
		start := time.Now()
		err := awaitRedis(t.Context(), &pinger{failures: 7, err: errors.Join(errors.New("pool"), down)}, func() bool { return false }, zerolog.New(&logs))
		require.NoError(t, err)
		// 0.5, 1, 2, 4, 8, 10, 10 s
		assert.Equal(t, 35500*time.Millisecond, time.Since(start))
		assert.Contains(t, logs.String(), "Redis does not answer: waiting for it (is redis.url right?)")
		assert.Contains(t, logs.String(), `"error":"dial tcp: connection refused"`)
	})
}

// replied is an error reply of Redis's.
type replied string

func (r replied) Error() string { return string(r) }
func (replied) RedisError()     {}

// A refusal at the start, of the password say, is no line at each try either.
func TestAwaitRedis_SaysItOnceAMinute(t *testing.T) {
	for _, why := range []error{replied("NOAUTH Authentication required."), replied("LOADING Redis is loading the dataset in memory"), io.EOF} {
		synctest.Test(t, func(t *testing.T) {
			var logs logBuffer
			// 0.5, 1, 2, 4, 8 s and 15 times 10 s: 165.5 s
			require.NoError(t, awaitRedis(t.Context(), &pinger{failures: 20, err: why}, func() bool { return false }, zerolog.New(&logs)))
			assert.Equal(t, 4, strings.Count(logs.String(), "\n"), logs.String())
			assert.Equal(t, 3, strings.Count(logs.String(), why.Error()))
			assert.Contains(t, logs.String(), "Redis answers")
		})
	}
}

func TestAwaitRedis_EndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		err := awaitRedis(ctx, &pinger{failures: 1000, err: io.EOF}, func() bool { return false }, zerolog.Nop())
		require.ErrorIs(t, err, context.Canceled)
		assert.NoError(t, nilIfCancelled(err))
		assert.ErrorIs(t, nilIfCancelled(io.EOF), io.EOF)
	})
}

func TestRun_StopsWhileRedisIsAway(t *testing.T) {
	rdb, mini := redistest.Mini(t)
	mini.SetError("LOADING Redis is loading the dataset in memory")
	l := newLab(t, testConfig("http://127.0.0.1:1"), rdb).start()
	eventually(t, func() bool { return len(l.logs.String()) > 0 }, "a message about Redis")
	l.stop()
	assert.Contains(t, l.logs.String(), "LOADING")
}

// The gate looks by a pipeline of reads, which a full Redis goes on answering.
func TestErrorPause_ReadsInAPipelineResetNothing(t *testing.T) {
	p := &errorPause{}
	p.failures.Store(7)
	run := func(cmd redis.Cmder) {
		hook := p.ProcessPipelineHook(func(context.Context, []redis.Cmder) error { return nil })
		assert.NoError(t, hook(t.Context(), []redis.Cmder{cmd}))
	}
	run(redis.NewIntCmd(t.Context(), "exists", "x"))
	assert.EqualValues(t, 7, p.failures.Load())
	run(redis.NewIntCmd(t.Context(), "zadd", "x", 1, "y"))
	assert.Zero(t, p.failures.Load())
}
