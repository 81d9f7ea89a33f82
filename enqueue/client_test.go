package enqueue

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newClient(t *testing.T, c Config) *Client {
	t.Helper()
	client, err := New(c)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	return client
}

// valid returns a request without a fault, changed by each of the functions.
func valid(changes ...func(*tasks.Purge)) tasks.Purge {
	p := tasks.Purge{
		Project: "prj_abc", Operation: tasks.Delete, Tags: []string{"post-1"},
		ID: "req-1", RequestedAt: time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC),
	}
	for _, change := range changes {
		change(&p)
	}
	return p
}

// pending returns the tasks of a queue in the order in which they were stored.
func pending(t *testing.T, rdb redis.UniversalClient, queue string) []*asynq.TaskInfo {
	t.Helper()
	list, err := asynq.NewInspectorFromRedisClient(rdb).ListPendingTasks(queue, asynq.PageSize(1000))
	if err != nil {
		require.ErrorIs(t, err, asynq.ErrQueueNotFound)
	}
	return list
}

func TestPurge_WhatLiesInRedis(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		client := newClient(t, Config{Client: rdb, Source: "shop"})
		deadline := 60
		for _, c := range []struct {
			name    string
			request tasks.Purge
			queue   string
			receipt Receipt
			payload string
		}{
			{
				name: "least", request: valid(), queue: tasks.QueueIntake, receipt: Receipt{"req-1", 1, 1},
				payload: `{"v":1,"id":"req-1","project":"prj_abc","operation":"delete","tags":["post-1"],"priority":"normal","source":"shop","requested_at":"2026-11-22T05:00:00Z"}`,
			},
			{
				name: "most", request: valid(func(p *tasks.Purge) {
					p.ID, p.SrcImages, p.Target, p.DeadlineSeconds = "req-2", []string{"/a b<c>.png"}, tasks.Preview, &deadline
					p.Priority, p.Settle, p.Rebound, p.Track, p.Source = tasks.Bulk, 2*time.Second, time.Minute, true, "sanity/blog"
					p.NotBefore = p.RequestedAt.Add(time.Hour)
				}), queue: tasks.QueueIntake, receipt: Receipt{"req-2", 1, 2},
				payload: `{"v":1,"id":"req-2","project":"prj_abc","operation":"delete","tags":["post-1"],"src_images":["/a b<c>.png"],"target":"preview",` +
					`"deadline_seconds":60,"priority":"bulk","settle_ms":2000,"rebound_ms":60000,"not_before":"2026-11-22T06:00:00Z","track":true,` +
					`"source":"sanity/blog","requested_at":"2026-11-22T05:00:00Z"}`,
			},
			{
				name: "urgent", request: valid(func(p *tasks.Purge) { p.ID, p.Priority = "req-3", tasks.Urgent }), queue: tasks.QueueUrgent, receipt: Receipt{"req-3", 1, 1},
				payload: `{"v":1,"id":"req-3","project":"prj_abc","operation":"delete","tags":["post-1"],"priority":"urgent","source":"shop","requested_at":"2026-11-22T05:00:00Z"}`,
			},
			{
				name: "repeats", request: valid(func(p *tasks.Purge) {
					p.ID, p.Tags, p.SrcImages = "req-4", []string{"b", "a", "b", "B", "a"}, []string{"/b", "/b", "/a"}
				}), queue: tasks.QueueIntake, receipt: Receipt{"req-4", 1, 5},
				payload: `{"v":1,"id":"req-4","project":"prj_abc","operation":"delete","tags":["b","a","B"],"src_images":["/b","/a"],"priority":"normal","source":"shop","requested_at":"2026-11-22T05:00:00Z"}`,
			},
		} {
			t.Run(c.name, func(t *testing.T) {
				receipt, err := client.Purge(t.Context(), c.request)
				require.NoError(t, err)
				assert.Equal(t, c.receipt, receipt)

				task, err := asynq.NewInspectorFromRedisClient(rdb).GetTaskInfo(c.queue, c.request.ID)
				require.NoError(t, err)
				assert.Equal(t, c.payload, string(task.Payload))
				assert.Equal(t, tasks.TypeRequest, task.Type)
				assert.Equal(t, asynq.TaskStatePending, task.State)
				assert.Equal(t, 1_000_000, task.MaxRetry)
				assert.Equal(t, 30*time.Second, task.Timeout)
				assert.Zero(t, task.Retention)
				assert.Empty(t, task.Group)

				decoded, err := tasks.DecodePurge(task.Payload)
				require.NoError(t, err)
				encoded, err := decoded.Encode()
				require.NoError(t, err)
				assert.Equal(t, c.payload, string(encoded))
			})
		}
	})
}

func TestPurge_FillsInIDAndTime(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	client := newClient(t, Config{Client: rdb})
	before := time.Now().Truncate(time.Millisecond)
	receipt, err := client.Purge(t.Context(), tasks.Purge{Project: "p", Operation: tasks.Delete, Tags: []string{"a"}})
	require.NoError(t, err)
	assert.Len(t, receipt.ID, 26)

	list := pending(t, rdb, tasks.QueueIntake)
	require.Len(t, list, 1)
	p, err := tasks.DecodePurge(list[0].Payload)
	require.NoError(t, err)
	assert.Equal(t, receipt.ID, p.ID)
	assert.Equal(t, receipt.ID, list[0].ID)
	assert.WithinRange(t, p.RequestedAt, before, time.Now())
	assert.Zero(t, p.RequestedAt.Nanosecond()%1e6)
	assert.Equal(t, tasks.Normal, p.Priority)
	assert.Empty(t, p.Source)
}

