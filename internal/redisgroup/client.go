// Package redisgroup sends what concurrent callers ask of Redis in common: while
// one pipeline is under way, the commands that come meanwhile gather and go out
// with the next. A lone caller waits for nobody. It neither repeats nor reorders
// commands, and knows nothing of what they mean.
package redisgroup

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// sendWithin bounds one pipeline, so that a Redis that hangs holds up no
	// longer what comes after it. A caller's own context may end sooner.
	sendWithin = time.Second
	// mostCalls bounds a pipeline, and with it how long the first of its callers
	// waits for the last one's answer.
	mostCalls = 64
	// mostLater bounds what Later keeps while Redis is slow, some MiB.
	mostLater = 10_000
)

// ErrFull says that Later keeps too much already: Redis is too slow, or away.
var ErrFull = errors.New("10000 calls wait to be sent to Redis")

// errUnanswered is the error of a command until it has its answer, lest one that
// was never sent be taken for one that went well.
var errUnanswered = errors.New("no answer from Redis, or it was not asked")

// Client is a client whose scripts, run by their digest, and whose calls of
// Together and Later go out in common, one pipeline at a time and in the order
// of the calls. All else goes its own way. It is safe for concurrent use.
type Client struct {
	redis.UniversalClient

	mu      sync.Mutex // guards what follows; never held while Redis is asked
	waiting []*call
	later   int           // how many of them nobody waits for
	sending chan struct{} // closed when the sender ends; nil: there is none
}

// call is what one caller asks.
type call struct {
	ctx  context.Context
	cmds []redis.Cmder
	sent chan struct{} // closed when the commands have their answers; nil for Later
	fail func(error)   // of Later
}

// New returns a Client over rdb, which stays its caller's.
func New(rdb redis.UniversalClient) *Client { return &Client{UniversalClient: rdb} }

// EvalSha runs a script by its digest, together with others.
func (c *Client) EvalSha(ctx context.Context, sha1 string, keys []string, args ...any) *redis.Cmd {
	words := make([]any, 0, 3+len(keys)+len(args))
	words = append(words, "evalsha", sha1, len(keys))
	for _, key := range keys {
		words = append(words, key)
	}
	cmd := redis.NewCmd(ctx, append(words, args...)...)
	if len(keys) > 0 {
		cmd.SetFirstKeyPos(3) // where a cluster sends it
	}
	if err := c.Together(ctx, cmd); err != nil {
		unsent := redis.NewCmd(ctx) // cmd may still get its answer
		unsent.SetErr(err)
		return unsent
	}
	return cmd
}

// Together sends commands and waits for their answers, which each command holds
// for itself, errors included. Its own error is that of ctx: the commands must
// then not be touched, and may or may not reach Redis.
func (c *Client) Together(ctx context.Context, cmds ...redis.Cmder) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	own := &call{ctx: ctx, cmds: cmds, sent: make(chan struct{})}
	c.mu.Lock()
	c.add(own) //nolint:contextcheck // a pipeline outlasts each of its callers
	c.mu.Unlock()
	select {
	case <-own.sent:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Later sends commands without waiting: before those of any call that comes
// after it. If one of them fails, fail is told so, from another goroutine.
// ErrFull says that they are not sent. The end of ctx changes nothing.
func (c *Client) Later(ctx context.Context, fail func(error), cmds ...redis.Cmder) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.later >= mostLater {
		return ErrFull
	}
	c.later++
	c.add(&call{ctx: context.WithoutCancel(ctx), cmds: cmds, fail: fail}) //nolint:contextcheck // a pipeline outlasts each of its callers
	return nil
}

// Flush waits until all that was asked for before it is sent, or ctx ends.
func (c *Client) Flush(ctx context.Context) error {
	c.mu.Lock()
	sending := c.sending
	c.mu.Unlock()
	if sending == nil {
		return nil
	}
	select {
	case <-sending:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// add needs the lock.
func (c *Client) add(own *call) {
	c.waiting = append(c.waiting, own)
	if c.sending == nil {
		c.sending = make(chan struct{})
		go c.send()
	}
}

// send sends until nothing waits.
func (c *Client) send() {
	for {
		runtime.Gosched() // whoever is ready to call goes along
		calls := c.next()
		if len(calls) == 0 {
			return
		}
		c.pipeline(calls)
		for _, call := range calls {
			call.end()
		}
	}
}

// next takes the calls of the next pipeline; if there are none, the sender ends.
func (c *Client) next() []*call {
	c.mu.Lock()
	defer c.mu.Unlock()
	var calls []*call
	for len(c.waiting) > 0 && len(calls) < mostCalls {
		first := c.waiting[0]
		c.waiting[0], c.waiting = nil, c.waiting[1:]
		if first.sent == nil {
			c.later--
		}
		if first.ctx.Err() == nil { // else nobody waits any more
			calls = append(calls, first)
		}
	}
	if len(calls) == 0 {
		close(c.sending)
		c.sending, c.waiting = nil, nil
	}
	return calls
}

func (c *Client) pipeline(calls []*call) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(calls[0].ctx), sendWithin)
	defer cancel()
	// The error of a pipeline is that of one of its commands, which have theirs.
	_, _ = c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, call := range calls {
			for _, cmd := range call.cmds {
				cmd.SetErr(errUnanswered)
				_ = p.Process(ctx, cmd)
			}
		}
		return nil
	})
}

func (c *call) end() {
	if c.sent != nil {
		close(c.sent)
		return
	}
	for _, cmd := range c.cmds {
		if err := cmd.Err(); err != nil {
			c.fail(err)
			return
		}
	}
}
