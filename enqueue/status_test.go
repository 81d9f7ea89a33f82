package enqueue

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/receipt"
	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
)

func tracked(changes ...func(*tasks.Purge)) tasks.Purge {
	return valid(append([]func(*tasks.Purge){func(p *tasks.Purge) { p.Track = true }}, changes...)...)
}

// worker writes into Redis what workers would.
type worker struct {
	*testing.T
	rdb redis.UniversalClient
}

func (w worker) set(key string, fields ...any) {
	w.Helper()
	require.NoError(w, w.rdb.HSet(w.Context(), key, fields...).Err())
}

func TestStatus_FollowsTheWorkersCounts(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		client, w := newClient(t, Config{Client: rdb}), worker{t, rdb}
		p := tracked(func(p *tasks.Purge) { p.Tags, p.SrcImages = []string{"a", "b", "a", "c"}, []string{"/a"} })
		r, err := client.Purge(t.Context(), p)
		require.NoError(t, err)
		check := func(want Status) {
			t.Helper()
			want.ID, want.Project, want.Total, want.RequestedAt = "req-1", "prj_abc", 4, p.RequestedAt
			got, err := client.Status(t.Context(), r.ID)
			require.NoError(t, err)
			assert.Equal(t, want, got)
			assert.Equal(t, want.Pending == 0, got.Done())
		}
		check(Status{Pending: 4})

		at := func(ms int64) time.Time { return time.UnixMilli(1_800_000_000_000 + ms).UTC() }
		w.set(receipt.Key("req-1"), receipt.AccountField("acme"), 1)
		check(Status{Pending: 4}) // taken in, nothing counted
		w.set(receipt.CountsKey("acme", "req-1"), "req-1/tag/0", 1, receipt.Purged, 1, receipt.Changed, at(5).UnixMilli())
		check(Status{Pending: 3, Purged: 1, ChangedAt: at(5)})
		w.set(receipt.CountsKey("acme", "req-1"), receipt.Dead, 1)
		check(Status{Pending: 2, Purged: 1, Dead: 1, ChangedAt: at(5)})

		// A task that no account took, and one that another account did.
		w.set(receipt.Key("req-1"), receipt.DeadField("req-1-2"), 1, receipt.Changed, at(4).UnixMilli(), receipt.AccountField("beta"), 1)
		w.set(receipt.CountsKey("beta", "req-1"), receipt.Purged, 1, receipt.Changed, at(7).UnixMilli())
		check(Status{Purged: 2, Dead: 2, ChangedAt: at(7), DoneAt: at(7)})

		// The whole of it died after a part had been taken in.
		w.set(receipt.Key("req-1"), receipt.DeadField("req-1"), 4, receipt.Changed, at(9).UnixMilli())
		check(Status{Dead: 4, ChangedAt: at(9), DoneAt: at(9)})
	})
}

func TestStatus_Unknown(t *testing.T) {
	rdb, m := redistest.Mini(t)
	client := newClient(t, Config{Client: rdb})
	unknown := func(id string) {
		t.Helper()
		got, err := client.Status(t.Context(), id)
		require.ErrorIs(t, err, ErrUnknownReceipt)
		require.ErrorContains(t, err, fmt.Sprintf("not tracked, or nothing happened to it for 24 hours: %q", id))
		assert.Zero(t, got)
	}
	unknown("never")
	unknown("")
	_, err := client.Purge(t.Context(), valid())
	require.NoError(t, err)
	unknown("req-1")

	_, err = client.Purge(t.Context(), tracked(func(p *tasks.Purge) { p.ID = "req-2" }))
	require.NoError(t, err)
	m.FastForward(receipt.Kept - time.Second)
	_, err = client.Status(t.Context(), "req-2")
	require.NoError(t, err)
	m.FastForward(2 * time.Second)
	unknown("req-2")
	assert.False(t, m.Exists(receipt.Key("req-2")))
}

// What is due later is known for as long after it is due.
func TestPurge_ReceiptOutlivesTheWait(t *testing.T) {
	rdb, m := redistest.Mini(t)
	client := newClient(t, Config{Client: rdb})
	for name, c := range map[string]struct {
		change func(*tasks.Purge)
		want   time.Duration
	}{
		"now":      {func(*tasks.Purge) {}, receipt.Kept},
		"settle":   {func(p *tasks.Purge) { p.Settle = 48 * time.Hour }, 72 * time.Hour},
		"embargo":  {func(p *tasks.Purge) { p.NotBefore = time.Now().Add(96 * time.Hour) }, 120 * time.Hour},
		"in-past":  {func(p *tasks.Purge) { p.NotBefore = time.Now().Add(-96 * time.Hour) }, receipt.Kept},
		"both":     {func(p *tasks.Purge) { p.Settle, p.NotBefore = time.Hour, time.Now().Add(2*time.Hour) }, 26 * time.Hour},
		"rebounds": {func(p *tasks.Purge) { p.Rebound = 48 * time.Hour }, receipt.Kept},
	} {
		_, err := client.Purge(t.Context(), tracked(c.change, func(p *tasks.Purge) { p.ID, p.RequestedAt = name, time.Time{} }))
		require.NoError(t, err)
		assert.InDelta(t, c.want, m.TTL(receipt.Key(name)), float64(10*time.Second), name)
	}
}

