package worker

import (
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

// nowhere is where calls must not be made.
const nowhere = "http://127.0.0.1:1"

func requestTask(t *testing.T, p tasks.Purge) *asynq.Task {
	t.Helper()
	p = filled(p)
	payload, err := p.Encode()
	require.NoError(t, err)
	return asynq.NewTask(tasks.TypeRequest, payload)
}

func TestIntake_AbsorbsTagsAndImages(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		l := newLab(t, testConfig(nowhere), rdb)
		p := tasks.Purge{Tags: []string{"a", "b"}, SrcImages: []string{"/x.png"}, Target: tasks.Production, Priority: tasks.Bulk}
		require.NoError(t, l.intake.ProcessTask(t.Context(), requestTask(t, p)))
		tags := tagLane("prj").With(tasks.Bulk)
		tags.Target = tasks.Production
		images := tagLane("prj").With(tasks.Bulk)
		images.Kind = tasks.SrcImage
		assert.Equal(t, []string{"a", "b"}, l.pending(tags))
		assert.Equal(t, []string{"/x.png"}, l.pending(images))

		p.Tags, p.SrcImages = []string{"b", "c"}, nil
		require.NoError(t, l.intake.ProcessTask(t.Context(), requestTask(t, p)))
		assert.ElementsMatch(t, []string{"a", "b", "c"}, l.pending(tags))
		assert.InDelta(t, 2, l.metric("edgepurge_requests_total", "outcome", "absorbed"), 0)
		assert.InDelta(t, 4, l.metric("edgepurge_items_total", "project", "*", "outcome", "accepted"), 0)
		assert.InDelta(t, 1, l.metric("edgepurge_items_total", "project", "*", "outcome", "duplicate"), 0)
	})
}

func TestIntake_LateItemsWait(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	l := newLab(t, testConfig(nowhere), rdb)
	before := time.Now()
	require.NoError(t, l.intake.ProcessTask(t.Context(), requestTask(t, tasks.Purge{Tags: []string{"settle"}, Settle: time.Hour})))
	require.NoError(t, l.intake.ProcessTask(t.Context(), requestTask(t, tasks.Purge{Tags: []string{"embargo"}, NotBefore: before.Add(2 * time.Hour)})))
	due := func(item string) time.Time {
		ms, err := rdb.ZScore(t.Context(), "edgepurge:{default}:pending:"+tagLane("prj").ID(), item).Result()
		require.NoError(t, err)
		return time.UnixMilli(int64(ms))
	}
	assert.WithinDuration(t, before.Add(time.Hour), due("settle"), 10*time.Second)
	assert.False(t, due("embargo").Before(before.Add(2*time.Hour)))
}

// What no retry can mend: each case is a payload and what a person reads.
var hopeless = []struct {
	name, payload, message string
	reason                 Reason
}{
	{"not JSON", `purge it`, "payload is not a JSON object of edgepurge", Invalid},
	{"somebody else's", `{"user":7}`, "v: is missing: this payload was not written by edgepurge", Invalid},
	{"a newer version", `{"v":2,"id":"x"}`, "unknown wire version 2: this edgepurge reads versions up to 1, upgrade the worker", Invalid},
	{"an unknown field", `{"v":1,"id":"x","project":"prj","operation":"delete","tags":["a"],"colour":"red"}`, `unknown field "colour"`, Invalid},
	{"an item that no call can carry", `{"v":1,"id":"x","project":"prj","operation":"delete","tags":["a,b"]}`, "tags[0]: holds a comma", Invalid},
	{"no account", `{"v":1,"id":"x","project":"stray","operation":"delete","tags":["a"]}`, `project "stray" belongs to no account: add it under projects`, NoAccount},
}

func onlyProject(url, project string) Config {
	c := testConfig(url)
	c.Projects[0].Project = project
	return c
}

func TestIntake_HopelessRequestsBecomeDeadLetters(t *testing.T) {
	for _, c := range hopeless {
		t.Run(c.name, func(t *testing.T) {
			rdb, _ := redistest.Mini(t)
			l := newLab(t, onlyProject(nowhere, "prj"), rdb)
			err := l.intake.ProcessTask(t.Context(), asynq.NewTask(tasks.TypeRequest, []byte(c.payload)))
			require.ErrorIs(t, err, asynq.SkipRetry)
			assert.ErrorContains(t, err, string(c.reason)+": ")
			assert.ErrorContains(t, err, c.message)
			assert.InDelta(t, 1, l.metric("edgepurge_buried_total", "reason", string(c.reason)), 0)
			assert.InDelta(t, 1, l.metric("edgepurge_requests_total", "outcome", "dead"), 0)
		})
	}
}

