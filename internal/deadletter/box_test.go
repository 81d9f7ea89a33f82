package deadletter_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/enqueue"
	"github.com/edgepurge/edgepurge/internal/deadletter"
	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
)

// bench is a Redis with letters in it.
type bench struct {
	box       *deadletter.Box
	rdb       redis.UniversalClient
	client    *asynq.Client
	inspector *asynq.Inspector
}

func newBench(t *testing.T, rdb redis.UniversalClient) *bench {
	t.Helper()
	requests, err := enqueue.New(enqueue.Config{Client: rdb, Source: "test"})
	require.NoError(t, err)
	return &bench{
		box: deadletter.New(rdb, requests), rdb: rdb,
		client: asynq.NewClientFromRedisClient(rdb), inspector: asynq.NewInspectorFromRedisClient(rdb),
	}
}

// bury archives a task as a worker does: it handles it, and says why not again.
func (b *bench) bury(t *testing.T, queue, typename string, payload []byte, id, why string) {
	t.Helper()
	_, err := b.client.Enqueue(asynq.NewTask(typename, payload), asynq.Queue(queue), asynq.TaskID(id), asynq.MaxRetry(5))
	require.NoError(t, err)
	if why == "" { // by hand
		require.NoError(t, b.inspector.ArchiveTask(queue, id))
		return
	}
	done := make(chan struct{})
	server := asynq.NewServerFromRedisClient(b.rdb, asynq.Config{
		Queues: map[string]int{queue: 1}, LogLevel: asynq.FatalLevel, TaskCheckInterval: 10 * time.Millisecond,
	})
	require.NoError(t, server.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
		defer close(done)
		return letter(why)
	})))
	<-done
	server.Shutdown()
	info, err := b.inspector.GetTaskInfo(queue, id)
	require.NoError(t, err)
	require.Equal(t, asynq.TaskStateArchived, info.State)
}

// letter is an error that asynq archives with these words.
type letter string

func (l letter) Error() string        { return string(l) }
func (l letter) Is(target error) bool { return target == asynq.SkipRetry }

func deadCall(id string) tasks.Call {
	return tasks.Call{
		Batch: id, Account: "acme", Items: []string{"a", "b"}, DeadlineSeconds: 90, Attempt: 1,
		Lane: tasks.Lane{
			Project: "prj_abc", Kind: tasks.Tag, Operation: tasks.Delete, Target: tasks.Production,
			DeadlineSeconds: tasks.NoDeadline, Priority: tasks.Urgent,
		},
		ClaimedAt: time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC),
	}
}

func (b *bench) buryCall(t *testing.T, c tasks.Call, why string) deadletter.Key {
	t.Helper()
	payload, err := c.Encode()
	require.NoError(t, err)
	b.bury(t, tasks.QueueCalls, tasks.TypeCall, payload, c.Batch, why)
	return deadletter.Key{Queue: tasks.QueueCalls, ID: c.Batch}
}

func (b *bench) buryRequest(t *testing.T, p tasks.Purge, why string) deadletter.Key {
	t.Helper()
	payload, err := p.Encode()
	require.NoError(t, err)
	b.bury(t, tasks.QueueIntake, tasks.TypeRequest, payload, p.ID, why)
	return deadletter.Key{Queue: tasks.QueueIntake, ID: p.ID}
}

// pending returns the requests that wait in a queue.
func (b *bench) pending(t *testing.T, queue string) []tasks.Purge {
	t.Helper()
	waiting, err := b.inspector.ListPendingTasks(queue)
	require.NoError(t, err)
	var all []tasks.Purge
	for _, w := range waiting {
		p, err := tasks.DecodePurge(w.Payload)
		require.NoError(t, err)
		all = append(all, p)
	}
	return all
}

func (b *bench) list(t *testing.T, f deadletter.Filter) []deadletter.Letter {
	t.Helper()
	var letters []deadletter.Letter
	require.NoError(t, b.box.Each(t.Context(), f, func(l deadletter.Letter) error {
		letters = append(letters, l)
		return nil
	}))
	return letters
}

