package worker

import (
	"fmt"
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

// What another worker of a rolling restart may know is put back before it becomes a
// dead letter; what none can know is not.
func TestUnknown_IsPutBackFirst(t *testing.T) {
	const valid = `"batch":"b","account":"gone","project":"p","operation":"delete","kind":"tag","items":["a"],"priority":"normal","claimed_at":"2026-11-22T05:00:00Z"}`
	for _, c := range []struct {
		name, typename, payload string
		reason                  Reason
		putBack                 bool
	}{
		{"a request without an account", tasks.TypeRequest, `{"v":1,"id":"x","project":"stray","operation":"delete","tags":["a"]}`, NoAccount, true},
		{"a newer request", tasks.TypeRequest, `{"v":2}`, Invalid, true},
		{"a request with a newer field", tasks.TypeRequest, `{"v":1,"id":"x","project":"prj","operation":"delete","tags":["a"],"colour":"red"}`, Invalid, true},
		{"no request", tasks.TypeRequest, `{"v":1,"id":"x","project":"prj","operation":"delete","tags":["a,b"]}`, Invalid, false},
		{"a call without an account", tasks.TypeCall, `{"v":1,` + valid, NoAccount, true},
		{"a newer call", tasks.TypeCall, `{"v":2}`, Invalid, true},
		{"a call with a newer field", tasks.TypeCall, `{"v":1,"colour":"red",` + valid, Invalid, true},
		{"no call", tasks.TypeCall, `call it`, Invalid, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
				l := newLab(t, onlyProject(nowhere, "prj"), rdb)
				l.unknown.patience = unknownPatience
				process := func() error {
					if c.typename == tasks.TypeCall {
						return l.attempts.ProcessTask(t.Context(), asynq.NewTask(c.typename, []byte(c.payload)))
					}
					return l.intake.ProcessTask(t.Context(), asynq.NewTask(c.typename, []byte(c.payload)))
				}
				var later *laterError
				keys := func() []string { return rdb.Keys(t.Context(), "edgepurge:unknown:*").Val() }
				for range 3 {
					if err := process(); c.putBack {
						require.ErrorAs(t, err, &later)
						require.Less(t, later.after, firstUnknownLook+time.Second)
					} else {
						require.ErrorIs(t, err, asynq.SkipRetry)
					}
				}
				if !c.putBack {
					require.Empty(t, keys())
					return
				}
				require.Len(t, keys(), 1)
				long := time.Now().Add(-unknownPatience).UnixMilli()
				require.NoError(t, rdb.Set(t.Context(), keys()[0], long, redis.KeepTTL).Err())
				err := process()
				require.ErrorIs(t, err, asynq.SkipRetry, "all had their chance")
				require.ErrorContains(t, err, string(c.reason)+": ")
				require.Empty(t, keys(), "a replay begins anew")
			})
		})
	}
}

func TestUnknownLook(t *testing.T) {
	for _, c := range []struct {
		age, low, high time.Duration
	}{
		{0, time.Second, 2 * time.Second},
		{10 * time.Second, 5 * time.Second, 10 * time.Second},
		{4 * time.Minute, 5 * time.Second, 10 * time.Second},
	} {
		assert.Equal(t, c.low, unknownLook(c.age, 0))
		assert.InDelta(t, c.high, unknownLook(c.age, 0.999), float64(100*time.Millisecond))
	}
}

// A dead letter that waits to be archived keeps its reason when the account goes.
func TestUnknown_ADeadLetterNeedsNoAccount(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	l := newLab(t, testConfig(nowhere), rdb)
	c := callNamed("b", "x")
	c.Account = "gone"
	c.Verdict = &tasks.Verdict{Reason: string(BadRequest), Status: 400}
	require.NoError(t, l.lanes.NoteVerdict(t.Context(), "gone", "b"))
	require.ErrorContains(t, l.attempt(c), "bad_request: ")
}

// The old worker of a rolling restart meets requests of a project, and retries of an
// account, that only the new one has. None may die.
func TestUnknown_ARollingRestartLosesNothing(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	rdb := server.Client(t)
	api := newAPI(t, emulator.Config{}, nil)
	older := newLab(t, onlyProject(api.URL, "prj"), server.Client(t))
	older.unknown.patience = unknownPatience
	older.start()

	c := onlyProject(api.URL, "prj")
	added, project := c.Accounts[0], c.Projects[0]
	added.Name, project.Project, project.Account = "added", "new", "added"
	c.Accounts, c.Projects = append(c.Accounts, added), append(c.Projects, project)
	client := asynq.NewClientFromRedisClient(rdb)
	for i := range 10 {
		enqueueRequest(t, rdb, tasks.Purge{Project: "new", Tags: []string{fmt.Sprintf("request-%d", i)}})
		retried := callNamed(fmt.Sprintf("batch-%d", i), fmt.Sprintf("retry-%d", i))
		retried.Account, retried.Lane = "added", tagLane("new")
		payload, err := retried.Encode()
		require.NoError(t, err)
		_, err = client.Enqueue(asynq.NewTask(tasks.TypeCall, payload), asynq.Queue(tasks.QueueCalls), asynq.MaxRetry(neverExhausted))
		require.NoError(t, err)
	}
	eventually(t, func() bool { return len(rdb.Keys(t.Context(), "edgepurge:unknown:*").Val()) == 20 }, "the old worker meets all of them")
	require.Empty(t, letters(t, rdb))
	newer := newLab(t, c, server.Client(t))
	newer.unknown.patience = unknownPatience
	newer.start()
	eventually(t, func() bool { return len(api.all()) > 0 }, "the new worker gets some of them, beside the old one")
	older.stop() // the restart has reached it
	eventually(t, func() bool {
		for i := range 10 {
			if !api.purged(fmt.Sprintf("request-%d", i), time.Time{}) || !api.purged(fmt.Sprintf("retry-%d", i), time.Time{}) {
				return false
			}
		}
		return true
	}, "the new worker purges all of them")
	assert.Empty(t, letters(t, rdb))
}
