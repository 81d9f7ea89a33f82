package worker

import (
	"net/http"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
)

func callNamed(id string, items ...string) tasks.Call {
	return tasks.Call{
		Batch: id, Account: "default", Lane: tagLane("prj"), Items: items,
		DeadlineSeconds: tasks.NoDeadline, ClaimedAt: time.Now(), Attempt: 1,
	}
}

func (l *lab) attempt(call tasks.Call) error {
	l.t.Helper()
	payload, err := call.Encode()
	require.NoError(l.t, err)
	return l.attempts.ProcessTask(l.t.Context(), asynq.NewTask(tasks.TypeCall, payload))
}

// answering is an API that answers every call alike; nil leaves it to the emulator.
func answering(t *testing.T, r *reply) *api {
	t.Helper()
	return newAPI(t, emulator.Config{}, func(call) *reply { return r })
}

func TestAttempt_Succeeds(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		api := answering(t, nil)
		l := newLab(t, testConfig(api.URL), rdb)
		require.NoError(t, l.attempt(callNamed("b", "x", "y")))
		require.Len(t, api.all(), 1)
		assert.Equal(t, []string{"x", "y"}, api.all()[0].Items)
		assert.Empty(t, l.status().InFlight)
		assert.Empty(t, l.pending(tagLane("prj")))
		assert.InDelta(t, 1, l.metric("edgepurge_calls_total", "verdict", "done", "status", "200"), 0)
	})
}

func TestAttempt_VerdictNotedIsArchivedOnce(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		api := answering(t, nil)
		l := newLab(t, testConfig(api.URL), rdb)
		c := callNamed("b", "x")
		c.Verdict = &tasks.Verdict{Reason: "forbidden", Status: 403, Code: "forbidden", Message: "Not authorized"}
		require.NoError(t, l.lanes.NoteVerdict(t.Context(), "default", "b"))
		err := l.attempt(c)
		require.ErrorIs(t, err, asynq.SkipRetry)
		require.EqualError(t, err, "forbidden: the call cannot succeed: Vercel answered 403 forbidden: Not authorized")
		assert.Empty(t, api.all(), "no call is made to bury a letter")

		// A replay from the web UI finds no note.
		require.NoError(t, l.attempt(c))
		assert.Len(t, api.all(), 1)
	})
}

func TestAttempt_ReplayStartsAnew(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	api := answering(t, &reply{status: http.StatusServiceUnavailable})
	l := newLab(t, testConfig(api.URL), rdb)
	c := callNamed("b", "x")
	c.Attempt = l.accounts["default"].Retry.MaxAttempts
	c.Verdict = &tasks.Verdict{Reason: "server_error", Status: 503}
	var retry *retryError
	require.ErrorAs(t, l.attempt(c), &retry, "all its attempts are before it again")
}

func TestAttempt_SupersededMakesNoCall(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		api := answering(t, nil)
		l := newLab(t, testConfig(api.URL), rdb)
		c := callNamed("b", "x")
		restored, err := l.lanes.Restore(t.Context(), l.accounts["default"].pace(c.Lane), batchOf(c), false)
		require.NoError(t, err)
		require.True(t, restored)
		require.NoError(t, l.attempt(c))
		assert.Empty(t, api.all())
		assert.Equal(t, []string{"x"}, l.pending(tagLane("prj")))
	})
}

// spend uses up a call of the budget for its whole window.
func (l *lab) spend() {
	l.t.Helper()
	a := l.accounts["default"]
	got, err := l.lanes.Acquire(l.t.Context(), a.pace(tagLane("prj")), batchOf(callNamed("spent", "z")), 1, false)
	require.NoError(l.t, err)
	require.NotNil(l.t, got.Batch)
	_, err = l.lanes.Finish(l.t.Context(), "default", *got.Batch, 1, true)
	require.NoError(l.t, err)
}

func oneCallAMinute(url string) Config {
	c := testConfig(url)
	c.Accounts[0].Budget = Budget{Calls: 1, Per: time.Minute, InFlight: 4}
	return c
}

func TestAttempt_RefusedGoesBackToItsLane(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		api := answering(t, nil)
		l := newLab(t, oneCallAMinute(api.URL), rdb)
		l.spend()
		require.NoError(t, l.attempt(callNamed("b", "x", "y")), "the task is over: its items wait in the lane")
		assert.Empty(t, api.all())
		assert.ElementsMatch(t, []string{"x", "y"}, l.pending(tagLane("prj")))
		assert.InDelta(t, 1, l.metric("edgepurge_returned_batches_total", "reason", "budget"), 0)

		require.NoError(t, l.attempt(callNamed("b", "x", "y")), "asynq may run it again")
		assert.Empty(t, api.all())
	})
}

