package enqueue

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
)

func TestPurge_TellsTheWorkers(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		sub := rdb.Subscribe(t.Context(), tasks.ChannelQueued)
		defer func() { require.NoError(t, sub.Close()) }()
		_, err := sub.Receive(t.Context())
		require.NoError(t, err)
		_, err = newClient(t, Config{Client: rdb}).Purge(t.Context(), valid())
		require.NoError(t, err)
		message, err := sub.ReceiveMessage(t.Context())
		require.NoError(t, err)
		assert.Empty(t, message.Payload)
		assert.NotEmpty(t, pending(t, rdb, tasks.QueueIntake), "the task was there first")
	})
}

func TestPurge_NeedsNobodyToTell(t *testing.T) {
	rdb := redistest.Start(t).Client(t)
	require.NoError(t, rdb.Do(t.Context(), "ACL", "SETUSER", "default", "resetchannels").Err())
	require.Error(t, rdb.Publish(t.Context(), tasks.ChannelQueued, "").Err())
	_, err := newClient(t, Config{Client: rdb}).Purge(t.Context(), valid())
	require.NoError(t, err)
}

func TestHint_ABusyProducerTellsNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHint()
		assert.True(t, h.isDue(), "the first request is told of at once")
		assert.False(t, h.isDue())
		time.Sleep(hintEvery - 1)
		assert.False(t, h.isDue())
		time.Sleep(time.Nanosecond)
		assert.True(t, h.isDue())
		assert.False(t, h.isDue())
	})
}