func TestPurge_DoesNotChangeTheCallersRequest(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	p := valid(func(p *tasks.Purge) { p.Tags = []string{"b", "b", "a"} })
	_, err := newClient(t, Config{Client: rdb}).Purge(t.Context(), p)
	require.NoError(t, err)
	assert.Equal(t, []string{"b", "b", "a"}, p.Tags)
}

func TestPurge_AllFaultsAtOnceAndNothingStored(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	client := newClient(t, Config{Client: rdb})
	p := tasks.Purge{
		ID: "a b", Project: "", Operation: "purge", Target: "staging", Priority: "high",
		Settle: -1, Rebound: tasks.MaxWait + 1, Source: strings.Repeat("s", tasks.MaxSourceBytes+1),
		Tags:      []string{"fine", "", "a,b", " a", "a\n", "\xff", strings.Repeat("t", 257), "*"},
		SrcImages: []string{"/fine", "", "/a ", "/\x00", strings.Repeat("i", 8193)},
		// Checked against RequestedAt, which the client fills in.
		NotBefore: time.Now().Add(tasks.MaxNotBefore + time.Hour),
	}
	_, err := client.Purge(t.Context(), p)
	require.ErrorIs(t, err, tasks.ErrInvalid)
	for _, field := range []string{
		"id", "project", "operation", "target", "priority", "settle_ms", "rebound_ms", "source", "not_before",
		"tags[1]", "tags[2]", "tags[3]", "tags[4]", "tags[5]", "tags[6]", "tags[7]",
		"src_images[1]", "src_images[2]", "src_images[3]", "src_images[4]",
	} {
		assert.ErrorContains(t, err, field+": ")
	}
	assert.Zero(t, rdb.DBSize(t.Context()).Val())
}

func TestPurge_SplitsLargeRequests(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		client := newClient(t, Config{Client: rdb})
		p := valid(func(p *tasks.Purge) { p.Tags, p.Target = nil, tasks.Production })
		for i := range 100_000 {
			p.Tags = append(p.Tags, fmt.Sprintf("post-%d-of-the-blog", i))
		}
		for i := range 1000 {
			p.SrcImages = append(p.SrcImages, fmt.Sprintf("/img/%d/%s.png", i, strings.Repeat("x", 1000)))
		}
		receipt, err := client.Purge(t.Context(), p)
		require.NoError(t, err)
		assert.Equal(t, Receipt{ID: "req-1", Tasks: 4, Items: 101_000}, receipt)

		var tags, images []string
		inspector := asynq.NewInspectorFromRedisClient(rdb)
		for i := range receipt.Tasks {
			task, err := inspector.GetTaskInfo(tasks.QueueIntake, fmt.Sprintf("req-1-%d", i+1))
			require.NoError(t, err)
			assert.Less(t, len(task.Payload), 1<<20)
			part, err := tasks.DecodePurge(task.Payload)
			require.NoError(t, err)
			tags, images = append(tags, part.Tags...), append(images, part.SrcImages...)
		}
		assert.True(t, slices.Equal(p.Tags, tags))
		assert.True(t, slices.Equal(p.SrcImages, images))
	})
}

func TestPurge_ConcurrentUse(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	client := newClient(t, Config{Client: rdb})
	const producers, each = 8, 20
	var wg sync.WaitGroup
	for range producers {
		wg.Go(func() {
			for range each {
				_, err := client.Purge(context.Background(), valid(func(p *tasks.Purge) { p.ID = "" }))
				assert.NoError(t, err)
			}
		})
	}
	wg.Wait()
	assert.Len(t, pending(t, rdb, tasks.QueueIntake), producers*each)
}

func TestIDs_UniqueAndRising(t *testing.T) {
	s, now, last := newIDs(), time.Now(), ""
	for range 10_000 {
		id, err := s.next(now)
		require.NoError(t, err)
		require.Greater(t, id, last)
		last = id
	}
}

func TestNew_Faults(t *testing.T) {
	_, err := New(Config{Source: strings.Repeat("s", tasks.MaxSourceBytes+1)})
	require.ErrorContains(t, err, "Config.Source is 101 bytes long")
	_, err = New(Config{Redis: "redis://u:hunter2@h/x"})
	require.ErrorContains(t, err, "database")
	assert.NotContains(t, err.Error(), "hunter2")
}

func TestClose_LeavesAGivenClientOpen(t *testing.T) {
	rdb, m := redistest.Mini(t)
	given := newClient(t, Config{Client: rdb})
	require.NoError(t, given.Close())
	require.NoError(t, rdb.Ping(t.Context()).Err())

	own := newClient(t, Config{Redis: "redis://" + m.Addr()})
	require.NoError(t, own.Ping(t.Context()))
	require.NoError(t, own.Close())
	require.NoError(t, own.Close(), "again")
	require.ErrorIs(t, own.Ping(t.Context()), redis.ErrClosed)
}
