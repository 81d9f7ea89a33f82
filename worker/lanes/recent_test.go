package lanes

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/tasks"
)

func TestRecent_KeepsTheLastCalls(t *testing.T) {
	each(t, func(r *rig) {
		calls, seconds, err := r.Recent(r.ctx())
		require.NoError(t, err)
		assert.Empty(t, calls)
		require.Len(t, seconds, 300)
		for i, s := range seconds {
			assert.Equal(t, Second{Unix: seconds[0].Unix + int64(i)}, s)
		}

		full := MadeCall{
			At: time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC), Account: "acme", Project: "prj", Operation: tasks.Delete,
			Kind: tasks.Tag, Items: 16, First: []string{"a", "<b>"}, Attempt: 2, Verdict: "retry", Reason: "server_error",
			Status: 503, Message: "no", RequestID: "fra1::x", TookMS: 12,
		}
		require.NoError(t, r.NoteCalls(r.ctx(), []MadeCall{full}, nil))
		calls, _, err = r.Recent(r.ctx())
		require.NoError(t, err)
		assert.Equal(t, []MadeCall{full}, calls)

		for from := 0; from < 150; from += 50 {
			var some []MadeCall
			for i := from; i < from+50; i++ {
				some = append(some, MadeCall{RequestID: fmt.Sprint(i)})
			}
			require.NoError(t, r.NoteCalls(r.ctx(), some, nil))
		}
		kept, err := r.rdb.LLen(r.ctx(), KeyCalls).Result()
		require.NoError(t, err)
		assert.EqualValues(t, RecentCalls, kept)
		calls, _, err = r.Recent(r.ctx())
		require.NoError(t, err)
		require.Len(t, calls, RecentCalls)
		assert.Equal(t, "149", calls[0].RequestID, "the newest first")
		assert.Equal(t, "50", calls[99].RequestID)
	})
}

// A newer worker may write what this version cannot read.
func TestRecent_LeavesOutWhatItCannotRead(t *testing.T) {
	each(t, func(r *rig) {
		require.NoError(t, r.rdb.LPush(r.ctx(), KeyCalls, "{", `{"items":"many"}`, `{"items":3,"new":1}`).Err())
		calls, _, err := r.Recent(r.ctx())
		require.NoError(t, err)
		require.Len(t, calls, 1)
		assert.Equal(t, 3, calls[0].Items)
	})
}

func TestRecent_AddsUpTheFleet(t *testing.T) {
	each(t, func(r *rig) {
		now := r.time().Unix()
		for range 2 { // two workers
			require.NoError(t, r.NoteCalls(r.ctx(), nil, []Second{
				{Unix: now - 61, Calls: 1, Items: 16},
				{Unix: now - 1, Calls: 3, Failed: 1, Items: 40},
				{Unix: now - 3600, Calls: 99},
			}))
		}
		_, seconds, err := r.Recent(r.ctx())
		require.NoError(t, err)
		var busy []Second
		sum := 0
		for _, s := range seconds {
			sum += s.Calls
			if s.Calls > 0 {
				busy = append(busy, s)
			}
		}
		assert.Equal(t, 8, sum, "an hour ago is not shown")
		assert.Equal(t, []Second{
			{Unix: now - 61, Calls: 2, Items: 32},
			{Unix: now - 1, Calls: 6, Failed: 2, Items: 80},
		}, busy)
		assert.GreaterOrEqual(t, seconds[len(seconds)-1].Unix, now)
		left, err := r.rdb.TTL(r.ctx(), keyRates(now)).Result()
		require.NoError(t, err)
		assert.Greater(t, left, RateWindow)
		assert.LessOrEqual(t, left, 2*RateWindow)
	})
}
