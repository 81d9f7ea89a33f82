package worker

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
)

// A full Redis refuses every write that may take memory. What is pending is called
// all the same, and once: what the answers ask for is written down.
func TestRun_WorksOffAFullRedis(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	api := newAPI(t, emulator.Config{}, nil)
	c := testConfig(api.URL)
	c.Accounts[0].Budget.Calls, c.Accounts[0].Budget.Reserve = 1000, 0
	l := newLab(t, c, rdb)

	const items = 400
	tags := make([]string, items)
	for i := range tags {
		tags[i] = fmt.Sprintf("post-%d", i)
	}
	lane := tagLane("prj")
	l.put(tasks.Purge{Tags: tags})
	require.NoError(t, rdb.Do(t.Context(), "CONFIG", "SET", "maxmemory", "1").Err())
	require.ErrorContains(t, rdb.Set(t.Context(), "x", "y", 0).Err(), "OOM")
	l.start()
	eventually(t, func() bool { return len(l.pending(lane)) == 0 && len(l.status().InFlight) == 0 }, "the backlog drains")
	assert.Len(t, api.all(), items/16)

	// With room again the worker takes in as before.
	require.NoError(t, rdb.Do(t.Context(), "CONFIG", "SET", "maxmemory", "0").Err())
	at := l.request(tasks.Purge{Tags: []string{"later"}})
	eventually(t, func() bool { return api.purged("later", at) }, "a request that comes later")
}

// A token that is refused costs no call after another: the hold is written down too.
func TestRun_HoldsOnAFullRedis(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	api := newAPI(t, emulator.Config{}, func(call) *reply { return &reply{status: http.StatusUnauthorized} })
	c := testConfig(api.URL)
	c.Accounts[0].Budget.InFlight = 1
	l := newLab(t, c, rdb)
	l.put(tasks.Purge{Tags: []string{"a"}})
	require.NoError(t, rdb.Do(t.Context(), "CONFIG", "SET", "maxmemory", "1").Err())
	l.start()
	eventually(t, func() bool { return len(l.status().Holds) == 1 }, "the account is held")
	assert.LessOrEqual(t, len(api.all()), 1)
}
