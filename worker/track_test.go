package worker

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/receipt"
	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// open opens a receipt as package enqueue does.
func open(t *testing.T, rdb redis.UniversalClient, id string, total int) {
	t.Helper()
	require.NoError(t, rdb.HSet(t.Context(), receipt.Key(id), receipt.Project, "prj", receipt.Total, total).Err())
	require.NoError(t, rdb.PExpire(t.Context(), receipt.Key(id), receipt.Kept).Err())
}

// follow asks for a tracked purge in one task.
func (l *lab) follow(id string, p tasks.Purge) {
	l.t.Helper()
	open(l.t, l.rdb, id, len(p.Tags)+len(p.SrcImages))
	p.ID, p.Track = id, true
	l.request(p)
}

type ended struct{ purged, dead int }

func (l *lab) ended(id string) ended {
	l.t.Helper()
	number := func(text string) int {
		n, _ := strconv.Atoi(text)
		return n
	}
	whole := l.rdb.HGetAll(l.t.Context(), receipt.Key(id)).Val()
	counts := l.rdb.HGetAll(l.t.Context(), receipt.CountsKey("default", id)).Val()
	e := ended{number(counts[receipt.Purged]), number(counts[receipt.Dead])}
	for field, n := range whole {
		if receipt.IsDeadField(field) {
			e.dead += number(n)
		}
	}
	return e
}

// ends waits until a receipt says how its items ended, and that it stays so.
func (l *lab) ends(id string, want ended) {
	l.t.Helper()
	assert.Eventually(l.t, func() bool { return l.ended(id) == want }, patience, 10*time.Millisecond, id)
	eventually(l.t, l.idle, "the worker is idle")
	assert.Equal(l.t, want, l.ended(id), id)
	for _, key := range l.rdb.Keys(l.t.Context(), "*carried*").Val() {
		l.t.Errorf("%s is left behind", key)
	}
	for _, key := range l.rdb.Keys(l.t.Context(), "*receipt*").Val() {
		assert.Positive(l.t, l.rdb.PTTL(l.t.Context(), key).Val(), "%s never expires", key)
	}
}

func TestReceipt_Done(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		l := newLab(t, testConfig(newAPI(t, emulator.Config{}, nil).URL), rdb).start()
		l.follow("r1", tasks.Purge{Tags: items(20), SrcImages: []string{"/a.png"}})
		l.follow("r2", tasks.Purge{Tags: items(10), Priority: tasks.Urgent})
		l.ends("r1", ended{purged: 21})
		l.ends("r2", ended{purged: 10})
	})
}

// A tracked call whose answer uses up the limit takes another way than one that does not.
func TestReceipt_DoneUnderABudget(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	c := testConfig(newAPI(t, emulator.Config{}, nil).URL)
	c.Accounts[0].Budget.Calls = 2
	l := newLab(t, c, rdb).start()
	l.follow("r1", tasks.Purge{Tags: items(50)})
	l.ends("r1", ended{purged: 50})
}

// Pending over failed attempts and a 429; a duplicate asked for meanwhile has a call of its own.
func TestReceipt_RetryAndWait(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		answers := []*reply{
			{status: http.StatusServiceUnavailable},
			{status: http.StatusTooManyRequests, header: map[string]string{"Retry-After": "1"}},
			{status: http.StatusServiceUnavailable},
			{status: http.StatusServiceUnavailable},
		}
		release := make(chan struct{})
		a := newAPI(t, emulator.Config{}, nil)
		n := 0
		a.setAnswer(func(call) *reply { // one call at a time, for there is one item
			if n++; n == 3 {
				<-release
			}
			if n <= len(answers) {
				return answers[n-1]
			}
			return nil
		})
		l := newLab(t, testConfig(a.URL), rdb).start()
		l.follow("r1", tasks.Purge{Tags: []string{"a"}})
		eventually(t, func() bool { return len(a.all()) == 3 }, "the third call")
		assert.Zero(t, l.ended("r1"))
		close(release)
		l.ends("r1", ended{purged: 1})
	})
}