func TestAttempt_RefusedHalfWaitsByItself(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		api := answering(t, nil)
		l := newLab(t, oneCallAMinute(api.URL), rdb)
		l.spend()
		var later *laterError
		require.ErrorAs(t, l.attempt(callNamed("b.0", "x")), &later)
		assert.InDelta(t, time.Minute, later.after, float64(10*time.Second))
		assert.Equal(t, "budget", later.why)
		assert.Empty(t, l.pending(tagLane("prj")), "in the lane it would meet its poisonous twin again")
		booked, err := rdb.ZRange(t.Context(), "edgepurge:{default}:budget:booked", 0, -1).Result()
		require.NoError(t, err)
		assert.Equal(t, []string{"b.0"}, booked)
		assert.Empty(t, api.all())
	})
}

func TestAttempt_TryAgain(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer reply
		least  time.Duration
	}{
		{"503", reply{status: 503}, 0},
		{"Retry-After is a floor", reply{status: 503, header: map[string]string{"Retry-After": "9"}}, 9 * time.Second},
		{"408", reply{status: 408}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			rdb, _ := redistest.Mini(t)
			api := answering(t, &c.answer)
			config := testConfig(api.URL)
			config.Accounts[0].Retry.Cap = max(config.Accounts[0].Retry.Cap, c.least) // past it none is respected
			l := newLab(t, config, rdb)
			err := l.attempt(callNamed("b", "x"))
			var retry *retryError
			require.ErrorAs(t, err, &retry)
			assert.GreaterOrEqual(t, retry.after, c.least)
			assert.LessOrEqual(t, retry.after, inAsynq(c.least, c.least)+50*time.Millisecond)
			assert.Empty(t, l.status().InFlight, "the lease is over")
			assert.Empty(t, l.pending(tagLane("prj")))
			assert.ErrorContains(t, err, "Vercel answered")
		})
	}
}

func TestAttempt_ExhaustedIsADeadLetter(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	api := answering(t, &reply{status: 503, body: `{"error":{"code":"internal_server_error","message":"Down"}}`})
	l := newLab(t, testConfig(api.URL), rdb)
	c := callNamed("b", "x")
	c.Attempt = 18
	var retry *retryError
	require.ErrorAs(t, l.attempt(c), &retry, "attempt 19 of 20")
	c.Batch, c.Attempt = "c", 19
	err := l.attempt(c)
	require.ErrorIs(t, err, asynq.SkipRetry)
	require.EqualError(t, err, "server_error: every attempt failed: Vercel answered 503 internal_server_error: Down")
	assert.InDelta(t, 1, l.metric("edgepurge_buried_total", "reason", "server_error"), 0)
	assert.Empty(t, l.holds())
	assert.Empty(t, l.status().InFlight)
	assert.Contains(t, l.logs.String(), `"reason":"server_error","answer":"Down"`, "Vercel's words")
	assert.Contains(t, l.logs.String(), `"message":"call"`)
}

func TestAttempt_RateLimited(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		api := answering(t, &reply{status: 429, header: map[string]string{"Retry-After": "60", "X-RateLimit-Limit": "3"}})
		l := newLab(t, testConfig(api.URL), rdb)
		require.NoError(t, l.attempt(callNamed("b", "x", "y")), "no attempt is spent: the task is over")
		assert.ElementsMatch(t, []string{"x", "y"}, l.pending(tagLane("prj")))
		s := l.status()
		assert.WithinDuration(t, time.Now().Add(time.Minute), s.PausedUntil, 10*time.Second)
		assert.Equal(t, 3, s.Learned)
		assert.Empty(t, s.InFlight)
		assert.Empty(t, letters(t, rdb))

		require.NoError(t, l.attempt(callNamed("c", "z")))
		assert.Len(t, api.all(), 1, "the account pauses")
		assert.InDelta(t, 1, l.metric("edgepurge_returned_batches_total", "reason", "paused"), 0)
	})
}

func TestAttempt_RateLimitedHalfWaitsByItself(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	api := answering(t, &reply{status: 429, header: map[string]string{"Retry-After": "60"}})
	l := newLab(t, testConfig(api.URL), rdb)
	var later *laterError
	require.ErrorAs(t, l.attempt(callNamed("b.1", "x")), &later)
	assert.GreaterOrEqual(t, later.after, time.Minute)
	assert.Empty(t, l.pending(tagLane("prj")))
	assert.False(t, l.status().PausedUntil.IsZero())
	assert.Empty(t, l.status().InFlight)
}

