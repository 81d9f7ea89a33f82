package webhook

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// RedisDedupe is a Dedupe in Redis, shared by all gateways.
type RedisDedupe struct{ rdb redis.UniversalClient }

var _ Dedupe = (*RedisDedupe)(nil)

// NewRedisDedupe returns a Dedupe over a client, which stays its caller's. Set
// the client's ContextTimeoutEnabled, or a slow Redis is waited for too long.
func NewRedisDedupe(rdb redis.UniversalClient) *RedisDedupe { return &RedisDedupe{rdb} }

// Seen implements Dedupe.
func (r *RedisDedupe) Seen(ctx context.Context, source string, ids ...string) (bool, error) {
	cmds, err := r.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, id := range ids { // one by one: the keys lie in different slots of a cluster
			p.Exists(ctx, dedupeKey(source, id))
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("look for a delivery: %w", err)
	}
	for _, cmd := range cmds {
		if exists, ok := cmd.(*redis.IntCmd); ok && exists.Val() > 0 {
			return true, nil
		}
	}
	return false, nil
}

// Mark implements Dedupe.
func (r *RedisDedupe) Mark(ctx context.Context, source string, ttl time.Duration, ids ...string) error {
	_, err := r.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, id := range ids {
			p.Set(ctx, dedupeKey(source, id), 1, ttl)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("mark a delivery: %w", err)
	}
	return nil
}

// dedupeKey names a delivery in Redis. Its id is hashed: the sender chose it.
func dedupeKey(source, id string) string { return "edgepurge:hook:" + source + ":" + sum([]byte(id)) }
