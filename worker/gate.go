package worker

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/internal/queues"
	"github.com/edgepurge/edgepurge/tasks"
)

// gate looks for tasks on behalf of all asynq servers of a worker. asynq has
// no blocking dequeue: each server would ask Redis for itself, in a script of
// three commands, and sleep half of the time when a burst comes. As a go-redis
// hook the gate answers the dequeues of a queue that it has just seen empty by
// itself, and lets them wait for it to see a task.
type gate struct {
	urgent, intake, calls atomic.Bool  // whether the queue had tasks and was not paused
	looked                atomic.Int64 // when it last saw Redis, in Unix milliseconds

	hints chan struct{} // of capacity 1: a producer says that it stored tasks

	mu      sync.Mutex
	wake    chan struct{} // closed and replaced when a queue is seen to have tasks
	stopped bool
}

const (
	// gateLook is how often it looks while tasks come. A busy producer tells of its
	// tasks now and then only, for it trusts in these looks.
	gateLook = 40 * time.Millisecond
	// gateIdleLook is how often it looks otherwise: a hint may be lost, and who
	// enqueues without package enqueue gives none.
	gateIdleLook = 500 * time.Millisecond
	// gateBusy is how long after the last hint or task it is that tasks come.
	gateBusy = time.Second
	// gateTrust is how old a look may be. Past it the servers ask for themselves:
	// a gate that does not see must not keep anything out.
	gateTrust = 2 * time.Second
)

func newGate() *gate { return &gate{hints: make(chan struct{}, 1), wake: make(chan struct{})} }

// hint makes the gate look at once. It never blocks.
func (g *gate) hint() { signal(g.hints) }

// pendingList is where asynq keeps the tasks of a queue that are to be run.
func pendingList(queue string) string { return queues.Key(queue, queues.Pending) }

// waiting asks in one command whether a queue has tasks and whether it is paused. The
// answer counts its list twice and its pause once.
func waiting(ctx context.Context, p redis.Pipeliner, queue string) *redis.IntCmd {
	list := pendingList(queue)
	return p.Exists(ctx, list, list, queues.Key(queue, "paused"))
}

// mayRun reads what waiting asked for: tasks, and no pause. A paused queue answers every
// dequeue with nothing, at once, and each server would ask a hundred times a second.
func mayRun(answer *redis.IntCmd) bool { return answer.Val() == 2 }

var (
	urgentList = pendingList(tasks.QueueUrgent)
	intakeList = pendingList(tasks.QueueIntake)
	callsList  = pendingList(tasks.QueueCalls)
)

// run looks until ctx ends, and then keeps no dequeue waiting any more.
func (g *gate) run(ctx context.Context, rdb redis.UniversalClient) {
	var busy time.Time // since a task or hint came last
	for ctx.Err() == nil {
		interval := gateIdleLook
		if time.Since(busy) < gateBusy {
			interval = gateLook
		}
		timer := time.NewTimer(interval)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-g.hints:
			busy = time.Now()
		}
		timer.Stop()
		if ctx.Err() == nil && g.look(ctx, rdb) {
			busy = time.Now()
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopped = true
	close(g.wake)
	g.wake = make(chan struct{})
}

// look asks Redis once and reports whether there are tasks.
func (g *gate) look(ctx context.Context, rdb redis.UniversalClient) bool {
	var urgent, intake, calls *redis.IntCmd
	_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error { // in a Cluster they lie in three slots
		urgent, intake, calls = waiting(ctx, p, tasks.QueueUrgent), waiting(ctx, p, tasks.QueueIntake), waiting(ctx, p, tasks.QueueCalls)
		return nil
	})
	if err != nil {
		return false // the servers meet the same error, and asynq says so
	}
	g.urgent.Store(mayRun(urgent))
	g.intake.Store(mayRun(intake))
	g.calls.Store(mayRun(calls))
	g.looked.Store(time.Now().UnixMilli())
	if !mayRun(urgent) && !mayRun(intake) && !mayRun(calls) {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.wake)
	g.wake = make(chan struct{})
	return true
}

// isBlind reports whether the last look is too old to go by.
func (g *gate) isBlind() bool {
	return time.Now().UnixMilli()-g.looked.Load() >= gateTrust.Milliseconds()
}

// await waits until a queue is seen to have tasks, for as long as a look is
// trusted, or the worker stops.
func (g *gate) await(ctx context.Context) {
	g.mu.Lock()
	wake, stopped := g.wake, g.stopped
	g.mu.Unlock()
	if stopped {
		return
	}
	timer := time.NewTimer(gateTrust)
	defer timer.Stop()
	select {
	case <-wake:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// isOpen waits until a queue has tasks or await gives up.
func (g *gate) isOpen(ctx context.Context, queue *atomic.Bool) bool {
	if !queue.Load() && !g.isBlind() {
		g.await(ctx)
	}
	return queue.Load() || g.isBlind()
}

// listOf is the list that a command would dequeue from; "" if it does not. Of
// asynq's scripts only the dequeue begins with the list and the queue's pause.
func listOf(cmd redis.Cmder) string {
	args := cmd.Args()
	if len(args) < 5 || cmd.Name() != "evalsha" {
		return ""
	}
	list, _ := args[3].(string)
	if queue, ok := strings.CutSuffix(list, ":pending"); !ok || args[4] != queue+":paused" {
		return ""
	}
	return list
}

// DialHook leaves dialling as it is.
func (g *gate) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook answers a dequeue in vain without Redis. A server asks for urgent
// requests first and then for others: it is there that it waits, for either.
func (g *gate) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		switch listOf(cmd) {
		case urgentList:
			if g.urgent.Load() || g.isBlind() {
				return next(ctx, cmd)
			}
		case intakeList:
			if g.isOpen(ctx, &g.intake) {
				return next(ctx, cmd)
			}
		case callsList:
			if g.isOpen(ctx, &g.calls) {
				return next(ctx, cmd)
			}
		default:
			return next(ctx, cmd)
		}
		cmd.SetErr(redis.Nil)
		return redis.Nil
	}
}

// ProcessPipelineHook leaves pipelines as they are.
func (g *gate) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