func TestAttempt_SplitStoresBothHalves(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	api := answering(t, &reply{status: 400, body: "{\"error\":{\"code\":\"bad_request\",\"message\":\"Invalid request: `tags` should NOT have more than 2 items.\"}}"})
	l := newLab(t, testConfig(api.URL), rdb)
	c := callNamed("b", "x", "y", "z")
	c.DeadlineSeconds = 77 // staggered
	for range 2 {          // a crash before the end of the first run repeats it
		require.NoError(t, l.attempt(c))
	}
	found, err := asynq.NewInspectorFromRedisClient(rdb).ListPendingTasks(tasks.QueueCalls)
	require.NoError(t, err)
	require.Len(t, found, 2)
	halves := map[string]tasks.Call{}
	for _, task := range found {
		half, err := tasks.DecodeCall(task.Payload)
		require.NoError(t, err)
		assert.Equal(t, half.Batch, task.ID)
		assert.Equal(t, 77, half.DeadlineSeconds)
		assert.Equal(t, 1, half.Attempt, "what failed before counts on")
		halves[half.Batch] = half
	}
	assert.Equal(t, []string{"x"}, halves["b.0"].Items)
	assert.Equal(t, []string{"y", "z"}, halves["b.1"].Items)
	assert.Empty(t, l.status().InFlight)
	learned, err := rdb.HGet(t.Context(), "edgepurge:{default}:budget:state", "max:tag").Result()
	require.NoError(t, err)
	assert.Regexp(t, `^2:\d{13}$`, learned)
}

func TestAttempt_HopelessCallsBecomeDeadLetters(t *testing.T) {
	for _, c := range []struct {
		name, payload, message string
		reason                 Reason
	}{
		{"not JSON", `call it`, "payload is not a JSON object of edgepurge", Invalid},
		{"a newer version", `{"v":2}`, "unknown wire version 2", Invalid},
		{
			"an account that is gone", `{"v":1,"batch":"b","account":"gone","project":"p","operation":"delete","kind":"tag","items":["a"],"priority":"normal","claimed_at":"2026-11-22T05:00:00Z"}`,
			`account "gone" is not in the configuration: add it, then run`, NoAccount,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			rdb, _ := redistest.Mini(t)
			l := newLab(t, testConfig(nowhere), rdb)
			process := func() error {
				return l.attempts.ProcessTask(t.Context(), asynq.NewTask(tasks.TypeCall, []byte(c.payload)))
			}
			err := process()
			require.ErrorIs(t, err, asynq.SkipRetry)
			assert.ErrorContains(t, err, string(c.reason)+": ")
			assert.ErrorContains(t, err, c.message)
			assert.InDelta(t, 1, l.metric("edgepurge_buried_total", "reason", string(c.reason)), 0)

			l.fillArchive()
			var later *laterError
			require.ErrorAs(t, process(), &later)
			assert.ErrorContains(t, later, "the archive is full")
			assert.InDelta(t, 1, l.metric("edgepurge_buried_total"), 0)
		})
	}
}

func TestAttempt_RedisRefusingCostsNoAttempt(t *testing.T) {
	rdb, mini := redistest.Mini(t)
	api := answering(t, nil)
	l := newLab(t, testConfig(api.URL), rdb)
	mini.SetError("READONLY You can't write against a read only replica.")
	err := l.attempt(callNamed("b", "x"))
	var later *laterError
	require.ErrorAs(t, err, &later)
	assert.ErrorContains(t, err, "READONLY")
	assert.False(t, isFailure(err))
	assert.GreaterOrEqual(t, later.after, time.Second)
	assert.LessOrEqual(t, later.after, 5*time.Second)
	assert.Empty(t, api.all())
	mini.SetError("")
	require.NoError(t, l.attempt(callNamed("b", "x")))
	assert.Len(t, api.all(), 1)
}

// What Redis did not take after a call is repeated once the lease is over, from
// the lane and so paid from the budget; sooner, asynq would make the same attempt
// again, which is leased and booked already.
func TestAttempt_AnswerNotWrittenDownWaitsForTheLease(t *testing.T) {
	rdb, mini := redistest.Mini(t)
	api := newAPI(t, emulator.Config{}, func(call) *reply {
		mini.SetError("OOM command not allowed")
		return nil
	})
	l := newLab(t, testConfig(api.URL), rdb)
	err := l.attempt(callNamed("b", "x"))
	var later *laterError
	require.ErrorAs(t, err, &later)
	assert.ErrorContains(t, err, "OOM")
	assert.GreaterOrEqual(t, later.after, l.accounts["default"].pace(tagLane("prj")).Lease)
	mini.SetError("")
	require.Len(t, l.status().InFlight, 1, "its lease is what keeps the batch")
	assert.Len(t, api.all(), 1)
}