func TestBox_Empty(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		b := newBench(t, rdb)
		assert.Empty(t, b.list(t, deadletter.Filter{}), "no queue exists")
		key := deadletter.Key{Queue: tasks.QueueCalls, ID: "none"}
		_, err := b.box.Letter(t.Context(), key)
		require.ErrorIs(t, err, deadletter.ErrNotFound)
		_, err = b.box.Replay(t.Context(), key)
		require.ErrorIs(t, err, deadletter.ErrNotFound)
		require.ErrorIs(t, b.box.Delete(t.Context(), key), deadletter.ErrNotFound)
	})
}

func TestBox_ReplayCall(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		b := newBench(t, rdb)
		key := b.buryCall(t, deadCall("01A"), "bad_request: the call cannot succeed: Vercel answered 400: no")

		letters := b.list(t, deadletter.Filter{})
		require.Len(t, letters, 1)
		l := letters[0]
		assert.Equal(t, key, l.Key)
		assert.Equal(t, "bad_request", l.Reason)
		assert.Equal(t, "the call cannot succeed: Vercel answered 400: no", l.Message)
		assert.Equal(t, "acme", l.Account())
		assert.Equal(t, "prj_abc", l.Project())
		assert.Equal(t, tasks.Delete, l.Operation())
		assert.Equal(t, []string{"a", "b"}, l.Items(tasks.Tag))
		assert.Empty(t, l.Items(tasks.SrcImage))
		assert.Equal(t, 2, l.Attempts, "the claim's and asynq's")
		assert.WithinDuration(t, time.Now(), l.Died, 5*time.Second)

		r, err := b.box.Replay(t.Context(), key)
		require.NoError(t, err)
		assert.False(t, r.Rerun)
		assert.Equal(t, 2, r.Receipt.Items)
		assert.Empty(t, b.list(t, deadletter.Filter{}))
		asked := b.pending(t, tasks.QueueUrgent)
		require.Len(t, asked, 1)
		p := asked[0]
		assert.Equal(t, []string{"a", "b"}, p.Tags)
		assert.Equal(t, tasks.Production, p.Target)
		assert.Equal(t, tasks.Delete, p.Operation)
		assert.Nil(t, p.DeadlineSeconds, "the staggered deadline is the worker's, not the lane's")
		assert.Equal(t, tasks.Urgent, p.Priority)
		assert.Equal(t, deadletter.Source, p.Source)
		assert.False(t, p.AllowAll)

		_, err = b.box.Replay(t.Context(), key)
		require.ErrorIs(t, err, deadletter.ErrNotFound, "once is enough")
	})
}

func TestBox_ReplayCallThatPurgesAll(t *testing.T) {
	t.Parallel()
	rdb, _ := redistest.Mini(t)
	b := newBench(t, rdb)
	c := deadCall("01B")
	c.Items = []string{tasks.AllTags}
	c.Lane.DeadlineSeconds, c.DeadlineSeconds = 60, 60
	c.Verdict = &tasks.Verdict{Reason: "unauthorized", Status: 401}
	key := b.buryCall(t, c, "")
	l, err := b.box.Letter(t.Context(), key)
	require.NoError(t, err)
	assert.Equal(t, "unauthorized", l.Reason, "the payload knows what asynq does not")
	assert.Equal(t, 1, l.Attempts)

	_, err = b.box.Replay(t.Context(), key)
	require.NoError(t, err)
	p := b.pending(t, tasks.QueueUrgent)[0]
	assert.True(t, p.AllowAll)
	require.NotNil(t, p.DeadlineSeconds)
	assert.Equal(t, 60, *p.DeadlineSeconds)
}

