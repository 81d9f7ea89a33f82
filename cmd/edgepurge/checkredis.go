package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/internal/overview"
	"github.com/edgepurge/edgepurge/internal/redisacl"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
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
		r.commands(ctx, rdb)
	}
	r.pubsub(ctx, rdb)
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

// commands tries every command that scripts use, on keys of its own. What the user
// may not do is a matter of rights, and of whose rights are asked for here.
func (r *report) commands(ctx context.Context, rdb redis.UniversalClient) {
	const name = "redis commands"
	refused, err := redisacl.Try(ctx, rdb, ulid.Make().String())
	if err != nil {
		r.add(doubtful, name, "could not try the commands that scripts use: %v", err)
		return
	}
	bad := false
	for _, command := range slices.Sorted(maps.Keys(refused)) {
		if why := refused[command]; !redisacl.RefusedText(why) {
			bad = true
			r.add(broken, name, "scripts cannot run %s: %s: edgepurge needs it, so use another Redis, or another plan of this one", strings.ToUpper(command), why)
		}
	}
	if !bad {
		r.add(fine, name, "scripts may run all that edgepurge and asynq use")
	}
}

// pubsubWait bounds the wait for a message to oneself.
const pubsubWait = 2 * time.Second

// pubsub sends itself a wake-up that is meant for no account, on the channels that
// workers listen to.
func (r *report) pubsub(ctx context.Context, rdb redis.UniversalClient) {
	const name = "redis pub/sub"
	ctx, cancel := context.WithTimeout(ctx, pubsubWait)
	defer cancel()
	err := func() error {
		sub := rdb.Subscribe(ctx, lanes.ChannelWake, tasks.ChannelQueued)
		defer func() { _ = sub.Close() }()
		for range 2 { // both are subscribed to
			if _, err := sub.Receive(ctx); err != nil {
				return fmt.Errorf("SUBSCRIBE: %w", err)
			}
		}
		if err := rdb.Publish(ctx, lanes.ChannelWake, "").Err(); err != nil {
			return fmt.Errorf("PUBLISH: %w", err)
		}
		if _, err := sub.ReceiveMessage(ctx); err != nil {
			return fmt.Errorf("a message did not arrive: %w", err)
		}
		return nil
	}()
	switch {
	case redisacl.Refused(err): // the user of a command line needs no SUBSCRIBE
		r.add(fine, name, "not tried: this user may not (%v)", err)
	case err != nil:
		r.add(doubtful, name, "%v: workers would notice what is new only every few seconds", err)
	default:
		r.add(fine, name, "messages arrive")
	}
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
	if most > 0 && used >= most {
		r.add(broken, name, "%.0f%% of maxmemory is used: Redis is full, and no purge is accepted until maxmemory is raised or workers free some", 100*used/most)
		return
	}
	if most > 0 && used > fullMemory*most {
		r.add(doubtful, name, "%.0f%% of maxmemory is used, and a full Redis takes nothing in: raise maxmemory", 100*used/most)
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