func TestReceipt_SplitAndDead(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		a := newAPI(t, emulator.Config{}, func(c call) *reply {
			if slices.Contains(c.Items, "tag-5") || slices.Contains(c.Items, "tag-11") {
				return &reply{status: http.StatusBadRequest, body: `{"error":{"code":"bad_request","message":"no"}}`}
			}
			return nil
		})
		l := newLab(t, testConfig(a.URL), rdb).start()
		l.follow("r1", tasks.Purge{Tags: items(16)})
		l.ends("r1", ended{14, 2})

		// The letters are replayed from the web UI: they were counted.
		a.setAnswer(nil)
		eachQueue(t, rdb, func(i *asynq.Inspector, queue string) {
			_, err := i.RunAllArchivedTasks(queue)
			require.NoError(t, err)
		})
		eventually(t, func() bool { return len(a.with("tag-5")) > 1 && a.purged("tag-5", time.Time{}) }, "the replay")
		l.ends("r1", ended{14, 2})
	})
}

func TestReceipt_EveryAttemptFails(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	for _, most := range []int{1, 3} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			a := newAPI(t, emulator.Config{}, func(call) *reply { return &reply{status: http.StatusServiceUnavailable} })
			c := testConfig(a.URL)
			c.Accounts[0].Retry.MaxAttempts = most
			l := newLab(t, c, rdb).start()
			id := fmt.Sprintf("r%d", most)
			l.follow(id, tasks.Purge{Tags: []string{"a", "b"}})
			l.ends(id, ended{dead: 2})
		})
	}
}

// A refused token costs one dead letter; the rest is pending until the hold is lifted.
func TestReceipt_Hold(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	a := newAPI(t, emulator.Config{}, func(call) *reply { return &reply{status: http.StatusUnauthorized} })
	l := newLab(t, testConfig(a.URL), rdb).start()
	l.follow("r1", tasks.Purge{Tags: []string{"a"}})
	l.ends("r1", ended{dead: 1})
	l.follow("r2", tasks.Purge{Tags: []string{"a", "b"}})
	eventually(t, func() bool { return len(l.pending(tagLane("prj"))) == 2 }, "both wait")
	assert.Zero(t, l.ended("r2"))
	a.setAnswer(nil)
	_, err := l.lanes.Release(t.Context(), "default", lanes.ScopeAccount)
	require.NoError(t, err)
	l.ends("r2", ended{purged: 2})
}

// Requests that no account takes.
func TestReceipt_RequestDies(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		a := newAPI(t, emulator.Config{}, func(call) *reply { return &reply{status: http.StatusUnauthorized} })
		c := testConfig(a.URL)
		c.Accounts[0].Backlog = Backlog{Max: 1, WhenFull: FullDead}
		c.Projects[0].Project = "prj"
		l := newLab(t, c, rdb).start()
		l.follow("stranger", tasks.Purge{Project: "other", Tags: []string{"a", "b"}, SrcImages: []string{"/a"}})
		l.ends("stranger", ended{dead: 3})

		open(t, rdb, "whole", 5)
		part := tasks.Purge{ID: "whole-2", Project: "other", Operation: tasks.Delete, Tags: []string{"a", "b"}, Track: true, Receipt: "whole"}
		l.request(part)
		l.ends("whole", ended{dead: 2})
		payload, err := part.Encode()
		require.NoError(t, err)
		enqueueAs(t, rdb, "whole-3", []byte(strings.Replace(string(payload), `"v":1`, `"v":9`, 1)))
		l.ends("whole", ended{dead: 4})
		open(t, rdb, "alone", 7)
		enqueueAs(t, rdb, "alone", []byte("not JSON"))
		l.ends("alone", ended{dead: 7})
		enqueueAs(t, rdb, "untracked", []byte("not JSON"))
		eventually(t, func() bool { return len(letters(t, rdb)) == 5 }, "five letters")
		assert.Zero(t, rdb.Exists(t.Context(), receipt.Key("untracked")).Val())

		for _, waiting := range []string{"held", "fills"} { // the first dies and holds the account
			l.request(tasks.Purge{Tags: []string{waiting, waiting + "-2"}})
			eventually(t, func() bool { return len(l.holds()) == 1 }, "held")
		}
		eventually(t, func() bool { return l.account().isFull() }, "full")
		l.follow("refused", tasks.Purge{Tags: []string{"x", "y"}})
		assert.Eventually(t, func() bool { return l.ended("refused") == ended{dead: 2} }, patience, 10*time.Millisecond)
	})
}

