package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/enqueue"
	"github.com/edgepurge/edgepurge/internal/deadletter"
	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
)

// letters puts n dead letters into Redis, by hand.
func letters(t *testing.T, rdb redis.UniversalClient, n int) *letterBox {
	t.Helper()
	requests, err := enqueue.New(enqueue.Config{Client: rdb})
	require.NoError(t, err)
	inspector := asynq.NewInspectorFromRedisClient(rdb)
	client := asynq.NewClientFromRedisClient(rdb)
	for i := range n {
		call := tasks.Call{
			Batch: fmt.Sprintf("01L%02d", i), Account: "acme", Items: []string{fmt.Sprintf("tag-%d", i)}, DeadlineSeconds: tasks.NoDeadline,
			Lane: tasks.Lane{
				Project: "prj_abc", Kind: tasks.Tag, Operation: tasks.Delete, DeadlineSeconds: tasks.NoDeadline, Priority: tasks.Normal,
			},
			Verdict: &tasks.Verdict{Reason: "refused", Message: "no\x1b[2J"},
		}
		payload, err := call.Encode()
		require.NoError(t, err)
		_, err = client.Enqueue(asynq.NewTask(tasks.TypeCall, payload), asynq.Queue(tasks.QueueCalls), asynq.TaskID(call.Batch))
		require.NoError(t, err)
		require.NoError(t, inspector.ArchiveTask(tasks.QueueCalls, call.Batch))
	}
	return &letterBox{deadletter.New(rdb, requests), rdb}
}

// A list that is not complete says so, and that there are none only if it is.
func TestListDead_Unread(t *testing.T) {
	t.Parallel()
	rdb, _ := redistest.Mini(t)
	list, unread, err := letters(t, rdb, 1).Look(t.Context(), deadletter.Filter{}, lookWithin)
	require.NoError(t, err)
	assert.Zero(t, unread)
	for name, c := range map[string]struct {
		letters []deadletter.Summary
		unread  int
		note    bool
		out     string
	}{
		"all":      {list, 0, false, "01L00"},
		"some":     {list, 7, true, "01L00"},
		"none yet": {nil, 7, true, ""},
		"none":     {nil, 0, false, "no dead letters"},
	} {
		var stdout, stderr bytes.Buffer
		(&app{stdout: &stdout, stderr: &stderr}).listDead(c.letters, c.unread)
		assert.Equal(t, c.note, strings.Contains(stderr.String(), "7 older dead letters have not been read yet"), name)
		assert.Contains(t, stdout.String(), c.out, name)
		assert.Equal(t, c.out == "", stdout.Len() == 0, name)
	}
}

// Whenever Ctrl-C comes, each letter is either replayed or still there.
func TestDeadChange_Interrupted(t *testing.T) {
	t.Parallel()
	rdb, _ := redistest.Mini(t)
	box := letters(t, rdb, 10)
	list, err := box.List(t.Context(), deadletter.Filter{})
	require.NoError(t, err)
	require.Len(t, list, 10)

	ctx, cancel := context.WithCancel(t.Context())
	var stdout, stderr bytes.Buffer
	done := 0
	d := &deadChange{app: &app{stdout: &stdout, stderr: &stderr}, verb: "replay", past: "replayed"}
	d.change = func(ctx context.Context, box *letterBox, k deadletter.Key, did *changed) error {
		if done++; done == 4 {
			cancel()
		}
		return replayLetter(ctx, box, k, did)
	}
	err = d.carryOut(ctx, box, list)
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, "replayed 3 letters with 3 items\n", stdout.String())
	assert.Equal(t, "7 letters not replayed and still there\n", stderr.String())

	list, err = box.List(t.Context(), deadletter.Filter{})
	require.NoError(t, err)
	assert.Len(t, list, 7)
	info, err := asynq.NewInspectorFromRedisClient(rdb).GetQueueInfo(tasks.QueueIntake)
	require.NoError(t, err)
	assert.Equal(t, 3, info.Pending)
}

// One letter that fails does not keep the others; many end the command.
func TestDeadChange_Faults(t *testing.T) {
	t.Parallel()
	rdb, _ := redistest.Mini(t)
	box := letters(t, rdb, 15)
	list, err := box.List(t.Context(), deadletter.Filter{})
	require.NoError(t, err)
	var stdout, stderr bytes.Buffer
	d := &deadChange{app: &app{stdout: &stdout, stderr: &stderr}, verb: "delete", past: "deleted", json: true}
	tries := 0
	d.change = func(context.Context, *letterBox, deadletter.Key, *changed) error {
		switch tries++; tries {
		case 1:
			return fmt.Errorf("wrapped: %w", deadletter.ErrNotFound)
		case 2:
			return nil
		}
		return errors.New("Redis said no")
	}
	err = d.carryOut(t.Context(), box, list)
	require.ErrorContains(t, err, "Redis said no")
	assert.Equal(t, 2+maxChangeFaults, tries)
	assert.JSONEq(t, `{"letters":1,"items":1,"gone":1}`, stdout.String())
	assert.Equal(t, "13 letters not deleted and still there\n", stderr.String())
}

// The commands work on an embedded Redis too, as `edgepurge dev` has one.
func TestDead_Miniredis(t *testing.T) {
	t.Parallel()
	rdb, mini := redistest.Mini(t)
	letters(t, rdb, 3)
	env := map[string]string{"EDGEPURGE_REDIS_URL": "redis://" + mini.Addr()}

	got := command(t, env, "dead", "list")
	assert.Equal(t, exitDone, got.code, got.stderr)
	assert.Contains(t, got.stdout, "01L02  calls")
	assert.NotContains(t, got.stdout, "\x1b", "Vercel's words must not steer the terminal")

	got = command(t, env, "status", "--json")
	assert.Equal(t, exitDone, got.code, got.stderr)
	var s status
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &s))
	assert.Equal(t, map[string]int{"refused": 3}, s.DeadLetters)

	got = command(t, env, "dead", "delete", "01L00", "--id", "01L01", "--yes", "--json")
	assert.Equal(t, exitDone, got.code, got.stderr)
	assert.JSONEq(t, `{"letters":2,"items":2}`, got.stdout)

	got = command(t, env, "dead", "show", "01L02")
	assert.Equal(t, exitDone, got.code, got.stderr)
	assert.Contains(t, got.stdout, "message    refused: no�[2J\n")

	got = command(t, env, "dead", "delete", "01L02", "--reason", "other", "--yes")
	assert.Equal(t, exitFailed, got.code, "the id is there, but not with that reason")
	assert.Contains(t, got.stderr, "01L02")
	assert.True(t, strings.HasPrefix(got.stderr, "edgepurge: no dead letter"), got.stderr)
}
