package worker

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/queues"
	"github.com/edgepurge/edgepurge/internal/redistest"
)

// A worker makes asynq know its queues again when Redis has lost everything: the
// web UI and others who do not register look by that.
func TestWorker_RegistersTheQueuesAgain(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	newLab(t, testConfig(answering(t, nil).URL), rdb).start()
	known := func() bool {
		names, err := rdb.SMembers(t.Context(), "asynq:queues").Result()
		require.NoError(t, err)
		return len(names) == len(queues.All())
	}
	eventually(t, known, "the queues are not registered")
	require.NoError(t, rdb.FlushAll(t.Context()).Err())
	eventually(t, known, "the queues are not registered again")
}
