package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	slots = 16384
	// nodeTimeout is how long a node of a cluster may be silent until the others
	// replace it. Much shorter, and a busy machine makes it look dead.
	nodeTimeout = 1500 * time.Millisecond
)

// Nodes are the servers of a Redis Cluster. Replicas[i] follows what Masters[i]
// was at the start; a fail-over swaps the roles, not the slices.
type Nodes struct {
	Masters, Replicas []*Server
}

// Cluster starts a cluster of so many masters without replicas, and waits until
// each of them knows who serves every slot. Without redis-server the test is
// skipped, as by Start.
func Cluster(tb testing.TB, masters int, opts ...string) *Nodes {
	tb.Helper()
	n := &Nodes{}
	for range masters {
		n.Masters = append(n.Masters, startNode(tb, opts))
	}
	for i, s := range n.Masters {
		s.admin(tb, func(c *redis.Client) {
			ctx := context.Background()
			first, last := i*slots/masters, (i+1)*slots/masters-1
			err := errors.Join(
				// Nodes that start with equal epochs argue first.
				c.Do(ctx, "cluster", "set-config-epoch", i+1).Err(),
				c.ClusterAddSlotsRange(ctx, first, last).Err(),
				n.meet(ctx, c),
			)
			if err != nil {
				tb.Fatalf("redistest: make a cluster: %v", err)
			}
		})
	}
	n.awaitAgreement(tb)
	return n
}

func startNode(tb testing.TB, opts []string) *Server {
	tb.Helper()
	return launch(tb, plan{port: clusterPort, opts: append([]string{
		"--cluster-enabled", "yes", "--cluster-config-file", "nodes",
		"--cluster-node-timeout", strconv.FormatInt(nodeTimeout.Milliseconds(), 10),
		"--repl-diskless-sync-delay", "0",
		"--repl-ping-replica-period", "1", // a replica is told of from its first byte on
	}, opts...)})
}

// AddReplicas gives every master a replica and waits until it holds a copy.
func (n *Nodes) AddReplicas(tb testing.TB, opts ...string) {
	tb.Helper()
	for range n.Masters {
		s := startNode(tb, opts)
		n.Replicas = append(n.Replicas, s)
		s.admin(tb, func(c *redis.Client) {
			if err := n.meet(context.Background(), c); err != nil {
				tb.Fatalf("redistest: add a replica: %v", err)
			}
		})
	}
	n.awaitAgreement(tb)
	for i, s := range n.Replicas {
		var id string
		n.Masters[i].admin(tb, func(c *redis.Client) { id = c.Do(context.Background(), "cluster", "myid").String() })
		id = id[strings.LastIndexByte(id, ' ')+1:]
		s.admin(tb, func(c *redis.Client) {
			until(tb, "follow a master", func(ctx context.Context) error { return c.ClusterReplicate(ctx, id).Err() })
			until(tb, "copy a master", func(ctx context.Context) error { return inSync(ctx, c) })
		})
	}
	n.awaitAgreement(tb)
}

// meet makes one node known to the first; the others hear of it by themselves.
func (n *Nodes) meet(ctx context.Context, c *redis.Client) error {
	return c.ClusterMeet(ctx, host, strconv.Itoa(n.Masters[0].port)).Err()
}

// awaitAgreement waits until every node sees all others and all slots served.
func (n *Nodes) awaitAgreement(tb testing.TB) {
	tb.Helper()
	for _, s := range n.all() {
		s.admin(tb, func(c *redis.Client) {
			until(tb, "a cluster's nodes agree", func(ctx context.Context) error { return n.agrees(ctx, c) })
		})
	}
}

func (n *Nodes) agrees(ctx context.Context, c *redis.Client) error {
	info, err := c.ClusterInfo(ctx).Result()
	if err != nil {
		return err
	}
	for _, want := range []string{"cluster_state:ok", "cluster_slots_ok:16384", fmt.Sprintf("cluster_known_nodes:%d", len(n.all()))} {
		if !strings.Contains(info, want+"\r\n") {
			return fmt.Errorf("no %s in\n%s", want, info)
		}
	}
	served, err := c.ClusterSlots(ctx).Result() //nolint:staticcheck // Redis 6.2 has no CLUSTER SHARDS
	if err != nil {
		return err
	}
	replicas := 0
	for _, r := range served {
		replicas += len(r.Nodes) - 1
	}
	if known, err := c.ClusterNodes(ctx).Result(); err != nil || strings.Contains(known, "handshake") {
		return fmt.Errorf("still shaking hands: %w", err)
	}
	if following(ctx, n) && replicas != len(n.Replicas) {
		return fmt.Errorf("%d of %d replicas are known", replicas, len(n.Replicas))
	}
	return nil
}

