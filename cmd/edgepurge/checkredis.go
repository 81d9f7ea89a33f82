package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/internal/overview"
	"github.com/edgepurge/edgepurge/internal/redisacl"
)

const (
	// oldestRedis is what asynq's ZRANGE … BYSCORE needs.
	oldestMajor, oldestMinor = 6, 2
	// clockSlack is what asynq's leases of 30 s bear with ease.
	clockSlack = 2 * time.Second
	// fullMemory is the share of maxmemory from which on the end is near: a full
	// Redis takes nothing in and, worse, gives nothing out.
	fullMemory = 0.7
)

// redis looks at a Redis that answers.
func (r *report) redis(ctx context.Context, rdb redis.UniversalClient) {
	r.clock(ctx, rdb)
	if err := rdb.Eval(ctx, "return ARGV[1]", []string{"edgepurge:{check}"}, "works").Err(); err != nil {
		r.add(broken, "redis scripts", "Lua does not work: %v: edgepurge and asynq need EVAL and EVALSHA", err)
	} else {
		r.add(fine, "redis scripts", "Lua works")
	}
	r.rights(ctx, rdb)
	text, err := rdb.Info(ctx).Result()
	if err != nil {
		r.add(doubtful, "redis settings", "could not look (INFO: %v)", err)
		return
	}
	info := parseInfo(text)
	r.version(info)
	r.role(info)
	r.memory(info)
	r.persistence(info)
	r.workers(rdb)
}

// rights says what the user may not do that some command needs. Redis before 7.0
// cannot tell, and a user without EVAL cannot ask: then it says nothing.
func (r *report) rights(ctx context.Context, rdb redis.UniversalClient) {
	missing, err := redisacl.Operator.Missing(ctx, rdb)
	if err == nil && len(missing) > 0 {
		r.add(doubtful, "redis rights", "the user lacks %s, so some of purge, status, hold, dead and check fail: see ACL SETUSER in docs/redis.md",
			strings.Join(missing, " "))
	}
}

// clock compares the clocks, at the middle of the round trip.
func (r *report) clock(ctx context.Context, rdb redis.UniversalClient) {
	start := time.Now()
	theirs, err := rdb.Time(ctx).Result()
	trip := time.Since(start)
	if err != nil {
		r.add(doubtful, "redis clock", "could not look (TIME: %v)", err)
		return
	}
	offset := theirs.Sub(start.Add(trip / 2)).Round(time.Millisecond)
	if offset.Abs() > clockSlack {
		r.add(doubtful, "redis clock", "differs by %s from this machine's: synchronise both (NTP), for asynq's leases are by the workers' clocks", offset)
		return
	}
	r.add(fine, "redis clock", "within %s of this machine's, round trip %s", max(offset.Abs(), time.Millisecond), trip.Round(time.Microsecond))
}

// parseInfo reads the reply of INFO.
func parseInfo(text string) map[string]string {
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); ok {
			info[key] = value
		}
	}
	return info
}

func (r *report) version(info map[string]string) {
	const name = "redis version"
	v := info["redis_version"]
	var major, minor int
	if n, _ := fmt.Sscanf(v, "%d.%d", &major, &minor); n != 2 {
		r.add(doubtful, name, "could not look: INFO does not say")
		return
	}
	if major < oldestMajor || major == oldestMajor && minor < oldestMinor {
		r.add(broken, name, "%s is too old: %d.%d or newer is needed", v, oldestMajor, oldestMinor)
		return
	}
	r.add(fine, name, "%s", v)
}

func (r *report) role(info map[string]string) {
	if info["role"] == "slave" {
		r.add(broken, "redis role", "this is a replica, which takes no writes: name the primary in redis.url, or use redis+sentinel://")
	}
}

func (r *report) memory(info map[string]string) {
	const name = "redis memory"
	switch policy := info["maxmemory_policy"]; policy {
	case "":
		r.add(doubtful, name, "could not look: set maxmemory-policy noeviction, or Redis may throw purges away")
		return
	case "noeviction":
	default:
		r.add(doubtful, name, "maxmemory-policy is %s, so a full Redis throws purges away: set it to noeviction", policy)
		return
	}
	used, _ := strconv.ParseFloat(info["used_memory"], 64)
	most, _ := strconv.ParseFloat(info["maxmemory"], 64)
	if most > 0 && used > fullMemory*most {
		r.add(doubtful, name, "%.0f%% of maxmemory is used, and a full Redis stops the workers: raise maxmemory", 100*used/most)
		return
	}
	r.add(fine, name, "noeviction")
}

func (r *report) persistence(info map[string]string) {
	const name = "redis persistence"
	switch info["aof_enabled"] {
	case "1":
		r.add(fine, name, "appendonly yes")
	case "0":
		r.add(doubtful, name, "appendonly is no, so a restart of Redis loses what waits: set appendonly yes")
	default:
		r.add(doubtful, name, "could not look: set appendonly yes, or a restart of Redis loses what waits")
	}
}

func (r *report) workers(rdb redis.UniversalClient) {
	workers, err := overview.ReadWorkers(asynq.NewInspectorFromRedisClient(rdb))
	switch {
	case err != nil:
		r.add(doubtful, "workers", "could not look: %v", err)
	case len(workers) == 0:
		r.add(doubtful, "workers", "none runs, so what is asked for waits: start `edgepurge worker`")
	default:
		r.add(fine, "workers", "%d", len(workers))
	}
}
