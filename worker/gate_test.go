package worker

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/queues"
	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// counter counts the scripts that reach Redis.
type counter struct{ scripts chan string }

func (c counter) DialHook(next redis.DialHook) redis.DialHook { return next }
func (c counter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (c counter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if args := cmd.Args(); cmd.Name() == "evalsha" {
			c.scripts <- args[3].(string)
		}
		return next(ctx, cmd)
	}
}

// The gate knows asynq's dequeue and nothing else by its keys: held to the
// real asynq, whose server must be kept out, let in, and let in again when the
// gate has not seen Redis for long.
func TestGate_KnowsTheRealDequeue(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		g, seen := newGate(), counter{make(chan string, 10_000)}
		rdb.AddHook(g)
		rdb.AddHook(seen)
		client := asynq.NewClientFromRedisClient(rdb)
		enqueue := func(queue string) {
			_, err := client.Enqueue(asynq.NewTask("x", nil), asynq.Queue(queue))
			require.NoError(t, err, "the gate stops no enqueue")
		}
		enqueue(tasks.QueueIntake) // the scripts are loaded from here on
		g.look(t.Context(), rdb)

		ran := make(chan struct{}, 10)
		server := asynq.NewServerFromRedisClient(rdb, asynq.Config{
			Queues: map[string]int{tasks.QueueUrgent: 2, tasks.QueueIntake: 1}, StrictPriority: true,
			TaskCheckInterval: 2 * time.Millisecond, LogLevel: asynq.FatalLevel,
		})
		calls := asynq.NewServerFromRedisClient(rdb, asynq.Config{
			Queues: map[string]int{tasks.QueueCalls: 1}, TaskCheckInterval: 2 * time.Millisecond, LogLevel: asynq.FatalLevel,
		})
		handler := asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
			ran <- struct{}{}
			return nil
		})
		require.NoError(t, server.Start(handler))
		defer server.Shutdown()
		require.NoError(t, calls.Start(handler))
		defer calls.Shutdown()
		await(t, ran, "the gate is open for a queue with tasks")

		g.look(t.Context(), rdb)
		dequeues := func() int {
			n := 0
			for {
				select {
				case key := <-seen.scripts:
					if key == urgentList || key == intakeList || key == callsList {
						n++
					}
				default:
					return n
				}
			}
		}
		time.Sleep(20 * time.Millisecond) // what was under way
		dequeues()
		time.Sleep(100 * time.Millisecond)
		assert.Zero(t, dequeues(), "a queue seen empty is not asked")
		info, err := asynq.NewInspectorFromRedisClient(rdb).GetQueueInfo(tasks.QueueIntake)
		require.NoError(t, err, "who looks at the queue is no dequeue")
		assert.Equal(t, 1, info.Processed)
		dequeues()

		for _, queue := range []string{tasks.QueueUrgent, tasks.QueueIntake, tasks.QueueCalls} {
			enqueue(queue)
			g.look(t.Context(), rdb)
			await(t, ran, "seen again, it is open")
			g.look(t.Context(), rdb)
		}

		g.look(t.Context(), rdb)
		g.looked.Store(time.Now().Add(-gateTrust).UnixMilli())
		enqueue(tasks.QueueIntake)
		await(t, ran, "a gate that does not see keeps nothing out")
	})
}

func await(t *testing.T, c <-chan struct{}, why string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatal(why)
	}
}

func TestGate_LeavesOthersAlone(t *testing.T) {
	ctx := context.Background()
	assert.Equal(t, intakeList, listOf(redis.NewCmd(ctx, "evalsha", "sha", 4, intakeList, "asynq:{edgepurge-intake}:paused", "active", "lease")))
	for _, args := range [][]any{
		{"evalsha", "sha", 4, "asynq:{somebody-else}:pending", "asynq:{somebody-else}:paused", "active", "lease"},
		{"evalsha", "sha", 9, intakeList, "asynq:{edgepurge-intake}:active", "scheduled"}, // the Inspector's look at a queue
		{"evalsha", "sha", 2, "asynq:{edgepurge-intake}:t:id", intakeList},
		{"eval", "script", 4, intakeList, "paused", "active", "lease"},
		{"llen", intakeList},
		{"evalsha", "sha", 0},
	} {
		list := listOf(redis.NewCmd(ctx, args...))
		assert.NotContains(t, []string{intakeList, urgentList, callsList}, list, "%v", args)
	}
}

// looks counts the gate's looks in place of Redis, which has no tasks.
type looks struct{ at chan time.Time }

func (looks) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (looks) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (l looks) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(context.Context, []redis.Cmder) error {
		l.at <- time.Now()
		return nil
	}
}

func TestGate_LooksAtAHintAndForASecondAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := looks{make(chan time.Time, 1000)}
		rdb := redis.NewClient(&redis.Options{})
		rdb.AddHook(l)
		g := newGate()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go g.run(ctx, rdb)

		start := time.Now()
		time.Sleep(10*gateIdleLook + 1)
		assert.Len(t, l.at, 10, "nobody asks for anything")
		for range 10 {
			<-l.at
		}
		g.hint()
		synctest.Wait()
		require.Len(t, l.at, 1)
		assert.Equal(t, 10*gateIdleLook+1, (<-l.at).Sub(start), "at once")
		time.Sleep(gateBusy + 1)
		assert.Len(t, l.at, int(gateBusy/gateLook), "a busy producer gives no hint for each task")
		for range int(gateBusy / gateLook) {
			<-l.at
		}
		time.Sleep(gateIdleLook)
		assert.Len(t, l.at, 1)
		require.NoError(t, rdb.Close())
	})
}

func TestGate_IsTold(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		l := newLab(t, testConfig("http://127.0.0.1:1"), rdb)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { l.sweep.wakeups(ctx); close(done) }()
		eventually(t, func() bool {
			n, err := rdb.PubSubNumSub(ctx, tasks.ChannelQueued).Result()
			return err == nil && n[tasks.ChannelQueued] == 1
		}, "the worker listens")
		require.NoError(t, rdb.Publish(ctx, tasks.ChannelQueued, "").Err())
		await(t, l.gate.hints, "the gate is told")
		cancel()
		<-done
	})
}

// The halves of a split wait for no look either.
func TestStore_TellsTheGates(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	sub := rdb.Subscribe(t.Context(), tasks.ChannelQueued)
	defer func() { require.NoError(t, sub.Close()) }()
	_, err := sub.Receive(t.Context())
	require.NoError(t, err)
	l := newLab(t, testConfig("http://127.0.0.1:1"), rdb)
	c, a := l.attempts.caller, l.accounts["default"]
	call := func(id string) tasks.Call {
		return tasks.Call{Batch: id, Account: a.Name, Lane: tagLane("prj"), Items: []string{"x"}}
	}
	require.NoError(t, c.store(t.Context(), a, call("later"), &lanes.Batch{}, asynq.ProcessIn(time.Hour)))
	require.NoError(t, c.store(t.Context(), a, call("now"), &lanes.Batch{}))
	_, err = sub.ReceiveMessage(t.Context())
	require.NoError(t, err)
	_, err = sub.ReceiveTimeout(t.Context(), 50*time.Millisecond)
	require.Error(t, err, "what waits is not told of")
}

// A stop must not wait for the next look.
func TestGate_StopKeepsNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		ctx, cancel := context.WithCancel(t.Context())
		g.looked.Store(time.Now().UnixMilli())
		stopped := make(chan struct{})
		go func() { g.run(ctx, nil); close(stopped) }()
		waited := make(chan time.Duration)
		go func() {
			start := time.Now()
			g.await(context.Background())
			waited <- time.Since(start)
		}()
		synctest.Wait()
		cancel()
		<-stopped
		assert.Zero(t, <-waited)
		start := time.Now()
		g.await(context.Background())
		assert.Zero(t, time.Since(start), "nor whoever comes later")
	})
}

// load counts what reaches Redis.
type load struct{ n atomic.Int64 }

func (l *load) DialHook(next redis.DialHook) redis.DialHook { return next }

func (l *load) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		l.n.Add(1)
		return next(ctx, cmd)
	}
}

func (l *load) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		l.n.Add(int64(len(cmds)))
		return next(ctx, cmds)
	}
}

// A paused queue costs as an idle one, however much waits in it, and goes on as soon as
// it is resumed. The pause and the list are the real asynq's.
func TestGate_APausedQueueCostsAsAnIdleOne(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		seen := &load{}
		api := newAPI(t, emulator.Config{}, nil)
		l := newLab(t, testConfig(api.URL), rdb)
		rdb.AddHook(seen) // after the gate's: it counts what the gate lets through
		l.start()
		eventually(t, func() bool { return l.logs.has(`"message":"working"`) }, "it works")
		spent := func() int64 {
			time.Sleep(gateBusy + 200*time.Millisecond) // what was under way, and the looks after a task
			before := seen.n.Load()
			time.Sleep(2 * time.Second)
			return seen.n.Load() - before
		}
		idle := spent()
		inspector := asynq.NewInspectorFromRedisClient(rdb)
		for _, queue := range []string{tasks.QueueIntake, tasks.QueueUrgent, tasks.QueueCalls} {
			require.NoError(t, queues.Register(t.Context(), rdb))
			require.NoError(t, inspector.PauseQueue(queue))
		}
		client := asynq.NewClientFromRedisClient(rdb)
		_, err := client.Enqueue(asynq.NewTask("x", nil), asynq.Queue(tasks.QueueCalls))
		require.NoError(t, err)
		at := l.request(tasks.Purge{Tags: []string{"paused"}})
		l.request(tasks.Purge{Tags: []string{"paused"}, Priority: tasks.Urgent})
		assert.Less(t, spent(), 2*idle+50, "idle: %d", idle)
		assert.Empty(t, api.with("paused"))

		for _, queue := range []string{tasks.QueueIntake, tasks.QueueUrgent, tasks.QueueCalls} {
			require.NoError(t, inspector.UnpauseQueue(queue))
		}
		eventually(t, func() bool { return api.purged("paused", at) }, "it goes on")
	})
}
