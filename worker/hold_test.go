package worker

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
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

// forbiddenText is what a letter and a hold say of it.
const forbiddenText = "forbidden: Not authorized (the token is mistyped, expired or revoked, or its user has no role in the team: create a new token as an owner or member)"

var forbidden = reply{status: http.StatusForbidden, body: `{"error":{"code":"forbidden","message":"Not authorized","invalidToken":true}}`}

// probeNow makes the next probe of a hold due.
func (l *lab) probeNow(scope string) {
	l.t.Helper()
	const key = "edgepurge:{default}:hold"
	text, err := l.rdb.HGet(l.t.Context(), key, scope).Result()
	require.NoError(l.t, err)
	var hold map[string]any
	require.NoError(l.t, json.Unmarshal([]byte(text), &hold))
	hold["next"] = 1
	changed, err := json.Marshal(hold)
	require.NoError(l.t, err)
	require.NoError(l.t, l.rdb.HSet(l.t.Context(), key, scope, changed).Err())
}

func TestScopeOf(t *testing.T) {
	for v := Done; v <= HoldProject; v++ {
		want := ""
		switch v {
		case HoldAccount:
			want = "account"
		case HoldProject:
			want = "project:prj"
		case Done, Wait, TryAgain, Split, Dead:
		}
		assert.Equal(t, want, scopeOf(v, "prj"), v)
	}
}

func TestHold_OneLetterThenTheItemsWait(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		api := answering(t, &forbidden)
		l := newLab(t, testConfig(api.URL), rdb)
		err := l.attempt(callNamed("b", "x"))
		require.ErrorIs(t, err, asynq.SkipRetry)
		require.EqualError(t, err, "forbidden: the call cannot succeed: Vercel answered 403 "+forbiddenText)
		require.Len(t, l.holds(), 1)
		hold := l.holds()[0]
		assert.Equal(t, lanes.ScopeAccount, hold.Scope)
		assert.Equal(t, "forbidden", hold.Reason)
		assert.Equal(t, "forbidden: Vercel answered 403 "+forbiddenText, hold.Detail)
		assert.WithinDuration(t, time.Now().Add(time.Minute), hold.Next, 10*time.Second)
		assert.Contains(t, l.logs.String(), "held: nothing of it is called until a probe succeeds or it is released")

		require.NoError(t, l.attempt(callNamed("c", "y")))
		assert.Equal(t, []string{"y"}, l.pending(tagLane("prj")))
		assert.Len(t, api.all(), 1)
		assert.InDelta(t, 1, l.metric("edgepurge_buried_total"), 0)
		assert.InDelta(t, 1, l.metric("edgepurge_returned_batches_total", "reason", "held"), 0)
	})
}

func TestHold_OfAProjectLeavesTheOthersAlone(t *testing.T) {
	for status, reason := range map[int]Reason{402: PaymentDue, 404: ProjectMissing, 410: ProjectGone} {
		rdb, _ := redistest.Mini(t)
		api := newAPI(t, emulator.Config{}, func(c call) *reply {
			if c.Project == "prj" {
				return &reply{status: status}
			}
			return nil
		})
		l := newLab(t, testConfig(api.URL), rdb)
		require.ErrorIs(t, l.attempt(callNamed("b", "x")), asynq.SkipRetry)
		require.Len(t, l.holds(), 1)
		assert.Equal(t, lanes.ScopeProject("prj"), l.holds()[0].Scope)
		assert.Equal(t, string(reason), l.holds()[0].Reason)
		other := callNamed("c", "y")
		other.Lane = tagLane("other")
		require.NoError(t, l.attempt(other))
		assert.Len(t, api.all(), 2)
		assert.Equal(t, http.StatusOK, api.all()[1].Status)
	}
}

// claimed absorbs items and claims each in a batch of its own.
func (l *lab) claimed(items ...string) []lanes.Batch {
	l.t.Helper()
	pace := l.accounts["default"].pace(tagLane("prj"))
	pace.Linger = 0
	var batches []lanes.Batch
	for _, item := range items {
		_, err := l.lanes.Absorb(l.t.Context(), pace, lanes.Absorption{Request: "r-" + item, Lane: tagLane("prj"), Items: []string{item}})
		require.NoError(l.t, err)
		got, err := l.lanes.Claim(l.t.Context(), pace, tagLane("prj"), "batch-"+item)
		require.NoError(l.t, err)
		require.NotNil(l.t, got.Batch, got.Refused)
		batches = append(batches, *got.Batch)
	}
	return batches
}

func (l *lab) carryOut(b lanes.Batch, j Judgment) {
	l.t.Helper()
	require.NoError(l.t, l.attempts.carryOut(l.t.Context(), l.accounts["default"], b, j))
}

var dismissed = Judgment{
	Verdict: HoldAccount, Reason: Unauthorized,
	Letter: tasks.Verdict{Reason: string(Unauthorized), Status: 401, Message: "Missing token"},
}

