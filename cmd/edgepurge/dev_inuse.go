package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/internal/overview"
	"github.com/edgepurge/edgepurge/internal/redisurl"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// redisInUse is what others do with a Redis: dev's worker would take its share of
// their purges, and for an emulated Vercel nothing of that is purged.
type redisInUse struct {
	workers int
	tasks   int   // requests and calls in asynq's queues
	items   int64 // in lanes, calls under way included
}

func readInUse(ctx context.Context, rdb redis.UniversalClient) (redisInUse, error) {
	var u redisInUse
	workers, err := overview.ReadWorkers(asynq.NewInspectorFromRedisClient(rdb))
	if err != nil {
		return u, err
	}
	u.workers = len(workers)
	all, err := overview.ReadQueues(ctx, rdb)
	if err != nil {
		return u, err
	}
	for _, q := range all {
		u.tasks += q.Pending + q.Active + q.Retry + q.Scheduled
	}
	l := lanes.New(rdb)
	accounts, err := l.Accounts(ctx)
	if err != nil {
		return u, err
	}
	for _, name := range accounts {
		waiting, err := l.Waiting(ctx, name)
		if err != nil {
			return u, err
		}
		for _, w := range waiting {
			u.items += w.Items
		}
	}
	return u, nil
}

// refusal says why dev does not use the Redis; nil if it is not in use.
func (u redisInUse) refusal(url string) error {
	var uses []string
	if u.workers > 0 {
		uses = append(uses, count(u.workers, "worker")+" at work")
	}
	if u.tasks > 0 {
		uses = append(uses, count(u.tasks, "task")+" in its queues")
	}
	if u.items > 0 {
		uses = append(uses, count(int(u.items), "item")+" waiting")
	}
	if len(uses) == 0 {
		return nil
	}
	return fmt.Errorf("--redis %s is in use (%s), and dev's worker would take purges that are meant for others: "+
		"use another database, or add --redis-in-use if that is what you want", redisurl.Redact(url), strings.Join(uses, ", "))
}
