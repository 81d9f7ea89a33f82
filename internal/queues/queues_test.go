package queues_test

import (
	"testing"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/edgepurge/edgepurge/internal/queues"
	"github.com/edgepurge/edgepurge/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAll(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{"edgepurge-intake", "edgepurge-urgent", "edgepurge-calls", "edgepurge-deliveries"}, queues.All())
	assert.Equal(t, queues.All()[:3], queues.Served())
}

// asynq knows all of ours, whatever was lost, and another program's as before.
func TestRegister(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		inspector := asynq.NewInspectorFromRedisClient(rdb)
		for _, left := range [][]string{nil, {"other"}, {"other", "edgepurge-calls"}, append(queues.All(), "other")} {
			require.NoError(t, rdb.Del(t.Context(), "asynq:queues").Err())
			for _, name := range left {
				require.NoError(t, rdb.SAdd(t.Context(), "asynq:queues", name).Err())
			}
			require.NoError(t, queues.Register(t.Context(), rdb))
			for _, name := range queues.All() {
				_, err := inspector.GetQueueInfo(name)
				require.NoError(t, err, "%s, of %v", name, left)
			}
			found, err := inspector.Queues()
			require.NoError(t, err)
			assert.Subset(t, found, left)
		}
	})
}

// Who may only read can look all the same, and writes nothing where nothing is missing.
func TestRegister_MayOnlyRead(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	admin := s.Client(t)
	require.NoError(t, admin.Do(t.Context(), "acl", "setuser", "reader", "on", ">pw", "~*", "+smembers", "+hello", "+ping").Err())
	options, err := redis.ParseURL(s.URL())
	require.NoError(t, err)
	options.Username, options.Password = "reader", "pw"
	reader := redis.NewClient(options)
	t.Cleanup(func() { _ = reader.Close() })
	denials := func() int {
		log, err := admin.Do(t.Context(), "acl", "log").Slice()
		require.NoError(t, err)
		return len(log)
	}

	require.NoError(t, queues.Register(t.Context(), reader))
	assert.Equal(t, 1, denials(), "Redis refused to let it register")
	require.NoError(t, admin.Do(t.Context(), "acl", "log", "reset").Err())
	require.NoError(t, queues.Register(t.Context(), admin))
	require.NoError(t, queues.Register(t.Context(), reader))
	assert.Zero(t, denials())

	require.NoError(t, admin.Do(t.Context(), "acl", "setuser", "reader", "-smembers").Err())
	require.ErrorContains(t, queues.Register(t.Context(), reader), "list the queues: NOPERM")
}
