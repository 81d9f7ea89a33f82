// Package redisacl knows which rights a Redis user needs for each part of
// edgepurge, and tells which of them a connected user lacks. It grants nothing:
// that is for the operator, by ACL SETUSER.
package redisacl

import (
	"slices"
	"strings"
)

// Rights is what a user may do. Commands are in lower case, subcommands as
// "cluster|slots"; keys and channels are patterns. Every command may be run on every
// key; what may be run on some keys only is in Selectors, which Redis knows since 7.0.
// A selector has no selectors of its own.
type Rights struct {
	Commands, Keys, Channels []string
	Selectors                []Rights
}

// connection is what go-redis and asynq ask of every connection.
var connection = []string{"hello", "ping"}

// What a producer writes of asynq's: its requests, and the lists they wait in.
var (
	requests = []string{"asynq:{edgepurge-intake}:t:*", "asynq:{edgepurge-urgent}:t:*"}
	pending  = []string{"asynq:{edgepurge-intake}:pending", "asynq:{edgepurge-urgent}:pending"}
	receipts = []string{"edgepurge:receipt:*", "edgepurge:{*}:receipt:*"}
)

// Producer is what enqueue.Client needs: to store requests and follow the
// tracked ones, and nothing else. It can neither read nor remove what waits, nor
// pause a queue: hence a selector for each command that could.
var Producer = Rights{
	Commands: slices.Concat(connection, []string{"publish"}),
	Channels: []string{"edgepurge:queued"},
	Selectors: []Rights{
		{Commands: []string{"eval", "evalsha"}, Keys: slices.Concat(requests, pending, receipts)},
		{Commands: []string{"exists", "hset"}, Keys: requests},
		{Commands: []string{"lpush"}, Keys: pending},
		{Commands: []string{"sadd"}, Keys: []string{"asynq:queues"}},
		{Commands: []string{"exists", "hset", "hgetall", "hmget", "pexpire"}, Keys: receipts},
	},
}

// OldProducer is Producer for Redis 6.2, which has no selectors: whoever has it can
// remove requests that wait. Without Track it needs none of hgetall, hmget and
// pexpire, by which it could read and expire them too.
var OldProducer = Rights{
	Commands: slices.Concat(connection, []string{
		"eval", "evalsha", "exists", "hset", "lpush", "publish", "sadd", "hgetall", "hmget", "pexpire",
	}),
	Keys:     slices.Concat([]string{"asynq:queues"}, requests, pending, receipts),
	Channels: []string{"edgepurge:queued"},
}

// Replicas is what a Producer with WaitReplicas needs besides.
var Replicas = Rights{Commands: []string{"wait"}}

// Bounded is what a Producer with MaxQueued needs besides.
var Bounded = Rights{Selectors: []Rights{{
	Commands: []string{"llen", "zcard"},
	Keys:     slices.Concat(pending, []string{"asynq:{edgepurge-intake}:retry", "asynq:{edgepurge-urgent}:retry"}),
}}}

// Cluster is what every user of a Redis Cluster needs besides, on every node.
var Cluster = Rights{Commands: []string{"cluster|slots", "command"}}

// Worker is what a worker process needs: asynq's server and the lanes.
var Worker = Rights{
	Commands: slices.Concat(connection, []string{
		"eval", "evalsha", "publish", "subscribe", "time", "unsubscribe",
		"del", "exists", "expire", "expireat", "get", "incr", "pexpire", "pttl", "set", "setex",
		"hdel", "hget", "hgetall", "hincrby", "hkeys", "hlen", "hmget", "hset",
		"llen", "lpush", "lrange", "lrem", "ltrim", "rpoplpush", "rpush",
		"sadd", "sismember", "smembers",
		"zadd", "zcard", "zcount", "zmscore", "zrange", "zrangebyscore", "zrem",
		"zremrangebyrank", "zremrangebyscore", "zrevrange", "zscore",
	}),
	Keys:     []string{"asynq:*", "edgepurge:*"},
	Channels: []string{"asynq:cancel", "edgepurge:queued", "edgepurge:wake"},
}

// Collapsing is what a Worker with collapse rules needs besides.
var Collapsing = Rights{Commands: []string{"zscan"}}

// Adopting is what `edgepurge adopt` needs besides an Operator's rights.
var Adopting = Rights{Commands: []string{"pttl", "zmscore"}}

// Operator is what the command line needs: purge, status, hold, dead and check.
var Operator = Rights{
	Commands: slices.Concat(OldProducer.Commands, []string{
		"info", "time",
		"del", "get", "hdel", "hget", "hkeys", "hlen", "hvals",
		"llen", "lrange", "lrem", "sismember", "smembers",
		"zadd", "zcard", "zcount", "zrange", "zrangebyscore", "zrem",
		"zremrangebyscore", "zrevrange", "zscore",
	}),
	Keys:     []string{"asynq:*", "edgepurge:*"},
	Channels: []string{"edgepurge:queued", "edgepurge:wake"},
}

// Gateway is what `edgepurge gateway` needs, dead letters, receipts and the web UI included.
var Gateway = Operator.With(Rights{Commands: []string{"set", "zremrangebyrank"}, Channels: []string{"asynq:cancel"}})

// With returns both rights, each once.
func (r Rights) With(more Rights) Rights {
	both := func(a, b []string) []string {
		list := slices.Concat(a, b)
		slices.Sort(list)
		return slices.Compact(list)
	}
	return Rights{
		both(r.Commands, more.Commands), both(r.Keys, more.Keys), both(r.Channels, more.Channels),
		slices.Concat(r.Selectors, more.Selectors),
	}
}

// Rules writes the rights as ACL SETUSER takes them, after "resetkeys
// resetchannels -@all": "~key &channel +command (selector)".
func (r Rights) Rules() []string {
	rules := r.ownRules()
	for _, s := range r.Selectors {
		rules = append(rules, s.selector())
	}
	return rules
}

func (r Rights) ownRules() []string {
	rules := make([]string, 0, len(r.Keys)+len(r.Channels)+len(r.Commands))
	for _, k := range r.Keys {
		rules = append(rules, "~"+k)
	}
	for _, c := range r.Channels {
		rules = append(rules, "&"+c)
	}
	for _, c := range r.Commands {
		rules = append(rules, "+"+c)
	}
	return rules
}

// selector writes the rights as one selector: "(+command ~key)".
func (r Rights) selector() string {
	rules := Rights{Commands: r.Commands}.ownRules()
	return "(" + strings.Join(append(rules, Rights{Keys: r.Keys}.ownRules()...), " ") + ")"
}

// sample is a key or channel that a pattern matches.
func sample(pattern string) string { return strings.ReplaceAll(pattern, "*", "x") }
