package enqueue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
)

func TestWaitReplicas_AcceptedMeansReplicated(t *testing.T) {
	master, replica := redistest.Replicated(t)
	client := newClient(t, Config{Redis: master.URL(), WaitReplicas: 1, WaitTimeout: 10 * time.Second})
	const requests = 50
	var wait sync.WaitGroup
	for i := range requests {
		wait.Go(func() {
			_, err := client.Purge(t.Context(), valid(func(p *tasks.Purge) { p.ID = fmt.Sprint("req-", i) }))
			assert.NoError(t, err)
		})
	}
	wait.Wait()
	master.Kill(t)
	promoted := replica.Client(t)
	require.NoError(t, promoted.(*redis.Client).ReplicaOf(t.Context(), "no", "one").Err())
	assert.Len(t, pending(t, promoted, tasks.QueueIntake), requests)
}

func TestWaitReplicas_ReplicaThatHangs(t *testing.T) {
	master, replica := redistest.Replicated(t)
	const patience = 100 * time.Millisecond
	client := newClient(t, Config{Redis: master.URL() + "?max_retries=-1", WaitReplicas: 1, WaitTimeout: patience})
	replicated(t, client, "loads-the-script")
	replica.Pause(t)

	for range 2 { // the task exists the second time, and is no better replicated
		receipt, err := client.Purge(t.Context(), valid())
		short, ok := errors.AsType[*ReplicasError](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, &ReplicasError{Want: 1, Have: 0, Waited: patience}, short)
		require.ErrorContains(t, err, "enqueue request req-1 (0 of 1 tasks stored, it is safe to send it again) in redis://")
		require.ErrorContains(t, err, "stored on the master, but after 100ms only 0 of the 1 replicas asked for have it")
		assert.Zero(t, receipt)
	}
	assert.Len(t, pending(t, master.Client(t), tasks.QueueIntake), 2, "it is stored, once")

	_, err := newClient(t, Config{Redis: master.URL()}).Purge(t.Context(), valid(func(p *tasks.Purge) { p.ID = "req-2" }))
	require.NoError(t, err, "without WaitReplicas nobody waits")

	replica.Resume(t)
	replicated(t, client, "req-1")
	assert.Len(t, pending(t, master.Client(t), tasks.QueueIntake), 3)
}

// replicated sends a request until the replica has it: a machine that is busy
// may need longer than the client's patience.
func replicated(t *testing.T, client *Client, id string) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := client.Purge(t.Context(), valid(func(p *tasks.Purge) { p.ID = id }))
		return err == nil
	}, 20*time.Second, time.Millisecond)
}

// A new connection has no commands behind it whose replication it could wait for.
func TestWaitReplicas_SentAgainByAnotherClient(t *testing.T) {
	master, replica := redistest.Replicated(t)
	_, err := newClient(t, Config{Redis: master.URL()}).Purge(t.Context(), valid(func(p *tasks.Purge) { p.ID = "loads-the-script" }))
	require.NoError(t, err)
	replica.Pause(t)
	defer replica.Resume(t)
	_, err = newClient(t, Config{Redis: master.URL()}).Purge(t.Context(), valid())
	require.NoError(t, err)
	_, err = newClient(t, Config{Redis: master.URL(), WaitReplicas: 1, WaitTimeout: 50 * time.Millisecond}).Purge(t.Context(), valid())
	_, short := errors.AsType[*ReplicasError](err)
	assert.True(t, short, "%v", err)
}

func TestWaitReplicas_EndsWithItsContext(t *testing.T) {
	master, replica := redistest.Replicated(t)
	client := newClient(t, Config{Redis: master.URL(), WaitReplicas: 1, WaitTimeout: time.Minute})
	_, err := client.Purge(t.Context(), valid(func(p *tasks.Purge) { p.ID = "loads-the-script" }))
	require.NoError(t, err)
	replica.Pause(t)
	defer replica.Resume(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	began := time.Now()
	_, err = client.Purge(ctx, valid())
	// Which of the two the client sees first is a matter of milliseconds.
	_, short := errors.AsType[*ReplicasError](err)
	assert.True(t, short || errors.Is(err, context.DeadlineExceeded), "%v", err)
	assert.Less(t, time.Since(began), 20*time.Second)
}

func TestWaitReplicas_NoReplicaAtAll(t *testing.T) {
	s := redistest.Start(t)
	client := newClient(t, Config{Redis: s.URL(), WaitReplicas: 2, WaitTimeout: 10 * time.Millisecond})
	_, err := client.Purge(t.Context(), valid())
	require.ErrorContains(t, err, "only 0 of the 2 replicas asked for have it")
	assert.Len(t, pending(t, s.Client(t), tasks.QueueIntake), 1)

	// The server itself can refuse to write alone.
	require.NoError(t, s.Client(t).ConfigSet(t.Context(), "min-replicas-to-write", "1").Err())
	_, err = newClient(t, Config{Redis: s.URL() + "?max_retries=-1"}).Purge(t.Context(), valid(func(p *tasks.Purge) { p.ID = "req-2" }))
	require.ErrorContains(t, err, "NOREPLICAS")
	assert.Len(t, pending(t, s.Client(t), tasks.QueueIntake), 1)
}

func TestWaitReplicas_InACluster(t *testing.T) {
	n := redistest.Cluster(t, 3)
	n.AddReplicas(t)
	client := newClient(t, Config{Redis: n.URL(), WaitReplicas: 1, WaitTimeout: 10 * time.Second})
	purge := func(id string, priority tasks.Priority) {
		_, err := client.Purge(t.Context(), valid(func(p *tasks.Purge) { p.ID, p.Priority = id, priority }))
		require.NoError(t, err)
	}
	purge("req-1", tasks.Normal)
	purge("req-2", tasks.Urgent)
	i, _ := n.MasterOf(t, "asynq:{"+tasks.QueueIntake+"}:pending")
	n.Failover(t, i)
	purge("req-3", tasks.Normal) // the old master says where its slot went
	rdb := n.Client(t)
	assert.Len(t, pending(t, rdb, tasks.QueueIntake), 2)
	assert.Len(t, pending(t, rdb, tasks.QueueUrgent), 1)

	n.Masters[i].Pause(t) // which is the replica by now
	defer n.Masters[i].Resume(t)
	impatient := newClient(t, Config{Redis: n.URL(), WaitReplicas: 1, WaitTimeout: 50 * time.Millisecond})
	_, err := impatient.Purge(t.Context(), valid(func(p *tasks.Purge) { p.ID = "req-4" }))
	require.ErrorContains(t, err, "only 0 of the 1 replicas")
}

func TestNew_WaitReplicasFaults(t *testing.T) {
	ring := redis.NewRing(&redis.RingOptions{})
	defer ring.Close()
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{WaitReplicas: -1}, "Config.WaitReplicas -1 is out of range: use 0 (off) to 100"},
		{Config{WaitReplicas: 101}, "Config.WaitReplicas 101 is out of range"},
		{Config{WaitReplicas: 1, WaitTimeout: -1}, "Config.WaitTimeout -1ns is out of range: use 0 (1s) to 1m0s"},
		{Config{WaitTimeout: time.Hour}, "Config.WaitTimeout 1h0m0s is out of range"},
		{Config{WaitReplicas: 1, Client: ring}, "needs a *redis.Client or a *redis.ClusterClient, Config.Client is a *redis.Ring"},
	} {
		_, err := New(c.config)
		require.ErrorContains(t, err, c.want)
	}
}
