package worker

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// cutoff is a go-redis hook that bounds how long a stop waits for a Redis that does
// not answer. asynq gives most of its commands no deadline, so each of its parts would
// wait for go-redis's last try. Once it cuts, commands fail at once, and those under
// way end with the read that they wait for (read_timeout, 3 s).
type cutoff struct{ state atomic.Pointer[cutState] }

// cutState is a context that ends when Redis is cut off.
type cutState struct {
	ctx context.Context //nolint:containedctx // its end is what is shared
	cut context.CancelFunc
}

const (
	// silence is how long Redis may be silent during a stop that waits for nothing
	// else: as long as the answer to a call may take to be written down.
	silence = leaseMargin
	// cutMargin is how much longer a stop waits for Redis than for calls and their
	// answers: in it asynq puts back what it still holds.
	cutMargin = time.Second
	// cutCheck is how often a stop asks Redis for a sign of life, and how long it waits for it.
	cutCheck = time.Second
	// lastWait bounds the rest of a stop once Redis is cut off.
	lastWait = 5 * time.Second
)

// errCutOff is what commands answer that a stop cut off.
var errCutOff = errors.New("the worker stops and Redis does not answer")

func newCutoff() *cutoff {
	c := &cutoff{}
	c.reset()
	return c
}

// reset lets commands pass, for whoever uses the client after the worker.
func (c *cutoff) reset() {
	ctx, cut := context.WithCancel(context.Background())
	c.state.Store(&cutState{ctx, cut})
}

// cut ends what waits for Redis, and what would.
func (c *cutoff) cut() { c.state.Load().cut() }

// done is closed once Redis is cut off.
func (c *cutoff) done() <-chan struct{} { return c.state.Load().ctx.Done() }

// watch is for the time of a stop. It cuts Redis off when that has been silent for a
// while and nothing is in hand, and in any case after most.
func (c *cutoff) watch(stopped context.Context, ping func(context.Context) error, most time.Duration, inHand func() bool) {
	last := time.AfterFunc(most, c.cut)
	defer last.Stop()
	answered := time.Now()
	for sleep(stopped, cutCheck/2) {
		ctx, cancel := context.WithTimeout(stopped, cutCheck)
		err := ping(ctx)
		cancel()
		switch {
		case stopped.Err() != nil:
			return
		case err == nil || isRefusal(err):
			answered = time.Now()
		case time.Since(answered) >= silence && !inHand():
			c.cut()
		}
	}
}

// until returns a context that ends with its parent and when Redis is cut off.
func (c *cutoff) until(parent context.Context) (ctx context.Context, done func()) {
	s := c.state.Load()
	if parent.Done() == nil { // most of asynq's: it costs nothing
		return endless{parent, s.ctx}, func() {}
	}
	ctx, cancel := context.WithCancel(parent)
	stop := context.AfterFunc(s.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// endless is a context that has no end of its own, and now has another's.
type endless struct {
	context.Context
	end context.Context //nolint:containedctx // it is a context
}

func (c endless) Done() <-chan struct{} { return c.end.Done() }
func (c endless) Err() error            { return c.end.Err() }

func (c *cutoff) isCut() bool { return c.state.Load().ctx.Err() != nil }

// DialHook leaves dialling as it is: it ends with the command's context.
func (c *cutoff) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook fails what comes after the cut.
func (c *cutoff) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if c.isCut() {
			cmd.SetErr(errCutOff)
			return errCutOff
		}
		ctx, done := c.until(ctx)
		defer done()
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook fails what comes after the cut.
func (c *cutoff) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if c.isCut() {
			for _, cmd := range cmds {
				cmd.SetErr(errCutOff)
			}
			return errCutOff
		}
		ctx, done := c.until(ctx)
		defer done()
		return next(ctx, cmds)
	}
}
