// Package redisurl opens a Redis client from a URL: a single server, a unix
// socket, Sentinel or Cluster. It does not connect: the first command does.
//
// asynq's own parser is not used because it drops the name of the ACL user.
package redisurl

import (
	"crypto/tls"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Example is a URL of the commonest form, for help texts.
const Example = "redis://user:password@localhost:6379/0" //nolint:gosec // an example

var examples = map[string]string{ //nolint:gosec // examples
	"redis":           Example,
	"rediss":          "rediss://user:password@redis.example.com:6379/0",
	"unix":            "unix://user:password@/run/redis/redis.sock?db=0",
	"redis+sentinel":  "redis+sentinel://user:password@s1:26379,s2:26379/mymaster/0?sentinel_username=u&sentinel_password=p",
	"rediss+sentinel": "rediss+sentinel://user:password@s1:26379,s2:26379/mymaster/0?sentinel_username=u&sentinel_password=p",
	"redis+cluster":   "redis+cluster://user:password@n1:6379,n2:6379",
	"rediss+cluster":  "rediss+cluster://user:password@n1:6379,n2:6379",
}

// Open returns a client of the Redis at raw, which is one of
//
//	redis://user:password@host:6379/0
//	unix://user:password@/path/to.sock?db=0
//	redis+sentinel://user:password@s1:26379,s2:26379/mymaster/0?sentinel_username=u&sentinel_password=p
//	redis+cluster://user:password@n1:6379,n2:6379
//
// or the same with TLS: rediss, rediss+sentinel, rediss+cluster. User and
// password, percent-encoded, are those of the data nodes. The query takes
// go-redis's options, such as read_timeout=6s, but none that reads from replicas.
//
// poolSize is the least number of connections per node that the caller needs; a
// larger pool_size in the URL is kept. 0 leaves it to go-redis (10 per CPU).
//
// Commands of the client honour the deadline of their context. An error names
// the fault and an example, and never holds a password.
func Open(raw string, poolSize int) (redis.UniversalClient, error) {
	o, err := parse(raw)
	if err != nil {
		return nil, err
	}
	if poolSize < 0 || poolSize > maxConns {
		return nil, fmt.Errorf("redis pool size %d is out of range: use 0 to %d", poolSize, maxConns)
	}
	return o.client(poolSize), nil
}

// clusterReload is how old a client's picture of a cluster may get. A master that
// is gone refuses connections, and go-redis looks for who replaced it only when
// its picture is this old, by default a minute (redis/go-redis#3979).
const clusterReload = time.Second

// options is exactly one of the three.
type options struct {
	single   *redis.Options
	failover *redis.FailoverOptions
	cluster  *redis.ClusterOptions
}

func (o options) client(poolSize int) redis.UniversalClient {
	switch {
	case o.failover != nil:
		o.failover.ContextTimeoutEnabled = true
		o.failover.PoolSize = max(o.failover.PoolSize, poolSize)
		return redis.NewFailoverClient(o.failover)
	case o.cluster != nil:
		o.cluster.ContextTimeoutEnabled = true
		o.cluster.PoolSize = max(o.cluster.PoolSize, poolSize)
		o.cluster.ClusterStateReloadInterval = clusterReload
		return redis.NewClusterClient(o.cluster)
	default:
		o.single.ContextTimeoutEnabled = true
		o.single.PoolSize = max(o.single.PoolSize, poolSize)
		return redis.NewClient(o.single)
	}
}

// parse takes the URL apart and hands each form, rewritten, to go-redis.
func parse(raw string) (options, error) {
	p, err := cut(raw)
	if err != nil {
		return options{}, fail(raw, p.scheme, err)
	}
	q, err := p.options()
	if err != nil {
		return options{}, fail(raw, p.scheme, err)
	}
	var o options
	switch p.scheme {
	case "redis+sentinel", "rediss+sentinel":
		o.failover, err = p.sentinel(q)
	case "redis+cluster", "rediss+cluster":
		o.cluster, err = p.clusterNodes(q)
	default:
		o.single, err = p.single(q)
	}
	if err != nil {
		return options{}, fail(raw, p.scheme, err)
	}
	return o, nil
}

func fail(raw, scheme string, err error) error {
	example, ok := examples[scheme]
	if !ok {
		example = Example
	}
	return fmt.Errorf("redis URL %q: %w; an example: %s", Redact(raw), err, example)
}

// verifyDialled makes TLS verify the name that is dialled: go-redis presets the
// first of several hosts, which the other ones' certificates need not carry.
func verifyDialled(c *tls.Config) {
	if c != nil {
		c.ServerName = ""
	}
}
