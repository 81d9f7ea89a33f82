package worker

import (
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// A call that fails while a backlog eats the budget comes back before the rest of the
// backlog, and dies after max_attempts in all.
func TestFailedBatch_KeepsItsPlaceAndItsCount(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	api := newAPI(t, emulator.Config{}, func(c call) *reply {
		if slices.Contains(c.Items, "bad") {
			return &reply{status: http.StatusServiceUnavailable}
		}
		return nil
	})
	c := testConfig(api.URL)
	c.Accounts[0].Batch.MaxTags = 1
	c.Accounts[0].Budget = Budget{Calls: 10, Per: 500 * time.Millisecond, InFlight: 1}
	c.Accounts[0].Retry.MaxAttempts = 4
	l := newLab(t, c, rdb)
	l.absorb("bad")
	l.absorb(items(80)...)
	l.start()
	eventually(t, func() bool { return len(letters(t, rdb)) == 1 && l.idle() }, "bad dies, the others are purged")
	assert.Len(t, api.with("bad"), 4)
	assert.Len(t, api.all(), 84)
	assert.Positive(t, l.metric("edgepurge_returned_batches_total", "reason", "budget"), "an attempt was refused")
	var at []int
	for i, c := range api.all() {
		if slices.Contains(c.Items, "bad") {
			at = append(at, i)
		}
	}
	assert.Less(t, at[1], 60, "the second attempt does not wait for the backlog: %v", at)
	assert.Equal(t, "server_error: every attempt failed: Vercel answered 503", letters(t, rdb)[0].LastErr)
}

// absorb puts items into the lane of prj, past the intake.
func (l *lab) absorb(items ...string) {
	l.t.Helper()
	_, err := l.lanes.Absorb(l.t.Context(), l.account().pace(tagLane("prj")), lanes.Absorption{Request: "r-" + items[0], Lane: tagLane("prj"), Items: items})
	require.NoError(l.t, err)
}

// claimNow claims from the lane of prj.
func (l *lab) claimNow(id string) lanes.Batch {
	l.t.Helper()
	pace := l.account().pace(tagLane("prj"))
	pace.Linger = 0
	got, err := l.lanes.Claim(l.t.Context(), pace, tagLane("prj"), id)
	require.NoError(l.t, err)
	require.NotNil(l.t, got.Batch, got.Refused)
	return *got.Batch
}

// retries lists the calls that asynq keeps for later.
func (l *lab) retries() []*asynq.TaskInfo {
	l.t.Helper()
	found, err := asynq.NewInspectorFromRedisClient(l.rdb).ListScheduledTasks(tasks.QueueCalls)
	require.NoError(l.t, err)
	return found
}

// Whatever stores, refuses, splits or hands back a batch in between: the attempts of its
// items count on.
func TestFailedBatch_CountsOverEveryWay(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		var status atomic.Int64
		status.Store(http.StatusServiceUnavailable)
		api := newAPI(t, emulator.Config{}, func(call) *reply { return &reply{status: int(status.Load())} })
		c := testConfig(api.URL)
		c.Accounts[0].Retry.MaxAttempts = 6
		l := newLab(t, c, rdb)
		a := l.account()
		l.absorb("x", "y")
		b := l.claimNow("b1")
		due := b.Due

		// 503 at once: attempt 1 is stored with what the items waited with.
		l.carryOut(b, l.pacers["default"].call(t.Context(), b))
		stored := l.retries()
		require.Len(t, stored, 1)
		task := asynq.NewTaskWithHeaders(tasks.TypeCall, stored[0].Payload, stored[0].Headers)
		// Attempt 2 is refused: back to the lane, at its place.
		a.Budget = Budget{Calls: 1, Per: time.Minute, InFlight: 4}
		l.spend()
		require.NoError(t, l.attempts.ProcessTask(t.Context(), task))
		a.Budget = Budget{Per: time.Second, InFlight: 4}
		require.NoError(t, asynq.NewInspectorFromRedisClient(rdb).DeleteTask(tasks.QueueCalls, stored[0].ID))

		// A 429 costs none.
		b = l.claimNow("b2")
		assert.Equal(t, 2, b.Attempt)
		assert.Equal(t, due, b.Due)
		status.Store(http.StatusTooManyRequests)
		l.carryOut(b, l.pacers["default"].call(t.Context(), b))
		require.NoError(t, l.lanes.Resume(t.Context(), "default"))
		b = l.claimNow("b3")
		assert.Equal(t, 2, b.Attempt)

		// Attempt 2 fails; attempt 3 is a 400: the halves count on from two failures.
		status.Store(http.StatusBadGateway)
		l.carryOut(b, l.pacers["default"].call(t.Context(), b))
		stored = l.retries()
		require.Len(t, stored, 1)
		status.Store(http.StatusBadRequest)
		require.NoError(t, l.attempts.ProcessTask(t.Context(), asynq.NewTaskWithHeaders(tasks.TypeCall, stored[0].Payload, stored[0].Headers)))
		halves, err := asynq.NewInspectorFromRedisClient(rdb).ListPendingTasks(tasks.QueueCalls)
		require.NoError(t, err)
		require.Len(t, halves, 2)
		for _, half := range halves {
			call, err := tasks.DecodeCall(half.Payload)
			require.NoError(t, err)
			assert.Equal(t, 2, call.Attempt)
			assert.Contains(t, half.Headers[headerTerms], fmt.Sprintf(`"due":%d`, due.UnixMilli()))
		}
	})
}