// fillArchive puts a dead letter into the archive and lets one be all it holds.
func (l *lab) fillArchive() {
	l.t.Helper()
	client, inspector := asynq.NewClientFromRedisClient(l.rdb), asynq.NewInspectorFromRedisClient(l.rdb)
	_, err := client.Enqueue(asynq.NewTask(tasks.TypeCall, nil), asynq.Queue(tasks.QueueCalls), asynq.TaskID("letter"))
	require.NoError(l.t, err)
	require.NoError(l.t, inspector.ArchiveTask(tasks.QueueCalls, "letter"))
	l.intake.archive.max = 1
}

func TestIntake_ArchiveFullWaits(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	l := newLab(t, testConfig(nowhere), rdb)
	l.fillArchive()
	err := l.intake.ProcessTask(t.Context(), asynq.NewTask(tasks.TypeRequest, []byte(`{"v":2}`)))
	var later *laterError
	require.ErrorAs(t, err, &later)
	assert.Equal(t, archiveFullDelay, later.after)
	assert.NotErrorIs(t, err, asynq.SkipRetry)
	assert.ErrorContains(t, err, "the archive is full")
	assert.Zero(t, l.metric("edgepurge_buried_total"))
	assert.InDelta(t, 1, l.metric("edgepurge_requests_total", "outcome", "retried"), 0)

	// Good requests go on.
	require.NoError(t, l.intake.ProcessTask(t.Context(), requestTask(t, tasks.Purge{Tags: []string{"a"}})))
}

func TestIntake_RedisRefusing(t *testing.T) {
	for _, c := range []struct{ name, payload string }{
		{"a good request", `{"v":1,"id":"x","project":"prj","operation":"delete","tags":["a"]}`},
		{"a hopeless one", `{"v":2}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			rdb, mini := redistest.Mini(t)
			l := newLab(t, testConfig(nowhere), rdb)
			mini.SetError("OOM command not allowed when used memory > 'maxmemory'.")
			err := l.intake.ProcessTask(t.Context(), asynq.NewTask(tasks.TypeRequest, []byte(c.payload)))
			require.Error(t, err)
			require.NotErrorIs(t, err, asynq.SkipRetry)
			assert.ErrorContains(t, err, "OOM")
			assert.Zero(t, l.metric("edgepurge_buried_total"))

			mini.SetError("")
			if c.payload != `{"v":2}` {
				require.NoError(t, l.intake.ProcessTask(t.Context(), asynq.NewTask(tasks.TypeRequest, []byte(c.payload))))
				assert.Equal(t, []string{"a"}, l.pending(tagLane("prj")))
			}
		})
	}
}

// The whole way: an unreadable task ends in the archive, in words for people,
// and does not hold up the others.
func TestIntake_DeadLetterIsVisible(t *testing.T) {
	t.Parallel()
	rdb, _ := redistest.Mini(t)
	api := newAPI(t, emulator.Config{}, nil)
	l := newLab(t, onlyProject(api.URL, "prj"), rdb).start()
	for _, c := range hopeless {
		enqueueRaw(t, rdb, tasks.TypeRequest, []byte(c.payload))
	}
	enqueueRaw(t, rdb, "mail:send", []byte(`{}`))
	at := l.request(tasks.Purge{Tags: []string{"good"}})
	eventually(t, func() bool { return api.purged("good", at) && len(letters(t, rdb)) == len(hopeless)+1 }, "one call and all letters")
	texts := map[string]string{}
	for _, letter := range letters(t, rdb) {
		texts[string(letter.Payload)] = letter.LastErr
	}
	for _, c := range hopeless {
		assert.Contains(t, texts[c.payload], c.message)
	}
	assert.Contains(t, texts[`{}`], `task type "mail:send" is not edgepurge's`)
	assert.InDelta(t, len(texts), l.metric("edgepurge_buried_total"), 0, "every letter is counted")
}
