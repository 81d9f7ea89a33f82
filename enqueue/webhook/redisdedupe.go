package webhook

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/edgepurge/edgepurge/internal/redisgroup"
)

// RedisDedupe is a Dedupe in Redis, shared by all gateways. What concurrent
// deliveries ask of it goes out in common.
type RedisDedupe struct {
	rdb *redisgroup.Client
	log zerolog.Logger
}

var _ Dedupe = (*RedisDedupe)(nil)

// NewRedisDedupe returns a Dedupe over a client, which stays its caller's. Set
// the client's ContextTimeoutEnabled, or a slow Redis is waited for too long.
// The log is told of marks that were lost after Mark had taken them.
func NewRedisDedupe(rdb redis.UniversalClient, log zerolog.Logger) *RedisDedupe {
	return &RedisDedupe{redisgroup.New(rdb), log}
}

// Seen implements Dedupe. It sees what this RedisDedupe was told by Mark before.
func (r *RedisDedupe) Seen(ctx context.Context, source string, ids ...string) (bool, error) {
	cmds := make([]redis.Cmder, len(ids))
	for i, id := range ids { // one by one: the keys lie in different slots of a cluster
		cmds[i] = redis.NewIntCmd(ctx, "exists", dedupeKey(source, id))
	}
	if err := r.rdb.Together(ctx, cmds...); err != nil {
		return false, fmt.Errorf("look for a delivery: %w", err)
	}
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil {
			return false, fmt.Errorf("look for a delivery: %w", err)
		}
		if exists, ok := cmd.(*redis.IntCmd); ok && exists.Val() > 0 {
			return true, nil
		}
	}
	return false, nil
}

// Mark implements Dedupe. It does not wait for Redis: a mark that is lost costs
// a purge done twice.
func (r *RedisDedupe) Mark(ctx context.Context, source string, ttl time.Duration, ids ...string) error {
	cmds := make([]redis.Cmder, len(ids))
	for i, id := range ids {
		cmds[i] = redis.NewStatusCmd(ctx, "set", dedupeKey(source, id), 1, "px", ttl.Milliseconds())
	}
	lost := func(err error) {
		r.log.Warn().Str("source", source).Err(err).Msg("a webhook is not remembered: a duplicate will purge again")
	}
	if err := r.rdb.Later(ctx, lost, cmds...); err != nil {
		return fmt.Errorf("mark a delivery: %w", err)
	}
	return nil
}

// Flush waits until the marks are in Redis, or ctx ends. Call it when no more
// deliveries come.
func (r *RedisDedupe) Flush(ctx context.Context) error {
	if err := r.rdb.Flush(ctx); err != nil {
		return fmt.Errorf("mark deliveries: %w", err)
	}
	return nil
}

// dedupeKey names a delivery in Redis. Its id is hashed: the sender chose it.
func dedupeKey(source, id string) string { return "edgepurge:hook:" + source + ":" + sum([]byte(id)) }
