package compare

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/tasks"
)

var (
	// inGroup has no TaskID: that would spare memory, and lose a purge when the
	// aggregator stalls. Twins end in aggregate.
	inGroup = asynq.Group(project)
	unique  = asynq.Unique(time.Hour)
)

// askAsynq enqueues a task a tag: asynq 0.26 has no way to enqueue several at once.
func askAsynq(options ...asynq.Option) func(redis.UniversalClient) (func(context.Context, []string) error, error) {
	return func(rdb redis.UniversalClient) (func(context.Context, []string) error, error) {
		client := asynq.NewClientFromRedisClient(rdb)
		return func(ctx context.Context, tags []string) error {
			for _, tag := range tags {
				_, err := client.EnqueueContext(ctx, asynq.NewTask("purge", []byte(tag)), options...)
				if err != nil && !errors.Is(err, asynq.ErrDuplicateTask) { // "it is waiting already"
					return err
				}
			}
			return nil
		}, nil
	}
}

// handler does the task of some tags.
type handler func(ctx context.Context, c *caller, ask func(context.Context, []string) error, tags []string) error

// workAsynq starts a server with what somebody sets who looks for the price of
// asynq's defaults: they poll once a second, and try again after 15 to 45 s.
func workAsynq(handle handler) func(redis.UniversalClient, role) error {
	return func(rdb redis.UniversalClient, r role) error {
		askAgain, _ := askAsynq(inGroup)(rdb)
		calls := newCaller(r)
		server := asynq.NewServerFromRedisClient(rdb, asynq.Config{
			Concurrency: concurrency, LogLevel: asynq.FatalLevel,
			TaskCheckInterval: 100 * time.Millisecond, DelayedTaskCheckInterval: time.Second,
			RetryDelayFunc:   func(n int, _ error, _ *asynq.Task) time.Duration { return backoff(n) },
			GroupGracePeriod: linger, GroupMaxDelay: linger, // and no GroupMaxSize: one set a second goes, however small
			GroupAggregator: asynq.GroupAggregatorFunc(aggregate),
		})
		return server.Start(asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
			return handle(ctx, calls, askAgain, strings.Split(string(t.Payload()), separator))
		}))
	}
}

// backoff doubles from 1 s to 1 m, with jitter.
func backoff(n int) time.Duration {
	most := min(time.Minute, time.Second<<min(n, 10))
	return most/2 + rand.N(most/2)
}

// separator stands between tags in a payload: Vercel allows none with a comma.
const separator = ","

// aggregate packs the tags of all members into one task, each once.
func aggregate(_ string, members []*asynq.Task) *asynq.Task {
	tags := make([]string, len(members))
	for i, m := range members {
		tags[i] = string(m.Payload())
	}
	slices.Sort(tags)
	return asynq.NewTask("purges", []byte(strings.Join(slices.Compact(tags), separator)))
}

func handleTag(ctx context.Context, c *caller, _ func(context.Context, []string) error, tags []string) error {
	return c.call(ctx, tags)
}

// handleGroup makes the calls that the tags of a set need. The tags of one that
// fails join the group again, so that the others are not repeated with it.
func handleGroup(ctx context.Context, c *caller, askAgain func(context.Context, []string) error, tags []string) error {
	var wait sync.WaitGroup
	var mu sync.Mutex
	var faults []error
	for some := range slices.Chunk(tags, tasks.MaxTagsPerCall) {
		wait.Go(func() {
			if c.call(ctx, some) == nil {
				return
			}
			if err := askAgain(ctx, some); err != nil {
				mu.Lock()
				defer mu.Unlock()
				faults = append(faults, err)
			}
		})
	}
	wait.Wait()
	return errors.Join(faults...)
}

// The others must be as good as they can be: groups that lost the tags of a
// failed call, or repeated the others with it, would be ours to blame for.
func TestHandleGroup(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	n := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if n++; n == 2 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	tags := tagsOf(0, 3*tasks.MaxTagsPerCall)
	var again []string
	err := handleGroup(t.Context(), newCaller(role{API: server.URL}), func(_ context.Context, some []string) error {
		again = append(again, some...)
		return nil
	}, tags)
	require.NoError(t, err)
	assert.Equal(t, 3, n)
	assert.Len(t, again, tasks.MaxTagsPerCall)
	assert.Subset(t, tags, again)

	server.Close()
	err = handleGroup(t.Context(), newCaller(role{API: server.URL}), func(context.Context, []string) error { return assert.AnError }, tags)
	require.ErrorIs(t, err, assert.AnError, "asynq tries it again")
}

func TestAggregate(t *testing.T) {
	t.Parallel()
	var members []*asynq.Task
	for _, tag := range []string{"b", "a", "b"} {
		members = append(members, asynq.NewTask("purge", []byte(tag)))
	}
	assert.Equal(t, "a,b", string(aggregate(project, members).Payload()))
}
