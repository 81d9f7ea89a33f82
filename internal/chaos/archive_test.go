package chaos

import (
	"syscall"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/deadletter"
	"github.com/edgepurge/edgepurge/tasks"
)

func TestArchivedReasons(t *testing.T) {
	t.Parallel()
	c := usual()
	c.project = "shop"
	s := newSite(t, c)
	w := s.worker(t)
	for _, id := range []string{"newer", "novel", "uncovered"} { // else they would be put back for minutes
		require.NoError(t, s.rdb.Set(t.Context(), "edgepurge:unknown:"+id, 1, time.Minute).Err())
	}
	raw := asynq.NewClientFromRedisClient(s.rdb)
	for id, payload := range map[string]string{
		"undecodable": `{"v":1,"id":`,
		"newer":       `{"v":2,"id":"r-2","project":"shop","operation":"delete","tags":["a"],"priority":"normal"}`,
		"novel":       `{"v":1,"id":"r-3","project":"shop","operation":"delete","tags":["a"],"priority":"normal","colour":"red"}`,
	} {
		_, err := raw.Enqueue(asynq.NewTask(tasks.TypeRequest, []byte(payload)),
			asynq.Queue(tasks.QueueIntake), asynq.TaskID(id), asynq.MaxRetry(10))
		require.NoError(t, err)
	}
	_, err := raw.Enqueue(asynq.NewTask("mail:send", nil), asynq.Queue(tasks.QueueIntake), asynq.TaskID("foreign"), asynq.MaxRetry(10))
	require.NoError(t, err)
	require.NoError(t, s.ask(t.Context(), tasks.Purge{ID: "uncovered", Project: "blog", Operation: tasks.Delete, Tags: []string{"post-1"}}))
	require.NoError(t, s.ask(t.Context(), one("good", "post-2")))
	await(t, 10*time.Second, "letters", func() bool { return len(s.letters(t)) == 5 })
	await(t, 10*time.Second, "what is good is purged all the same", func() bool { return s.purged("post-2") })

	why := map[string]deadletter.Letter{}
	for _, l := range s.letters(t) {
		t.Logf("%s: %s: %s", l.ID, l.Reason, l.Message)
		why[l.ID] = l
	}
	for _, want := range []struct{ id, reason, message string }{
		{"undecodable", "invalid", "JSON"},
		{"newer", "invalid", "version"},
		{"novel", "invalid", "colour"},
		{"foreign", "invalid", "mail:send"},
		{"uncovered", "no_account", `project "blog" belongs to no account`},
	} {
		assert.Equal(t, want.reason, why[want.id].Reason, want.id)
		assert.Contains(t, why[want.id].Message, want.message, want.id)
	}
	assert.Contains(t, why["uncovered"].Message, "edgepurge dead replay", "it says what to do")

	// The operator mends the configuration and replays.
	w.signal(t, syscall.SIGTERM)
	require.Zero(t, w.exit(t, 5*time.Second))
	s.project = "*"
	s.worker(t)
	s.run(t, "dead", "replay", "uncovered")
	await(t, 10*time.Second, "the replay", func() bool { return s.purged("post-1") })
	s.drain(t, 10*time.Second, true)
	s.assertKept(t, s.check(t))
	assert.Len(t, s.letters(t), 4)
}