func TestFailedBatch_LastAttemptOfAClaimIsADeadLetter(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	api := answering(t, &reply{status: http.StatusServiceUnavailable})
	c := testConfig(api.URL)
	c.Accounts[0].Retry.MaxAttempts = 3
	l := newLab(t, c, rdb)
	l.absorb("x")
	for attempt, want := range map[int]Verdict{2: TryAgain, 3: Dead} {
		b := l.claimNow(fmt.Sprint("b", attempt))
		b.Attempt = attempt
		assert.Equal(t, want, l.pacers["default"].call(t.Context(), b).Verdict, attempt)
		_, err := l.lanes.Restore(t.Context(), l.account().pace(b.Lane), b, false)
		require.NoError(t, err)
	}
}

// A rebound comes after the call that succeeded, also when the first one was told to
// wait for longer than the rebound.
func TestRebound_AfterA429(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	var first atomic.Bool
	api := newAPI(t, emulator.Config{}, func(call) *reply {
		if !first.Swap(true) {
			return &reply{status: http.StatusTooManyRequests, header: map[string]string{"Retry-After": "1"}}
		}
		return nil
	})
	l := newLab(t, testConfig(api.URL), rdb).start()
	const rebound = 300 * time.Millisecond
	l.request(tasks.Purge{Tags: []string{"x"}, Rebound: rebound})
	eventually(t, func() bool { return len(api.all()) >= 3 && l.idle() }, "the purge, and once more")
	calls := api.with("x")
	require.Len(t, calls, 3)
	assert.Equal(t, []int{429, 200, 200}, []int{calls[0].Status, calls[1].Status, calls[2].Status})
	assert.GreaterOrEqual(t, calls[2].Start.Sub(calls[1].Start), rebound-20*time.Millisecond)
}

// asynq keeps whole seconds, rounded down: what Vercel asks for is waited for all the same.
func TestRetryAfter_IsAFloorOfEveryAttempt(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		const asked = 9 * time.Second
		api := answering(t, &reply{status: http.StatusServiceUnavailable, header: map[string]string{"Retry-After": "9"}})
		config := testConfig(api.URL)
		config.Accounts[0].Retry.Cap = asked // more is not respected
		l := newLab(t, config, rdb)
		l.absorb("x")
		b := l.claimNow("b")
		at := time.Now()
		l.carryOut(b, l.pacers["default"].call(t.Context(), b))
		stored := l.retries()
		require.Len(t, stored, 1)
		assert.WithinRange(t, stored[0].NextProcessAt, at.Add(asked), at.Add(asked+3*time.Second), "of the first")

		var retry *retryError
		at = time.Now()
		require.ErrorAs(t, l.attempt(callNamed("c", "y")), &retry)
		next := time.Unix(time.Now().Add(retryDelay(1, retry, nil)).Unix(), 0)
		assert.WithinRange(t, next, at.Add(asked), at.Add(asked+3*time.Second), "of a later one")
	})
}
