package redistest

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	masterName = "mymaster"
	// downAfter is how long a master may be silent until the sentinels replace it.
	downAfter = 700 * time.Millisecond
	sentinels = 3
)

// Guarded is a master and its replica under the eyes of three sentinels.
type Guarded struct {
	Master, Replica *Server
	Sentinels       []*Server
}

// Sentinel starts a master, a replica that holds a copy, and sentinels that know
// both and each other. opts are those of the master and the replica. Without
// redis-server the test is skipped, as by Start.
func Sentinel(tb testing.TB, opts ...string) *Guarded {
	tb.Helper()
	g := &Guarded{}
	g.Master, g.Replica = Replicated(tb, opts...)
	conf := fmt.Sprintf(`sentinel monitor %[1]s %[2]s %[3]d %[4]d
sentinel down-after-milliseconds %[1]s %[5]d
sentinel failover-timeout %[1]s 6000
`, masterName, host, g.Master.port, sentinels/2+1, downAfter.Milliseconds())
	for range sentinels {
		g.Sentinels = append(g.Sentinels, launch(tb, plan{conf: conf, opts: []string{"--sentinel"}}))
	}
	for _, s := range g.Sentinels {
		s.admin(tb, func(c *redis.Client) {
			until(tb, "the sentinels know each other", func(ctx context.Context) error { return complete(ctx, c) })
		})
	}
	return g
}

// Replicated starts a master and a replica that holds a copy of it.
func Replicated(tb testing.TB, opts ...string) (master, replica *Server) {
	tb.Helper()
	opts = append([]string{"--repl-diskless-sync-delay", "0"}, opts...)
	master = Start(tb, opts...)
	replica = Start(tb, append([]string{"--replicaof", host, strconv.Itoa(master.port)}, opts...)...)
	replica.admin(tb, func(c *redis.Client) {
		until(tb, "copy the master", func(ctx context.Context) error { return inSync(ctx, c) })
	})
	return master, replica
}

func complete(ctx context.Context, c *redis.Client) error {
	state, err := c.Do(ctx, "sentinel", "master", masterName).Result()
	if err != nil {
		return err
	}
	text := fmt.Sprint(state)
	for _, want := range []string{"num-slaves:1", "num-other-sentinels:" + strconv.Itoa(sentinels-1), "flags:master "} {
		if !strings.Contains(text, want) {
			return fmt.Errorf("no %s in %s", want, text)
		}
	}
	return nil
}

// URL names the sentinels and the master, as internal/redisurl reads it.
func (g *Guarded) URL() string {
	addrs := make([]string, len(g.Sentinels))
	for i, s := range g.Sentinels {
		addrs[i] = s.Addr()
	}
	return "redis+sentinel://" + strings.Join(addrs, ",") + "/" + masterName + "/0"
}

// AwaitTakeover waits until the replica is the master and the sentinels say so.
func (g *Guarded) AwaitTakeover(tb testing.TB) {
	tb.Helper()
	for _, s := range g.Sentinels {
		s.admin(tb, func(c *redis.Client) {
			until(tb, "the replica takes over", func(ctx context.Context) error {
				addr, err := c.Do(ctx, "sentinel", "get-master-addr-by-name", masterName).StringSlice()
				if err == nil && (len(addr) != 2 || addr[1] != strconv.Itoa(g.Replica.port)) {
					err = fmt.Errorf("the master is at %v", addr)
				}
				return err
			})
		})
	}
	g.Replica.admin(tb, func(c *redis.Client) {
		until(tb, "the replica takes writes", func(ctx context.Context) error {
			return c.Set(ctx, "redistest", "", time.Millisecond).Err()
		})
	})
}
