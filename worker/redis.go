package worker

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/edgepurge/edgepurge/internal/redisacl"
	"github.com/edgepurge/edgepurge/internal/redisaway"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// errorPause is a go-redis hook that pauses before it hands on an error reply
// of Redis (no permission, out of memory, read only, loading). asynq asks again
// at once after such an error: without the pause it would spin. The pause
// doubles from 10 ms to 2 s until Redis takes writes again, or errors are rare.
type errorPause struct {
	failures atomic.Int64
	last     atomic.Int64 // when Redis refused last, in Unix milliseconds
}

const (
	firstErrorPause   = 10 * time.Millisecond
	longestErrorPause = 2 * time.Second
	// errorsRare is how long after an error the next one is a first one again.
	errorsRare = 5 * longestErrorPause
)

// DialHook leaves dialling as it is: go-redis backs off by itself.
func (p *errorPause) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook pauses after a command that Redis refused.
func (p *errorPause) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if !isGreeting(cmd) && !isHint(cmd) && (err != nil || !mayOnlyRead(cmd)) {
			p.after(ctx, err)
		}
		return err
	}
}

// ProcessPipelineHook pauses after a pipeline that Redis refused.
func (p *errorPause) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if len(cmds) > 0 && !isGreeting(cmds[0]) && (err != nil || !mayOnlyRead(cmds[0])) {
			p.after(ctx, err)
		}
		return err
	}
}

// isGreeting reports whether go-redis introduces itself on a new connection: a
// Redis before 7.2 does not know all of it, which is no trouble.
func isGreeting(cmd redis.Cmder) bool { return cmd.Name() == "client" || cmd.Name() == "hello" }

// isHint reports whether a command only notes when an account is due. What it
// follows is done, so a full Redis that refuses it keeps nothing waiting.
func isHint(cmd redis.Cmder) bool {
	args := cmd.Args()
	return len(args) > 1 && cmd.Name() == "zadd" && args[1] == lanes.KeyDue
}

// mayOnlyRead reports whether the success of a command says nothing of writes: a
// Redis that is full or a replica goes on answering these between its errors.
func mayOnlyRead(cmd redis.Cmder) bool {
	switch cmd.Name() {
	case "eval", "evalsha", "time", "zrange", "zcard", "hget", "hmget", "hgetall", "hkeys", "smembers", "exists":
		return true
	}
	return false
}

func (p *errorPause) after(ctx context.Context, err error) {
	if !isRefusal(err) {
		if err == nil || errors.Is(err, redis.Nil) {
			p.failures.Store(0)
		}
		return
	}
	now := time.Now().UnixMilli()
	if last := p.last.Swap(now); last > 0 && now-last > errorsRare.Milliseconds() {
		p.failures.Store(0)
	}
	n := min(p.failures.Add(1), 16)
	sleep(ctx, min(firstErrorPause<<(n-1), longestErrorPause))
}

// isRefusal reports whether Redis answered with an error that is not part of
// how scripts are loaded.
func isRefusal(err error) bool {
	if err == nil || errors.Is(err, redis.Nil) {
		return false
	}
	reply, ok := errors.AsType[redis.Error](err)
	return ok && !strings.HasPrefix(reply.Error(), "NOSCRIPT")
}

// awaitRedis waits until Redis answers. It says why, when that changes and once a minute,
// unless away says that there has been a message. It returns early with the context's error.
func awaitRedis(ctx context.Context, rdb redis.UniversalClient, away func() bool, log zerolog.Logger) error {
	var last string
	var told time.Time
	for wait := 500 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		err := rdb.Ping(ctx).Err()
		if err == nil {
			if last != "" {
				log.Warn().Msg("Redis answers")
			}
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if why := awaitReason(err); !away() && (why != last || time.Since(told) >= time.Minute) {
			last, told = why, time.Now()
			log.Error().Err(redisaway.Plain(err)).Msg(why)
		}
		if !sleep(ctx, wait) {
			return ctx.Err()
		}
	}
}

// awaitReason says what keeps a worker from its start.
func awaitReason(err error) string {
	if isRefusal(err) {
		return "Redis refuses to serve: waiting for it (are the user and password in redis.url right?)"
	}
	return "Redis does not answer: waiting for it (is redis.url right?)"
}

// tellMissingRights says once what the Redis user may not do. Redis 7.0 names
// neither the command that it refused inside of a script nor a key.
func tellMissingRights(ctx context.Context, rdb redis.UniversalClient, rights redisacl.Rights, log zerolog.Logger) {
	missing, err := rights.Missing(ctx, rdb)
	switch {
	case err != nil:
		log.Error().Err(err).Msg("look for missing rights")
	case len(missing) > 0:
		log.Error().Strs("missing", missing).Msg("the Redis user lacks rights: grant them with ACL SETUSER (docs/redis.md)")
	}
}

// sleep reports whether it slept to the end; false means that ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
