package prodredis

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/enqueue"
	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/internal/redisurl"
)

func TestSentinel_MasterKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	g := redistest.Sentinel(t, "--appendonly", "yes")
	f := newFleet(t, g.URL(), enqueue.Config{Redis: g.URL(), WaitReplicas: 1, WaitTimeout: 200 * time.Millisecond}, 2, "acme", "beta")
	var asking sync.WaitGroup
	asking.Go(func() { f.ask(1000) })
	f.awaitAccepted(300)
	g.Master.Kill(t)
	began := time.Now()
	g.AwaitTakeover(t)
	took := time.Since(began)
	g.Master.Restart(t) // it follows the new master, and WAIT finds a replica again
	asking.Wait()
	t.Logf("the replica took over after %s", took.Round(time.Millisecond))
	rdb, err := redisurl.Open(g.URL(), 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = rdb.Close() })
	f.drain(rdb)
}
