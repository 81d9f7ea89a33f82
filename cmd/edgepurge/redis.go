package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/configs"
	"github.com/edgepurge/edgepurge/internal/redisaway"
	"github.com/edgepurge/edgepurge/internal/redisurl"
)

// redisWait bounds how long a command waits for Redis before it gives up.
const redisWait = 3 * time.Second

// openRedis connects, and fails fast when Redis does not answer. The caller
// closes the client. A command but a worker needs no pool of its own: 0.
func (a *app) openRedis(ctx context.Context, c configs.Config) (redis.UniversalClient, error) {
	rdb, err := redisurl.Open(c.Redis.URL, 0)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, redisWait)
	defer cancel()
	// A Redis that cannot save answers a PING with MISCONF: it may still be read.
	if err := rdb.Ping(ctx).Err(); err != nil && !redis.HasErrorPrefix(err, "MISCONF") {
		_ = rdb.Close()
		return nil, redisFault(c.Redis.URL, err)
	}
	return rdb, nil
}

// redisFault says what to do about a Redis that does not answer, or refuses.
func redisFault(url string, err error) error {
	place := redisurl.Redact(url)
	if reply, ok := errors.AsType[redis.Error](err); ok {
		hint := ""
		if isLogin(reply) {
			hint = ": check user and password in EDGEPURGE_REDIS_URL or redis.url"
		}
		return fmt.Errorf("refused by Redis at %s: %w%s", place, reply, hint)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op // without what go-redis and the pool say around it
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("no answer from Redis at %s: %w: start it, or set EDGEPURGE_REDIS_URL or redis.url", place, err)
}

// isLogin reports whether Redis refused the user, his password, or what he may do.
func isLogin(err error) bool {
	return slices.ContainsFunc([]string{"NOAUTH", "WRONGPASS", "NOPERM"}, func(prefix string) bool { return redis.HasErrorPrefix(err, prefix) })
}

// outage tells the user of a command that goes on when Redis does not answer: once, and
// once when it is back.
type outage struct {
	app  *app
	away bool
}

// bridges takes how a look at Redis ended and reports whether the command may go on, for
// it will look again.
func (o *outage) bridges(err error) bool {
	switch {
	case err == nil && o.away:
		o.app.notef("edgepurge: Redis answers again")
		o.away = false
	case err != nil && !redisaway.Outage(err):
		return false
	case err != nil && !o.away:
		o.app.notef("edgepurge: Redis does not answer: waiting for it")
		o.away = true
	}
	return true
}

// silence is go-redis's logger: what it logs, a dial that failed, comes back as
// an error too, and is told once.
type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}