func TestBox_ReplayRequest(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		b := newBench(t, rdb)
		deadline := 30
		asked := tasks.Purge{
			ID: "01REQ", Project: "prj_else", Operation: tasks.Delete, Tags: []string{"*"}, SrcImages: []string{"/a.png"},
			AllowAll: true, DeadlineSeconds: &deadline, Priority: tasks.Bulk, Settle: 2 * time.Second, Rebound: time.Minute,
			NotBefore:   time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
			RequestedAt: time.Date(2025, 12, 1, 0, 0, 0, 0, time.UTC), Track: true, Source: "shop",
		}
		key := b.buryRequest(t, asked, "no_account: project belongs to no account")
		letters := b.list(t, deadletter.Filter{Reasons: []string{"no_account"}})
		require.Len(t, letters, 1)
		assert.Empty(t, letters[0].Account())
		assert.Equal(t, 1, letters[0].Attempts)

		r, err := b.box.Replay(t.Context(), key)
		require.NoError(t, err)
		assert.NotEqual(t, "01REQ", r.Receipt.ID, "a task of that id was in the archive")
		again := b.pending(t, tasks.QueueIntake)
		require.Len(t, again, 1)
		assert.Equal(t, r.Receipt.ID, again[0].ID)
		assert.WithinDuration(t, time.Now(), again[0].RequestedAt, 5*time.Second)
		want := asked
		want.ID, want.RequestedAt = again[0].ID, again[0].RequestedAt
		assert.Equal(t, want, again[0])
		assert.Empty(t, b.list(t, deadletter.Filter{}))
	})
}

// What this version cannot read, a newer worker may: the task itself runs again.
func TestBox_ReplayUnreadable(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		b := newBench(t, rdb)
		b.bury(t, tasks.QueueIntake, tasks.TypeRequest, []byte(`{"v":99}`), "01NEW", "invalid: unknown wire version 99")
		letters := b.list(t, deadletter.Filter{})
		require.Len(t, letters, 1)
		require.ErrorIs(t, letters[0].Fault, tasks.ErrVersion)
		assert.True(t, letters[0].Newer())
		assert.Nil(t, letters[0].Purge())

		r, err := b.box.Replay(t.Context(), letters[0].Key)
		require.NoError(t, err)
		assert.True(t, r.Rerun)
		info, err := b.inspector.GetTaskInfo(tasks.QueueIntake, "01NEW")
		require.NoError(t, err)
		assert.Equal(t, asynq.TaskStatePending, info.State)
		assert.JSONEq(t, `{"v":99}`, string(info.Payload))
	})
}

// A task that runs again is no letter: deleting it would lose a purge.
func TestBox_DeleteOnlyLetters(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		b := newBench(t, rdb)
		key := b.buryCall(t, deadCall("01C"), "refused: no")
		require.NoError(t, b.inspector.RunTask(key.Queue, key.ID))
		require.ErrorIs(t, b.box.Delete(t.Context(), key), deadletter.ErrNotFound)
		_, err := b.box.Replay(t.Context(), key)
		require.ErrorIs(t, err, deadletter.ErrNotFound)
		_, err = b.inspector.GetTaskInfo(key.Queue, key.ID)
		require.NoError(t, err, "it is still there")

		require.NoError(t, b.inspector.ArchiveTask(key.Queue, key.ID))
		require.NoError(t, b.box.Delete(t.Context(), key))
		_, err = b.inspector.GetTaskInfo(key.Queue, key.ID)
		require.ErrorIs(t, err, asynq.ErrTaskNotFound)
	})
}

// A replay that cannot be stored leaves the letter where it is.
func TestBox_ReplayThatFailsKeepsTheLetter(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		b := newBench(t, rdb)
		key := b.buryCall(t, deadCall("01D"), "refused: no")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := b.box.Replay(ctx, key)
		require.ErrorIs(t, err, context.Canceled)
		gone := redis.NewClient(&redis.Options{})
		require.NoError(t, gone.Close())
		requests, err := enqueue.New(enqueue.Config{Client: gone})
		require.NoError(t, err)
		_, err = deadletter.New(rdb, requests).Replay(t.Context(), key)
		require.ErrorIs(t, err, redis.ErrClosed)
		require.ErrorContains(t, err, "stays a dead letter")
		require.ErrorIs(t, b.box.Delete(ctx, key), context.Canceled)
		_, err = b.box.List(ctx, deadletter.Filter{})
		require.ErrorIs(t, err, context.Canceled)
		assert.Len(t, b.list(t, deadletter.Filter{}), 1)
	})
}

