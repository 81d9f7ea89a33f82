package prodredis

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/enqueue"
	"github.com/edgepurge/edgepurge/internal/redisacl"
	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
)

// accountAt is the name of an account whose keys lie on the master of that index.
func accountAt(t *testing.T, n *redistest.Nodes, index int) string {
	t.Helper()
	for i := range 100 {
		name := fmt.Sprint("acme", i)
		if at, _ := n.MasterOf(t, "edgepurge:{"+name+"}:lanes"); at == index {
			return name
		}
	}
	t.Fatalf("no account for master %d", index)
	return ""
}

func TestCluster_NothingCrossesSlots(t *testing.T) {
	t.Parallel()
	n := redistest.Cluster(t, 3)
	for _, s := range n.Masters {
		createUsers(t, s.Client(t), redisacl.Cluster.Rules()...)
	}
	watched := watch(t, n.Masters)
	intake, _ := n.MasterOf(t, "asynq:{"+tasks.QueueIntake+"}:pending")
	f := newFleet(t, as(t, n.URL(), "worker"), enqueue.Config{Redis: as(t, n.URL(), "producer")}, 2,
		accountAt(t, n, (intake+1)%3), accountAt(t, n, (intake+2)%3))
	f.ask(600)
	f.drain(n.Client(t))

	everyVerdict(t, f)
	f.stop()
	for _, s := range n.Masters {
		assert.Empty(t, denials(t, s.Client(t)))
	}

	// What the watch would say: a key that a script does not declare, in another slot.
	require.NoError(t, n.Client(t).Eval(t.Context(), "redis.pcall('GET', 'edgepurge:{control}:x') return 1", []string{"edgepurge:{control2}:y"}).Err())

	seen := watched()
	assert.Greater(t, len(seen), 1000)
	commands := map[string]int{}
	controls := 0
	for _, c := range seen {
		commands[c.name]++
		if c.tags["control2"] {
			controls++
			assert.Equal(t, []string{"edgepurge:{control}:x"}, c.undeclared)
			assert.Len(t, c.tags, 2)
			continue
		}
		assert.LessOrEqual(t, len(c.tags), 1, "%s touches several slots: %v", c.name, c.keys)
		assert.Empty(t, c.undeclared, "a script touches keys that it does not declare")
	}
	assert.Equal(t, 1, controls)
	assert.NotZero(t, commands["evalsha"])
	assert.NotZero(t, commands["subscribe"])
}

func TestCluster_FailOver(t *testing.T) {
	t.Parallel()
	n := redistest.Cluster(t, 3, "--appendonly", "yes")
	n.AddReplicas(t)
	intake, _ := n.MasterOf(t, "asynq:{"+tasks.QueueIntake+"}:pending")
	pending := (intake + 1) % 3
	f := newFleet(t, n.URL(), enqueue.Config{Redis: n.URL(), WaitReplicas: 1, WaitTimeout: 5 * time.Second}, 2,
		accountAt(t, n, pending), accountAt(t, n, (intake+2)%3))
	var asking sync.WaitGroup
	asking.Go(func() { f.ask(1500) })
	f.awaitAccepted(200)
	n.Failover(t, pending) // by hand: nothing is lost
	f.awaitAccepted(f.accepted.Load() + 200)
	n.Masters[intake].Kill(t)
	began := time.Now()
	n.AwaitTakeover(t, intake)
	took := time.Since(began)
	n.Masters[intake].Restart(t) // it follows, and WAIT finds a replica again
	f.awaitAccepted(f.accepted.Load() + 1)
	t.Logf("the replica took over after %s, the producer was back after %s", took.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	asking.Wait()
	f.drain(n.Client(t))
}
