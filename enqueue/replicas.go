package enqueue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// DefaultWaitTimeout is how long a Client waits for replicas if its
	// configuration does not say.
	DefaultWaitTimeout = time.Second

	maxWaitReplicas = 100
	maxWaitTimeout  = time.Minute
)

// ReplicasError says that a task is stored on Redis's master, but that fewer
// replicas than asked for have confirmed it: a fail-over now could lose it.
// Sending the request again is safe, and waits again.
type ReplicasError struct {
	Want, Have int
	// Waited is how long Redis waited for the others.
	Waited time.Duration
}

func (e *ReplicasError) Error() string {
	return fmt.Sprintf("stored on the master, but after %s only %d of the %d replicas asked for have it", e.Waited, e.Have, e.Want)
}

// replicating is a client whose scripts do not end before enough replicas have
// what they wrote. asynq's client enqueues by one script.
//
// Redis's WAIT concerns the commands of its own connection, so it goes out in
// one pipeline with the script. It covers a script that changed nothing as well:
// Redis notes its offset after every command, and so a task that exists already,
// by an earlier Purge or because go-redis sent the script again after a lost
// reply, is waited for like a new one.
type replicating struct {
	redis.UniversalClient
	replicas int
	timeout  time.Duration
}

// replicate returns rdb, or a wrapper that waits if the configuration asks for it.
func replicate(c Config, rdb redis.UniversalClient) (redis.UniversalClient, error) {
	if c.WaitReplicas < 0 || c.WaitReplicas > maxWaitReplicas {
		return nil, fmt.Errorf("enqueue: Config.WaitReplicas %d is out of range: use 0 (off) to %d", c.WaitReplicas, maxWaitReplicas)
	}
	if c.WaitTimeout < 0 || c.WaitTimeout > maxWaitTimeout {
		return nil, fmt.Errorf("enqueue: Config.WaitTimeout %s is out of range: use 0 (%s) to %s", c.WaitTimeout, DefaultWaitTimeout, maxWaitTimeout)
	}
	if c.WaitReplicas == 0 {
		return rdb, nil
	}
	switch rdb.(type) {
	case *redis.Client, *redis.ClusterClient:
	default:
		return nil, fmt.Errorf("enqueue: Config.WaitReplicas needs a *redis.Client or a *redis.ClusterClient, Config.Client is a %T", rdb)
	}
	timeout := c.WaitTimeout
	if timeout == 0 {
		timeout = DefaultWaitTimeout
	}
	return &replicating{UniversalClient: rdb, replicas: c.WaitReplicas, timeout: timeout}, nil
}

// EvalSha runs a script by its digest and waits.
func (r *replicating) EvalSha(ctx context.Context, sha1 string, keys []string, args ...any) *redis.Cmd {
	return r.run(ctx, keys, func(p redis.Pipeliner) *redis.Cmd { return p.EvalSha(ctx, sha1, keys, args...) })
}

// Eval runs a script by its text and waits.
func (r *replicating) Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	return r.run(ctx, keys, func(p redis.Pipeliner) *redis.Cmd { return p.Eval(ctx, script, keys, args...) })
}

// How often a script is sent to the master that a cluster names, and how long
// the cluster is given in between to name another one.
const (
	mostMasters = 4
	masterPause = 100 * time.Millisecond
)

func (r *replicating) run(ctx context.Context, keys []string, script func(redis.Pipeliner) *redis.Cmd) *redis.Cmd {
	for try := 1; ; try++ {
		cmd := r.once(ctx, keys[0], script)
		err := cmd.Err()
		cluster, ok := r.UniversalClient.(*redis.ClusterClient)
		if err == nil || !ok || try == mostMasters || !elsewhere(err) {
			return cmd
		}
		cluster.ReloadState(ctx)
		select {
		case <-ctx.Done():
			return cmd
		case <-time.After(masterPause << (try - 1)):
		}
	}
}

// elsewhere reports whether another node of a cluster may take what this one
// did not: its slot has moved, or it is gone.
func elsewhere(err error) bool {
	_, moved := redis.IsMovedError(err)
	_, ask := redis.IsAskError(err)
	_, reply := errors.AsType[redis.Error](err)
	return moved || ask || redis.IsTryAgainError(err) || redis.IsClusterDownError(err) || redis.IsReadOnlyError(err) || !reply
}

func (r *replicating) once(ctx context.Context, key string, script func(redis.Pipeliner) *redis.Cmd) *redis.Cmd {
	node, err := r.master(ctx, key)
	if err != nil {
		cmd := redis.NewCmd(ctx)
		cmd.SetErr(err)
		return cmd
	}
	timeout := r.timeout
	if at, ok := ctx.Deadline(); ok { // leave time for the answer
		timeout = min(timeout, time.Until(at)*9/10)
	}
	timeout = max(timeout.Round(time.Millisecond), time.Millisecond) // to Redis 0 is for ever
	var cmd *redis.Cmd
	wait := redis.NewIntCmd(ctx, "wait", r.replicas, timeout.Milliseconds())
	// The error of a pipeline is that of one of its commands.
	_, _ = patient(node, timeout).Pipelined(ctx, func(p redis.Pipeliner) error {
		cmd = script(p)
		return p.Process(ctx, wait)
	})
	if cmd.Err() != nil {
		return cmd
	}
	switch have, err := wait.Result(); {
	case err != nil:
		setReplicasFault(ctx, fmt.Errorf("stored on the master, wait for its replicas: %w", err))
	case have < int64(r.replicas):
		setReplicasFault(ctx, &ReplicasError{Want: r.replicas, Have: int(have), Waited: timeout})
	}
	return cmd
}

func (r *replicating) master(ctx context.Context, key string) (*redis.Client, error) {
	if cluster, ok := r.UniversalClient.(*redis.ClusterClient); ok {
		return cluster.MasterForKey(ctx, key)
	}
	node, _ := r.UniversalClient.(*redis.Client)
	return node, nil
}

// patient reads a pipeline that may take so much longer: go-redis would take a
// master that waits for its replicas for one that hangs.
func patient(node *redis.Client, longer time.Duration) *redis.Client {
	read := node.Options().ReadTimeout
	if read <= 0 {
		return node
	}
	return node.WithTimeout(read + longer)
}

// replicasFault is how replicating reports past asynq, which keeps only the
// text of an error: the context of an enqueue holds a *error under it.
type replicasFault struct{}

func withReplicasFault(ctx context.Context, err *error) context.Context {
	return context.WithValue(ctx, replicasFault{}, err)
}

func setReplicasFault(ctx context.Context, err error) {
	if p, ok := ctx.Value(replicasFault{}).(*error); ok {
		*p = err
	}
}