func TestBox_ListPages(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		b := newBench(t, rdb)
		const n = 450 // more than two pages
		for i := range n {
			c := deadCall(fmt.Sprintf("01P%03d", i))
			payload, err := c.Encode()
			require.NoError(t, err)
			b.bury(t, tasks.QueueCalls, tasks.TypeCall, payload, c.Batch, "")
		}
		b.buryRequest(t, tasks.Purge{ID: "01R", Project: "prj_x", Operation: tasks.Invalidate, Tags: []string{"t"}}, "no_account: none")
		letters := b.list(t, deadletter.Filter{})
		require.Len(t, letters, n+1)
		assert.Equal(t, "01R", letters[0].ID, "the others never failed")
		ids := map[string]bool{}
		for _, l := range letters {
			ids[l.ID] = true
		}
		assert.Len(t, ids, n+1)
		assert.Len(t, b.list(t, deadletter.Filter{Reasons: []string{deadletter.ByHand}}), n)
	})
}

func TestLetter_JSON(t *testing.T) {
	t.Parallel()
	rdb, _ := redistest.Mini(t)
	b := newBench(t, rdb)
	c := deadCall("01J")
	c.Verdict = &tasks.Verdict{Reason: "unauthorized", Status: 401, Code: "forbidden", Message: "<no>", RequestID: "fra1::x"}
	b.buryCall(t, c, "unauthorized: no")
	b.bury(t, tasks.QueueUrgent, "other:task", []byte("raw"), "01O", "odd words without a reason")
	letters := b.list(t, deadletter.Filter{})
	require.Len(t, letters, 2)
	i := slices.IndexFunc(letters, func(l deadletter.Letter) bool { return l.ID == "01J" })
	text, err := json.Marshal(letters[i])
	require.NoError(t, err)
	died := letters[i].Died.UTC().Format(time.RFC3339Nano)
	assert.JSONEq(t, `{"id":"01J","queue":"edgepurge-calls","type":"purge:call","died_at":"`+died+`",
		"reason":"unauthorized","message":"no","attempts":1,"account":"acme","project":"prj_abc","operation":"delete",
		"target":"production","priority":"urgent","tags":["a","b"],"claimed_at":"2026-11-22T05:00:00Z",
		"verdict":{"reason":"unauthorized","status":401,"code":"forbidden","message":"<no>","request_id":"fra1::x"}}`, string(text))

	other := letters[1-i]
	assert.Equal(t, deadletter.Unknown, other.Reason)
	assert.Equal(t, "odd words without a reason", other.Message)
	text, err = json.Marshal(other)
	require.NoError(t, err)
	assert.Contains(t, string(text), `"payload":"raw"`)
	assert.Contains(t, string(text), `is not edgepurge's`)
}

// asynq's clients register a queue once and remember that: if Redis loses the set of
// queues, its inspector knows none of them for as long as they run.
func TestBox_RedisLostTheQueues(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		b := newBench(t, rdb)
		require.NoError(t, b.box.Keep(t.Context(), "d1", unmapped()))
		call := b.buryCall(t, deadCall("b1"), "bad_request: no")
		other := b.buryCall(t, deadCall("b2"), "bad_request: no")
		lost := func() { require.NoError(t, rdb.Del(t.Context(), "asynq:queues").Err()) }

		lost()
		assert.Len(t, b.list(t, deadletter.Filter{}), 3)
		lost()
		l, err := b.box.Letter(t.Context(), call)
		require.NoError(t, err)
		assert.Equal(t, call, l.Key)
		lost()
		_, err = b.box.Replay(t.Context(), call)
		require.NoError(t, err)
		lost()
		require.NoError(t, b.box.Delete(t.Context(), other))
		lost()
		require.NoError(t, b.box.Keep(t.Context(), "d2", unmapped()))
		_, err = b.client.Enqueue(asynq.NewTask(tasks.TypeDelivery, []byte("{}")), asynq.Queue(tasks.QueueDeliveries), asynq.TaskID("d3"))
		require.NoError(t, err)
		lost()
		n, err := b.box.Tidy(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 1, n)
		assert.Len(t, b.list(t, deadletter.Filter{}), 3)
	})
}