func TestHold_CallsUnderWayAreHandedBack(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		l := newLab(t, testConfig(nowhere), rdb)
		for _, b := range l.claimed("x", "y", "z") {
			l.carryOut(b, dismissed)
		}
		found, err := asynq.NewInspectorFromRedisClient(rdb).ListPendingTasks(tasks.QueueCalls)
		require.NoError(t, err)
		require.Len(t, found, 1, "one expired token costs one dead letter")
		assert.Equal(t, "batch-x", found[0].ID)
		assert.ElementsMatch(t, []string{"y", "z"}, l.pending(tagLane("prj")))
		assert.Empty(t, l.status().InFlight)
		assert.InDelta(t, 1, l.metric("edgepurge_buried_total", "reason", "unauthorized"), 0)

		// And the task that was stored ends as a letter without a call.
		err = l.attempts.ProcessTask(t.Context(), asynq.NewTask(found[0].Type, found[0].Payload))
		require.ErrorIs(t, err, asynq.SkipRetry)
		require.EqualError(t, err, "unauthorized: the call cannot succeed: Vercel answered 401: Missing token")
	})
}

func TestHold_FailedProbeExtendsIt(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		api := answering(t, &forbidden)
		l := newLab(t, testConfig(api.URL), rdb)
		require.ErrorIs(t, l.attempt(callNamed("b", "x")), asynq.SkipRetry)
		for i, step := range []time.Duration{2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 15 * time.Minute, 15 * time.Minute} {
			l.probeNow(lanes.ScopeAccount)
			item := fmt.Sprintf("probe-%d", i)
			require.NoError(t, l.attempt(callNamed(item, item)))
			assert.Len(t, api.all(), i+2, "the probe is a call")
			assert.WithinDuration(t, time.Now().Add(step), l.holds()[0].Next, 10*time.Second)
			assert.Contains(t, l.pending(tagLane("prj")), item)

			require.NoError(t, l.attempt(callNamed(item+"-next", item)))
			assert.Len(t, api.all(), i+2, "and the only one")
		}
		assert.InDelta(t, 1, l.metric("edgepurge_buried_total"), 0)
	})
}

func TestHold_SuccessfulProbeLiftsIt(t *testing.T) {
	for _, first := range []int{403, 404} {
		rdb, _ := redistest.Mini(t)
		api := answering(t, &reply{status: first})
		l := newLab(t, testConfig(api.URL), rdb)
		require.ErrorIs(t, l.attempt(callNamed("b", "x")), asynq.SkipRetry)
		require.Len(t, l.holds(), 1)
		api.setAnswer(nil)
		l.probeNow(l.holds()[0].Scope)
		require.NoError(t, l.attempt(callNamed("c", "y")))
		assert.Empty(t, l.holds())
		assert.Contains(t, l.logs.String(), "the probe succeeded: the hold is lifted")
		require.NoError(t, l.attempt(callNamed("d", "z")))
		assert.Len(t, api.all(), 3)
	}
}

// A probe that meets a passing fault says nothing of the hold's cause.
func TestHold_ProbeMeetsAServerError(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	api := answering(t, &forbidden)
	l := newLab(t, testConfig(api.URL), rdb)
	require.ErrorIs(t, l.attempt(callNamed("b", "x")), asynq.SkipRetry)
	api.setAnswer(func(call) *reply { return &reply{status: 503} })
	l.probeNow(lanes.ScopeAccount)
	var retry *retryError
	require.ErrorAs(t, l.attempt(callNamed("c", "y")), &retry)
	require.Len(t, l.holds(), 1)
	assert.WithinDuration(t, time.Now().Add(time.Minute), l.holds()[0].Next, 10*time.Second)
}

func TestHold_ArchiveFull(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		l := newLab(t, testConfig(nowhere), rdb)
		l.fillArchive()
		batches := l.claimed("x", "y")
		dead := Judgment{Verdict: Dead, Reason: BadRequest, Letter: tasks.Verdict{Reason: string(BadRequest), Status: 400}}
		l.carryOut(batches[0], dead)
		l.carryOut(batches[1], dismissed)
		assert.ElementsMatch(t, []string{"x", "y"}, l.pending(tagLane("prj")))
		require.Len(t, l.holds(), 1)
		assert.Equal(t, lanes.ScopeAccount, l.holds()[0].Scope)
		assert.Equal(t, "archive_full", l.holds()[0].Reason)
		assert.Len(t, letters(t, rdb), 1, "nothing was added")
		assert.Zero(t, queued(t, rdb))
		assert.Zero(t, l.metric("edgepurge_buried_total"))
		assert.InDelta(t, 1, l.metric("edgepurge_returned_batches_total", "reason", "archive_full"), 0)
		assert.InDelta(t, 1, l.metric("edgepurge_returned_batches_total", "reason", string(dismissed.Reason)), 0, "it was held already")
	})
}

// Where there is no room for the letter, the hold still says why the calls failed.
func TestHold_ArchiveFullKeepsTheCause(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	api := answering(t, &forbidden)
	l := newLab(t, testConfig(api.URL), rdb)
	l.fillArchive()
	require.NoError(t, l.attempt(callNamed("b", "x")))
	require.Len(t, l.holds(), 1)
	assert.Equal(t, "forbidden", l.holds()[0].Reason)
	assert.Equal(t, []string{"x"}, l.pending(tagLane("prj")))
	assert.Len(t, letters(t, rdb), 1, "nothing was added")
}

