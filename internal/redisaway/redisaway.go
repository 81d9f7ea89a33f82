// Package redisaway says when Redis does not answer, and when it does again: a line at
// the beginning, one a minute, one at the end. It changes nothing else.
package redisaway

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
)

const (
	// again is how often a line says that Redis is still away.
	again = time.Minute
	// settled is how long no command may fail before Redis counts as back: the last
	// tries of some end when others succeed already.
	settled = 2 * time.Second
)

// Watch is a go-redis hook. It is safe for concurrent use.
type Watch struct {
	log  zerolog.Logger
	away atomic.Bool

	mu    sync.Mutex
	since time.Time // of the first error
	last  time.Time // error
	told  time.Time
}

// New returns a Watch that writes to log.
func New(log zerolog.Logger) *Watch { return &Watch{log: log} }

// Away reports whether the last command got no answer. What fails then need not say so.
func (w *Watch) Away() bool { return w.away.Load() }

// note takes how a command ended.
func (w *Watch) note(err error, now time.Time) {
	answered := err == nil || isReply(err)
	if answered && !w.away.Load() || !answered && !Outage(err) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !answered {
		w.last = now
	}
	switch away := w.away.Load(); {
	case answered && away && now.Sub(w.last) >= settled:
		w.away.Store(false)
		// No less than a warning: whoever was told of the beginning is told of the end.
		w.log.Warn().Dur("away_ms", now.Sub(w.since)).Msg("Redis answers again")
	case answered:
	case !away:
		w.away.Store(true)
		w.since, w.told = now, now
		w.log.Error().Err(Plain(err)).Msg("Redis does not answer: waiting for it (is redis.url right?)")
	case now.Sub(w.told) >= again:
		w.told = now
		w.log.Error().Err(Plain(err)).Dur("away_ms", now.Sub(w.since)).Msg("Redis still does not answer: waiting for it")
	}
}

// isReply reports whether an error is an answer of Redis's.
func isReply(err error) bool {
	_, reply := errors.AsType[redis.Error](err)
	return (reply || errors.Is(err, redis.Nil)) && !isLoading(err)
}

// isLoading reports whether Redis is there and reads its data still: it serves nothing.
func isLoading(err error) bool {
	reply, ok := errors.AsType[redis.Error](err)
	return ok && strings.HasPrefix(reply.Error(), "LOADING")
}

// Outage reports whether an error says that Redis did not answer, or is not ready to: an
// end that the caller chose, a client that is closed or another error of Redis's says
// nothing of it. An error of nil is no outage.
func Outage(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, redis.ErrClosed) {
		return false
	}
	if isLoading(err) {
		return true
	}
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, io.EOF)
}

// Plain returns an error without the wrapping that says nothing to an operator.
func Plain(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op
	}
	return err
}

// DialHook leaves dialling as it is: the command that needs it fails too.
func (w *Watch) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook notes how commands end.
func (w *Watch) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		w.note(err, time.Now())
		return err
	}
}

// ProcessPipelineHook notes how pipelines end.
func (w *Watch) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		w.note(err, time.Now())
		return err
	}
}
