package history_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/history"
	"github.com/edgepurge/edgepurge/internal/redistest"
)

// asynqProgram is a purge program on asynq: how a tag becomes a task, and what
// the worker does with it.
type asynqProgram struct {
	// options of a tag's task.
	options func(tag string) []asynq.Option
	// groups says that tasks are aggregated into one with all their tags.
	groups bool
	// handle does a task; nil: it makes one call with the task's tags.
	handle func(s *stage, tags []string) error
	// serve runs beside asynq until the context ends; nil: nothing does.
	serve func(ctx context.Context, s *stage)
	// stalls says that the aggregator hangs before it forgets the members of an
	// aggregated task, as in a GC pause or on a slow link: asynq.md measured 2
	// lost of 300 tags with 50 ms of it, and 62 with a second.
	stalls bool
}

var (
	uniqueTasks = asynqProgram{options: func(string) []asynq.Option {
		return []asynq.Option{asynq.Unique(time.Hour)}
	}}
	taskIDs = asynqProgram{options: func(tag string) []asynq.Option {
		return []asynq.Option{asynq.TaskID(tag)}
	}}
	groupedTaskIDs = asynqProgram{groups: true, stalls: true, options: func(tag string) []asynq.Option {
		return []asynq.Option{asynq.Group("site"), asynq.TaskID(tag)}
	}}
	groupedUnique = asynqProgram{groups: true, options: func(string) []asynq.Option {
		return []asynq.Option{asynq.Group("site"), asynq.Unique(time.Hour)}
	}}
	// pendingSet is the good one: asynq only carries the requests in, a tag is
	// dropped only while its twin is in the pending set, and to claim is to remove.
	pendingSet = asynqProgram{
		options: func(string) []asynq.Option { return nil },
		handle: func(s *stage, tags []string) error {
			return s.rdb.SAdd(context.Background(), keyPending, tags).Err()
		},
		serve: func(ctx context.Context, s *stage) {
			for ; ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
				if s.rdb.Rename(ctx, keyPending, keyClaimed).Err() != nil {
					continue // nothing is pending
				}
				tags, err := s.rdb.SMembers(ctx, keyClaimed).Result()
				if err != nil {
					return
				}
				s.call(tags)
				s.rdb.Del(ctx, keyClaimed)
			}
		},
	}
)

const (
	keyPending = "model:pending"
	keyClaimed = "model:claimed"
)

// stage is one run: the producers, a slow API and the records of both.
type stage struct {
	t       *testing.T
	program asynqProgram
	rdb     redis.UniversalClient
	client  *asynq.Client

	mu sync.Mutex
	modelRun
	dice  *rand.Rand
	again []string      // the twins that are still to be asked for
	asked chan struct{} // closed once all twins are
}

// runOnAsynq asks for eight tags, and for some of them again while the call is
// under way: that this happens is arranged, not left to chance. Everything that a
// program still has to do lies in Redis; when nothing does, the run is over.
func runOnAsynq(t *testing.T, seed uint64, program asynqProgram) modelRun {
	t.Helper()
	rdb, mini := redistest.Mini(t)
	s := &stage{
		t: t, program: program, rdb: rdb, client: asynq.NewClientFromRedisClient(rdb),
		dice: rand.New(rand.NewPCG(seed, 0)), asked: make(chan struct{}),
	}
	if program.stalls {
		rdb.AddHook(s)
	}
	tags := numbered(0, 8)
	s.twins = slices.Clone(tags)
	s.dice.Shuffle(len(tags), func(i, j int) { s.twins[i], s.twins[j] = s.twins[j], s.twins[i] })
	s.twins = s.twins[:3+s.dice.IntN(4)]
	s.again = slices.Clone(s.twins)
	for _, tag := range tags {
		s.ask(tag)
	}

	config := asynq.Config{Concurrency: 4, LogLevel: asynq.FatalLevel, TaskCheckInterval: 10 * time.Millisecond}
	if program.groups {
		config.GroupGracePeriod = time.Second // the least that asynq allows
		config.GroupAggregator = asynq.GroupAggregatorFunc(aggregate)
	}
	server := asynq.NewServerFromRedisClient(rdb, config)
	require.NoError(t, server.Start(asynq.HandlerFunc(s.handle)))
	ctx, cancel := context.WithCancel(context.Background())
	var beside sync.WaitGroup
	if program.serve != nil {
		beside.Go(func() { program.serve(ctx, s) })
	}

	over := assert.Eventually(t, func() bool {
		return !slices.ContainsFunc(mini.Keys(), func(key string) bool {
			return strings.HasPrefix(key, "asynq:{default}:t:") || key == keyPending || key == keyClaimed
		})
	}, caughtWithin, 10*time.Millisecond, "something is still to be done")
	cancel()
	beside.Wait()
	server.Shutdown()
	require.True(t, over)
	require.Empty(t, s.again, "not all twins were asked for")
	return s.modelRun
}

// ask is a producer's request. That a task like it exists is no error to it: all
// programs take that for "it is waiting already".
func (s *stage) ask(tag string) {
	began := time.Now()
	_, err := s.client.Enqueue(asynq.NewTask("purge", []byte(tag)), s.program.options(tag)...)
	if !errors.Is(err, asynq.ErrDuplicateTask) && !errors.Is(err, asynq.ErrTaskIDConflict) {
		assert.NoError(s.t, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, history.Request{
		ID: fmt.Sprint(len(s.requests)), Family: shop(), Items: []string{tag}, Asked: began, Accepted: time.Now(),
	})
}

func aggregate(_ string, members []*asynq.Task) *asynq.Task {
	tags := make([]string, len(members))
	for i, m := range members {
		tags[i] = string(m.Payload())
	}
	return asynq.NewTask("purge", []byte(strings.Join(tags, " ")))
}

func (s *stage) handle(_ context.Context, task *asynq.Task) error {
	tags := strings.Fields(string(task.Payload()))
	if s.program.handle != nil {
		return s.program.handle(s, tags)
	}
	s.call(tags)
	return nil
}

// call is the API: it takes 50 to 150 ms, and midway an editor saves again.
func (s *stage) call(tags []string) {
	c := history.Call{Family: shop(), Items: tags, Status: 200, OK: true, Start: time.Now()}
	s.mu.Lock()
	half := time.Duration(25+s.dice.IntN(50)) * time.Millisecond
	var twins []string
	s.again = slices.DeleteFunc(s.again, func(tag string) bool {
		if slices.Contains(tags, tag) {
			twins = append(twins, tag)
			return true
		}
		return false
	})
	last := len(twins) > 0 && len(s.again) == 0
	s.mu.Unlock()
	time.Sleep(half)
	for _, tag := range twins {
		s.ask(tag)
	}
	if last {
		close(s.asked)
	}
	time.Sleep(half)
	c.End = time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, c)
}

// ProcessHook is the stall: asynq's script that deletes an aggregation set waits
// until the call was made and the twins were asked for.
func (s *stage) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		// EVALSHA <sha> 2 <the set> <all sets>: only that script has them in this order.
		if args := cmd.Args(); len(args) > 4 && args[4] == "asynq:{default}:aggregation_sets" {
			select {
			case <-s.asked:
			case <-time.After(caughtWithin):
			}
		}
		return next(ctx, cmd)
	}
}

// DialHook does nothing.
func (s *stage) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

// ProcessPipelineHook does nothing.
func (s *stage) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
