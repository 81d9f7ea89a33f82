package deadletter_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/deadletter"
	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
)

func unmapped() deadletter.Delivery {
	return deadletter.Delivery{
		Source: "blog", ReceivedAt: time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC), Reason: "tags: yields null, not a text",
		Header: http.Header{"X-Topic": {"publish"}}, Body: []byte(`{"a":"<ü>"}`),
	}
}

func TestBox_Keep(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		b := newBench(t, rdb)
		key := deadletter.Key{Queue: tasks.QueueDeliveries, ID: "d1"}
		require.NoError(t, b.box.Keep(t.Context(), "d1", unmapped()))
		other := unmapped()
		other.Reason = "another"
		require.NoError(t, b.box.Keep(t.Context(), "d1", other), "a retry of the sender's is kept already")

		letters := b.list(t, deadletter.Filter{Reasons: []string{deadletter.Unmappable}})
		require.Len(t, letters, 1)
		l := letters[0]
		require.NoError(t, l.Fault)
		assert.Equal(t, key, l.Key)
		assert.Equal(t, unmapped(), *l.Delivery)
		assert.Equal(t, "tags: yields null, not a text", l.Message)
		assert.Equal(t, unmapped().ReceivedAt, l.Died)
		assert.Nil(t, l.Purge())
		text, err := json.Marshal(l)
		require.NoError(t, err)
		assert.JSONEq(t, `{"id":"d1","queue":"edgepurge-deliveries","type":"purge:delivery","died_at":"2026-11-22T05:00:00Z",
			"reason":"unmappable","message":"tags: yields null, not a text","attempts":1,"source":"blog",
			"received_at":"2026-11-22T05:00:00Z","header":{"X-Topic":["publish"]},"body":"{\"a\":\"<ü>\"}"}`, string(text))

		info, err := b.inspector.GetTaskInfo(tasks.QueueDeliveries, "d1")
		require.NoError(t, err)
		assert.Equal(t, asynq.TaskStateArchived, info.State)
		assert.Contains(t, string(info.Payload), `"source":"blog"`, "asynq's web UI shows it as it is")

		require.NoError(t, b.box.Delete(t.Context(), key))
		assert.Empty(t, b.list(t, deadletter.Filter{}))
		require.NoError(t, b.box.Keep(t.Context(), "d1", unmapped()), "the id is free again")
	})
}

// A body may be anything: that may be why it cannot be mapped.
func TestBox_KeepBytes(t *testing.T) {
	t.Parallel()
	rdb, _ := redistest.Mini(t)
	b := newBench(t, rdb)
	d := unmapped()
	d.Body = []byte{0xff, 0, 'a'}
	require.NoError(t, b.box.Keep(t.Context(), "d1", d))
	assert.Equal(t, d.Body, b.list(t, deadletter.Filter{})[0].Delivery.Body)
}

func TestBox_KeepUnreadable(t *testing.T) {
	t.Parallel()
	rdb, _ := redistest.Mini(t)
	b := newBench(t, rdb)
	for id, payload := range map[string]string{"new": `{"v":2}`, "none": `{`, "base": `{"v":1,"body_base64":"?"}`} {
		b.bury(t, tasks.QueueDeliveries, tasks.TypeDelivery, []byte(payload), id, "")
		l, err := b.box.Letter(t.Context(), deadletter.Key{Queue: tasks.QueueDeliveries, ID: id})
		require.NoError(t, err)
		require.ErrorIs(t, l.Fault, tasks.ErrInvalid, id)
		assert.Equal(t, id == "new", l.Newer(), id)
	}
}

// What a crash left between the enqueue and the archive is found by Tidy, and by
// the sender's retry.
func TestBox_KeepAfterACrash(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		b := newBench(t, rdb)
		n, err := b.box.Tidy(t.Context())
		require.NoError(t, err, "no queue yet")
		assert.Zero(t, n)
		payload := []byte(`{"v":1,"source":"blog","reason":"r","body":"b"}`)
		for _, id := range []string{"d1", "d2"} {
			_, err := b.client.Enqueue(asynq.NewTask(tasks.TypeDelivery, payload), asynq.Queue(tasks.QueueDeliveries), asynq.TaskID(id))
			require.NoError(t, err)
		}
		require.NoError(t, b.box.Keep(t.Context(), "d1", unmapped()))
		assert.Len(t, b.list(t, deadletter.Filter{}), 1)
		n, err = b.box.Tidy(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 1, n)
		assert.Len(t, b.list(t, deadletter.Filter{}), 2)
	})
}

// asynq would delete the oldest silently.
func TestBox_KeepFull(t *testing.T) {
	t.Parallel()
	rdb, _ := redistest.Mini(t)
	b := newBench(t, rdb)
	for i := range 5000 {
		require.NoError(t, rdb.ZAdd(t.Context(), "asynq:{edgepurge-deliveries}:archived", redis.Z{Score: 1, Member: strconv.Itoa(i)}).Err())
	}
	require.ErrorIs(t, b.box.Keep(t.Context(), "d1", unmapped()), deadletter.ErrFull)
	require.NoError(t, rdb.ZRem(t.Context(), "asynq:{edgepurge-deliveries}:archived", "7").Err())
	require.NoError(t, b.box.Keep(t.Context(), "d1", unmapped()))
}

func TestBox_ReplayDelivery(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		b := newBench(t, rdb)
		key := deadletter.Key{Queue: tasks.QueueDeliveries, ID: "d1"}
		require.NoError(t, b.box.Keep(t.Context(), "d1", unmapped()))
		_, err := b.box.Replay(t.Context(), key)
		require.ErrorContains(t, err, "stays a dead letter: nobody here knows the mapping of source blog")

		var mapped []tasks.Purge
		refusal := errors.New("still unmappable")
		b.box.Remap = func(_ context.Context, d deadletter.Delivery) ([]tasks.Purge, error) {
			assert.Equal(t, unmapped(), d)
			return mapped, refusal
		}
		_, err = b.box.Replay(t.Context(), key)
		require.ErrorIs(t, err, refusal)
		assert.Len(t, b.list(t, deadletter.Filter{}), 1)

		refusal = nil
		for _, project := range []string{"prj_a", "prj_b"} {
			mapped = append(mapped, tasks.Purge{Project: project, Operation: tasks.Invalidate, Tags: []string{"x", "y"}, Source: "sanity/blog"})
		}
		r, err := b.box.Replay(t.Context(), key)
		require.NoError(t, err)
		assert.True(t, r.Remapped)
		assert.Equal(t, 4, r.Receipt.Items)
		assert.Empty(t, b.list(t, deadletter.Filter{}))
		asked := b.pending(t, tasks.QueueIntake)
		require.Len(t, asked, 2)
		assert.Equal(t, "sanity/blog", asked[0].Source)
		_, err = b.box.Replay(t.Context(), key)
		require.ErrorIs(t, err, deadletter.ErrNotFound)
	})
}