func TestPurge_SentAgainKeepsItsReceipt(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		client := newClient(t, Config{Client: rdb})
		_, err := client.Purge(t.Context(), tracked())
		require.NoError(t, err)
		worker{t, rdb}.set(receipt.Key("req-1"), receipt.DeadField("req-1"), 1)
		_, err = client.Purge(t.Context(), tracked())
		require.NoError(t, err)
		got, err := client.Status(t.Context(), "req-1")
		require.NoError(t, err)
		assert.Equal(t, 1, got.Dead)
	})
}

func TestPurge_UntrackedLeavesNoReceipt(t *testing.T) {
	rdb, m := redistest.Mini(t)
	_, err := newClient(t, Config{Client: rdb}).Purge(t.Context(), valid(func(p *tasks.Purge) { p.Receipt = "of-another" }))
	require.NoError(t, err)
	for _, key := range m.Keys() {
		assert.True(t, strings.HasPrefix(key, "asynq:"), key)
	}
}

// A request in several tasks is one receipt, and each task names it.
func TestPurge_OneReceiptForAllTasks(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		client := newClient(t, Config{Client: rdb})
		p := tracked(func(p *tasks.Purge) { p.Tags, p.Receipt = nil, "whatever" })
		for i := range 50_000 {
			p.Tags = append(p.Tags, fmt.Sprintf("post-%d-of-the-blog-of-the-shop", i))
		}
		r, err := client.Purge(t.Context(), p)
		require.NoError(t, err)
		require.Greater(t, r.Tasks, 1)
		for _, task := range pending(t, rdb, tasks.QueueIntake) {
			part, err := tasks.DecodePurge(task.Payload)
			require.NoError(t, err)
			assert.Equal(t, "req-1", part.ReceiptID())
			assert.NotEqual(t, "req-1", part.ID)
		}
		got, err := client.Status(t.Context(), "req-1")
		require.NoError(t, err)
		assert.Equal(t, 50_000, got.Total)
		_, err = client.Status(t.Context(), "req-1-1")
		require.ErrorIs(t, err, ErrUnknownReceipt)

		_, err = client.Purge(t.Context(), tracked(func(p *tasks.Purge) { p.ID, p.Receipt = "req-2", "whatever" }))
		require.NoError(t, err)
		for _, task := range pending(t, rdb, tasks.QueueIntake) {
			if task.ID == "req-2" {
				assert.NotContains(t, string(task.Payload), "receipt")
			}
		}
	})
}

func TestStatus_JSON(t *testing.T) {
	at := time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC)
	s := Status{ID: "01JD", Project: "prj_abc", Total: 3, Pending: 1, Purged: 2, RequestedAt: at}
	text, err := json.Marshal(s)
	require.NoError(t, err)
	assert.JSONEq(t, `{"id":"01JD","project":"prj_abc","total":3,"pending":1,"purged":2,"dead":0,"requested_at":"2026-11-22T05:00:00Z"}`, string(text))
	s.Pending, s.Dead, s.ChangedAt, s.DoneAt = 0, 1, at.Add(time.Second), at.Add(time.Second)
	text, err = json.Marshal(s)
	require.NoError(t, err)
	assert.JSONEq(t, `{"id":"01JD","project":"prj_abc","total":3,"pending":0,"purged":2,"dead":1,"requested_at":"2026-11-22T05:00:00Z",
		"changed_at":"2026-11-22T05:00:01Z","done_at":"2026-11-22T05:00:01Z"}`, string(text))
}

func TestStatus_RedisAway(t *testing.T) {
	rdb, m := redistest.Mini(t)
	client := newClient(t, Config{Client: rdb})
	m.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := client.Status(ctx, "req-1")
	require.Error(t, err)
	require.NotErrorIs(t, err, ErrUnknownReceipt)
	require.ErrorContains(t, err, "status of req-1 in Redis")
	_, err = client.Purge(ctx, tracked())
	require.ErrorContains(t, err, "nothing stored")
}