// following reports whether the replicas were told whom to follow.
func following(ctx context.Context, n *Nodes) bool {
	for _, s := range n.Replicas {
		c := redis.NewClient(&redis.Options{Network: "unix", Addr: s.socket()})
		info := c.Info(ctx, "replication").Val()
		_ = c.Close()
		if !strings.Contains(info, "role:slave") {
			return false
		}
	}
	return true
}

func inSync(ctx context.Context, replica *redis.Client) error {
	info, err := replica.Info(ctx, "replication").Result()
	if err == nil && !strings.Contains(info, "master_link_status:up") {
		return errors.New("its link to the master is not up")
	}
	return err
}

func (n *Nodes) all() []*Server { return append(append([]*Server{}, n.Masters...), n.Replicas...) }

// URL names every node that was started as a master, as internal/redisurl reads it.
func (n *Nodes) URL() string {
	addrs := make([]string, len(n.Masters))
	for i, s := range n.Masters {
		addrs[i] = s.Addr()
	}
	return "redis+cluster://" + strings.Join(addrs, ",")
}

// Client connects to the cluster; the connections are closed when the test ends.
func (n *Nodes) Client(tb testing.TB) *redis.ClusterClient {
	tb.Helper()
	options := &redis.ClusterOptions{ClusterStateReloadInterval: time.Second} // its default outlasts a test
	for _, s := range n.all() {
		options.Addrs = append(options.Addrs, s.Addr())
	}
	c := redis.NewClusterClient(options)
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

// MasterOf is the index of the server in Masters, or of its replica in
// Replicas, that serves the slot of a key.
func (n *Nodes) MasterOf(tb testing.TB, key string) (index int, s *Server) {
	tb.Helper()
	c := n.Client(tb)
	node, err := c.MasterForKey(context.Background(), key)
	if err != nil {
		tb.Fatalf("redistest: who serves %s: %v", key, err)
	}
	for i, s := range n.all() {
		if s.Addr() == node.Options().Addr {
			return i % len(n.Masters), s
		}
	}
	tb.Fatalf("redistest: %s is served by %s, which is none of ours", key, node.Options().Addr)
	return 0, nil
}

// Failover makes Replicas[i] take over from Masters[i], with nothing lost, and
// waits until it has and is followed by the old master.
func (n *Nodes) Failover(tb testing.TB, i int) {
	tb.Helper()
	n.Replicas[i].admin(tb, func(c *redis.Client) {
		if err := c.ClusterFailover(context.Background()).Err(); err != nil {
			tb.Fatalf("redistest: fail over: %v", err)
		}
	})
	n.AwaitTakeover(tb, i)
	n.Masters[i].admin(tb, func(c *redis.Client) {
		until(tb, "the old master follows", func(ctx context.Context) error { return inSync(ctx, c) })
	})
}

// AwaitTakeover waits until Replicas[i] is a master and all slots are served.
func (n *Nodes) AwaitTakeover(tb testing.TB, i int) {
	tb.Helper()
	n.Replicas[i].admin(tb, func(c *redis.Client) {
		until(tb, "a replica takes over", func(ctx context.Context) error {
			info := c.Info(ctx, "replication").Val()
			state, err := c.ClusterInfo(ctx).Result()
			switch {
			case err != nil:
				return err
			case !strings.Contains(info, "role:master"):
				return errors.New("it is a replica still")
			case !strings.Contains(state, "cluster_state:ok"):
				return errors.New("some slots are not served")
			}
			return nil
		})
	})
}

// clusterPort is free, and so is the one at which the nodes talk to each other.
func clusterPort() (int, error) {
	const bus = 10_000
	for range 100 {
		port, err := freePort()
		if err != nil {
			return 0, err
		}
		if port+bus > 65535 {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port+bus)))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no port is free whose cluster bus port is")
}