func TestAttempt_ExhaustedWhileTheArchiveIsFull(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	api := answering(t, &reply{status: 503})
	l := newLab(t, testConfig(api.URL), rdb)
	l.fillArchive()
	c := callNamed("b", "x")
	c.Attempt = 19
	require.NoError(t, l.attempt(c))
	assert.Equal(t, []string{"x"}, l.pending(tagLane("prj")))
	require.Len(t, l.holds(), 1)
	assert.Equal(t, "archive_full", l.holds()[0].Reason)
}

// The whole way: many calls at once meet an expired token; after it is mended
// and the hold released everything but the letter's items is purged.
func TestHold_ExpiredTokenCostsOneLetter(t *testing.T) {
	for name, options := range map[string][]string{
		"redis":          nil,
		"without MEMORY": {"--rename-command", "MEMORY", ""}, // as managed ones are
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expiredTokenCostsOneLetter(t, redistest.Start(t, options...).Client(t))
		})
	}
}

func expiredTokenCostsOneLetter(t *testing.T, rdb redis.UniversalClient) {
	t.Helper()
	api := answering(t, &forbidden)
	l := newLab(t, testConfig(api.URL), rdb).start()
	at := l.request(tasks.Purge{Tags: items(200)})
	eventually(t, func() bool {
		_, quiet := l.quiet()
		return quiet && len(letters(t, rdb)) == 1
	}, "one letter")
	assert.LessOrEqual(t, len(api.all()), 4, "those that were in flight")
	require.Len(t, l.holds(), 1)
	dead, err := tasks.DecodeCall(letters(t, rdb)[0].Payload)
	require.NoError(t, err)
	assert.Len(t, l.pending(tagLane("prj")), 200-len(dead.Items))
	assert.True(t, strings.HasPrefix(letters(t, rdb)[0].LastErr, "forbidden: the call cannot succeed: Vercel answered 403"))

	api.setAnswer(nil)
	released, err := l.lanes.Release(t.Context(), "default", lanes.ScopeAccount)
	require.NoError(t, err)
	require.True(t, released)
	eventually(t, l.idle, "everything is purged")
	for _, item := range items(200) {
		if !strings.Contains(string(letters(t, rdb)[0].Payload), `"`+item+`"`) {
			assert.True(t, api.purged(item, at), item)
		}
	}
	assert.Len(t, letters(t, rdb), 1)
	assert.InDelta(t, 1, l.metric("edgepurge_buried_total"), 0)
}

// A 403 that says nothing of the token is the project's: a foreign or moved project
// leaves the others alone.
func TestHold_AForeignProjectLeavesTheOthersAlone(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		foreign := map[string]bool{"prj": true}
		api := newAPI(t, emulator.Config{}, func(c call) *reply {
			if foreign[c.Project] {
				return &reply{status: 403, body: `{"error":{"code":"forbidden","message":"Not authorized"}}`}
			}
			return nil
		})
		l := newLab(t, testConfig(api.URL), rdb)
		of := func(project, batch string) tasks.Call {
			c := callNamed(batch, batch)
			c.Lane = tagLane(project)
			return c
		}
		require.ErrorIs(t, l.attempt(of("prj", "a")), asynq.SkipRetry)
		require.Len(t, l.holds(), 1)
		assert.Equal(t, lanes.ScopeProject("prj"), l.holds()[0].Scope)
		require.NoError(t, l.attempt(of("good", "b")))
		assert.Len(t, api.all(), 2)

		foreign["second"], foreign["third"] = true, true
		time.Sleep(2 * time.Millisecond) // the success was before that
		require.ErrorIs(t, l.attempt(of("second", "c")), asynq.SkipRetry)
		assert.Len(t, l.holds(), 2, "the token worked since the first refusal")
		require.ErrorIs(t, l.attempt(of("third", "d")), asynq.SkipRetry)
		assert.Len(t, l.holds(), 4, "now the account, too")
		require.NoError(t, l.attempt(of("good", "e")))
		assert.Equal(t, []string{"e"}, l.pending(tagLane("good")))
		assert.Contains(t, l.logs.String(), `"scope":"account"`)
	})
}

// A 400 shows that token and project were taken: only the items were refused.
func TestHold_AProbeAnswered400LiftsIt(t *testing.T) {
	for _, n := range []int{1, 2} {
		redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
			api := answering(t, &forbidden)
			l := newLab(t, testConfig(api.URL), rdb)
			require.ErrorIs(t, l.attempt(callNamed("b", "x")), asynq.SkipRetry)
			require.Len(t, l.holds(), 1)
			api.setAnswer(func(call) *reply { return &reply{status: 400} })
			l.probeNow(lanes.ScopeAccount)
			err := l.attempt(callNamed("c", items(n)...))
			if n == 1 {
				require.ErrorIs(t, err, asynq.SkipRetry, "its item is bad all the same")
			} else {
				require.NoError(t, err)
			}
			assert.Empty(t, l.holds())
		})
	}
}