func (l *lab) account() *account { return l.intake.accounts["default"] }

func enqueueAs(t *testing.T, rdb redis.UniversalClient, id string, payload []byte) {
	t.Helper()
	_, err := asynq.NewClientFromRedisClient(rdb).EnqueueContext(t.Context(), asynq.NewTask(tasks.TypeRequest, payload),
		asynq.Queue(tasks.QueueIntake), asynq.TaskID(id), asynq.MaxRetry(1000), asynq.Timeout(patience))
	require.NoError(t, err)
}

// A call that this worker cannot make, of an account that it lacks or of a newer
// version, carries its receipts into the dead letter.
func TestReceipt_CallDiesUnread(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		l := newLab(t, testConfig(newAPI(t, emulator.Config{}, nil).URL), rdb)
		pace := lanes.Pace{Account: "default", Per: time.Minute, InFlight: 9, Lease: time.Minute, MaxItems: 16, Full: 1}
		for i, version := range []string{`"v":1`, `"v":9`} {
			id := fmt.Sprintf("r%d", i)
			open(t, rdb, id, 2)
			_, err := l.lanes.Absorb(t.Context(), pace, lanes.Absorption{Request: id, Receipt: id, Lane: tagLane("prj"), Items: []string{"a", "b"}})
			require.NoError(t, err)
			claim, err := l.lanes.Claim(t.Context(), pace, tagLane("prj"), "batch-"+id)
			require.NoError(t, err)
			call := callOf(&account{Account: Account{Name: "default"}}, *claim.Batch, 1)
			payload, err := call.Encode()
			require.NoError(t, err)
			payload = []byte(strings.Replace(string(payload), `"v":1`, version, 1))
			l.attempts.accounts = nil // the account was taken out of the configuration
			err = l.attempts.ProcessTask(t.Context(), asynq.NewTask(tasks.TypeCall, payload))
			require.ErrorIs(t, err, asynq.SkipRetry)
			assert.Equal(t, ended{dead: 2}, l.ended(id))
		}
	})
}

// The worker is killed after it stored purge:call and before it ended the lease:
// one of the two makes the call, and it is counted once.
func TestReceipt_KilledBetweenStoreAndFinish(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		a := newAPI(t, emulator.Config{}, nil)
		l := newLab(t, testConfig(a.URL), rdb)
		pace := lanes.Pace{Account: "default", Per: time.Minute, InFlight: 9, Lease: time.Second, MaxItems: 16, Full: 1}
		open(t, rdb, "r1", 2)
		_, err := l.lanes.Absorb(t.Context(), pace, lanes.Absorption{Request: "r1", Receipt: "r1", Lane: tagLane("prj"), Items: []string{"a", "b"}})
		require.NoError(t, err)
		claim, err := l.lanes.Claim(t.Context(), pace, tagLane("prj"), "batch")
		require.NoError(t, err)
		owner := l.account()
		require.NoError(t, l.attempts.store(t.Context(), owner, callOf(owner, *claim.Batch, 1), claim.Batch, asynq.ProcessIn(3*time.Second)))

		l.start()
		l.ends("r1", ended{purged: 2})
		assert.Len(t, a.with("a"), 1, "the stored attempt was fenced off")
	})
}
