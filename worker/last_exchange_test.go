package worker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/history"
	"github.com/edgepurge/edgepurge/internal/queues"
	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// cutter ends the goroutine that makes one exchange with Redis too many, as kill -9 ends a
// worker: what came before has happened, and nothing comes after.
type cutter struct {
	armed bool
	left  int
}

func (c *cutter) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *cutter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.exchange()
		return next(ctx, cmd)
	}
}

func (c *cutter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.exchange()
		return next(ctx, cmds)
	}
}

func (c *cutter) exchange() {
	if !c.armed {
		return
	}
	if c.left == 0 {
		runtime.Goexit()
	}
	c.left--
}

// cutAfter runs work in a goroutine that dies after n exchanges, and reports whether it
// came to its end before.
func (c *cutter) cutAfter(n int, work func()) (ended bool) {
	c.armed, c.left = true, n
	done := make(chan struct{})
	go func() {
		defer close(done)
		work()
		ended = true
	}()
	<-done
	c.armed = false
	return ended
}

// verdictCase is an answer of Vercel's and what an undisturbed worker makes of it.
type verdictCase struct {
	name    string
	answer  *reply // nil: the emulator's, a success
	max     int    // attempts; 0: 20
	held    bool   // somebody else holds the account while the call is under way
	full    bool   // the archive is
	plain   bool   // no receipt, and a tag a call: a success and the next claim are one exchange
	letters int    // dead letters, once all is over
	halves  int    // those of two halves
}

func verdictCases() []verdictCase {
	const poison = `{"error":{"code":"bad_request","message":"Invalid request"}}`
	return []verdictCase{
		{name: "done"},
		{name: "done, and the next", plain: true},
		{name: "done, and the limit used up", answer: &reply{status: 200, header: map[string]string{
			"X-RateLimit-Limit": "5", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": fmt.Sprint(time.Now().Add(time.Hour).Unix()),
		}}},
		{name: "wait", answer: &reply{status: 429, header: map[string]string{"Retry-After": "60"}}},
		{name: "retry", answer: &reply{status: 503}},
		{name: "retry, exhausted", answer: &reply{status: 503}, max: 1, letters: 1, halves: 2},
		{name: "split", answer: &reply{status: 400, body: poison}, halves: 1},
		{name: "split, and a maximum learned", answer: &reply{status: 400, body: "{\"error\":{\"code\":\"bad_request\",\"message\":\"Invalid request: `tags` should NOT have more than 1 items.\"}}"}, halves: 1},
		{name: "dead", answer: &reply{status: http.StatusTeapot}, letters: 1, halves: 2},
		{name: "dead, and the archive full", answer: &reply{status: http.StatusTeapot}, full: true},
		{name: "hold of the account", answer: &reply{status: 401}, letters: 1, halves: 1},
		{name: "hold of the account, held already", answer: &reply{status: 401}, held: true},
		{name: "hold of the project", answer: &reply{status: 404}, letters: 1, halves: 1},
	}
}

// mostCuts is more than any verdict takes exchanges.
const mostCuts = 60

// Invariants 1 and 7, and receipts: whatever an answer asks for and whichever exchange with
// Redis is a worker's last, nothing is lost, nothing is stuck, and each item of a receipt is
// counted once, as what became of it.
func TestInvariant7_CutOffAfterEveryExchange(t *testing.T) {
	t.Parallel()
	for _, c := range verdictCases() {
		for name, attempt := range map[string]func(*cutRun) func(){"first attempt": firstAttempt, "attempt of asynq": asynqAttempt, "two halves": halvesAttempt} {
			if c.plain && name == "two halves" {
				continue // a batch of one has none
			}
			for _, tasksFirst := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/tasks first %t", c.name, name, tasksFirst), func(t *testing.T) {
					t.Parallel()
					r := newCutRun(t, c)
					n := 0
					for ; n < mostCuts && !t.Failed(); n++ {
						if r.cutOnce(n, attempt, tasksFirst) {
							break
						}
					}
					assert.Greater(t, n, 4, "it takes some exchanges")
					assert.Less(t, n, mostCuts, "it came to its end")
				})
			}
		}
	}
}

// cutRun is a worker that dies, and what a second one needs to clear up after it.
type cutRun struct {
	*lab
	of    verdictCase
	api   *api
	cut   *cutter
	other *lanes.Lanes // of a worker that lives on
	asked time.Time

	asynqs  bool // the attempt is asynq's
	letters int  // of an undisturbed worker
}

// firstAttempt makes the calls of what waits.
func firstAttempt(r *cutRun) func() {
	r.letters = r.of.letters
	return r.callAll
}

// callAll claims batches and makes their calls, as the pacer does, until nothing waits.
func (r *cutRun) callAll() {
	p := r.pacers["default"]
	for {
		asked := time.Now()
		batch, _, err := p.claimWhole(context.Background())
		if err != nil || batch == nil {
			return
		}
		p.work(context.Background(), batch, asked)
	}
}

// asynqAttempt takes a call on that failed once. The claim's own exchanges are not cut.
func asynqAttempt(r *cutRun) func() {
	r.asynqs, r.letters = true, r.of.letters
	b := r.claimNow("batch")
	call := callOf(r.account(), b, b.Attempt)
	require.NoError(r.t, r.attempts.store(r.t.Context(), r.account(), call, &b, asynq.ProcessIn(time.Hour)))
	_, err := r.lanes.Finish(r.t.Context(), "default", b, b.Attempt, false)
	require.NoError(r.t, err)
	return func() { r.runTask(b.ID) }
}

// halvesAttempt takes on the halves of a call that was refused.
func halvesAttempt(r *cutRun) func() {
	r.asynqs, r.letters = true, r.of.halves
	b := r.claimNow("batch")
	require.NoError(r.t, r.attempts.split(r.t.Context(), r.account(), b, b.Attempt, Judgment{}))
	return func() {
		for _, half := range halves(callOf(r.account(), b, b.Attempt)) {
			r.runTask(half.Batch)
		}
	}
}

// runTask runs a stored call as asynq would, and does to the task what asynq would.
func (r *cutRun) runTask(id string) {
	inspector := asynq.NewInspectorFromRedisClient(r.rdb)
	info, err := inspector.GetTaskInfo(tasks.QueueCalls, id)
	if err != nil {
		return
	}
	err = r.attempts.ProcessTask(context.Background(), asynq.NewTaskWithHeaders(info.Type, info.Payload, info.Headers))
	_, later := errors.AsType[*laterError](err)
	_, retry := errors.AsType[*retryError](err)
	switch {
	case err == nil:
		_ = inspector.DeleteTask(tasks.QueueCalls, id)
	case errors.Is(err, asynq.SkipRetry):
		_ = inspector.ArchiveTask(tasks.QueueCalls, id)
	default:
		assert.True(r.t, later || retry, "%v", err)
	}
}

func newCutRun(t *testing.T, c verdictCase) *cutRun {
	t.Helper()
	rdb, mini := redistest.Mini(t)
	others := redis.NewClient(&redis.Options{Addr: mini.Addr()})
	t.Cleanup(func() { _ = others.Close() })
	r := &cutRun{of: c, cut: &cutter{}, other: lanes.New(others), api: newAPI(t, emulator.Config{}, nil)}
	config := testConfig(r.api.URL)
	config.Projects[0].Linger = 0
	config.Accounts[0].Budget.Calls = 100
	if c.plain {
		config.Accounts[0].Batch.MaxTags = 1
	}
	if c.max > 0 {
		config.Accounts[0].Retry.MaxAttempts = c.max
	}
	rdb.AddHook(r.cut)
	r.lab = newLab(t, config, rdb)
	return r
}

// begin forgets all that was, and asks for three tags.
func (r *cutRun) begin() {
	r.t.Helper()
	ctx := r.t.Context()
	require.NoError(r.t, r.rdb.FlushAll(ctx).Err())
	require.NoError(r.t, queues.Register(ctx, r.rdb))
	r.pacers["default"].streak.end()
	r.api.forget()
	r.api.setAnswer(func(call) *reply {
		if r.of.held {
			_, err := r.other.Hold(ctx, "default", lanes.ScopeAccount, "unauthorized", "no", lanes.Batch{ID: "other", Lane: tagLane("prj"), ClaimedAt: time.Now()}, 1)
			assert.NoError(r.t, err)
		}
		return r.of.answer
	})
	r.archiveFull(r.of.full)
	r.asked = time.Now()
	receipt := ""
	if !r.of.plain {
		receipt = "r"
		open(r.t, r.rdb, "r", 3)
		known, err := r.lanes.Take(ctx, "default", "r", "r", 0)
		require.NoError(r.t, err)
		require.True(r.t, known)
	}
	_, err := r.lanes.Absorb(ctx, r.account().pace(tagLane("prj")), lanes.Absorption{Request: "r", Receipt: receipt, Lane: tagLane("prj"), Items: []string{"x", "y", "z"}})
	require.NoError(r.t, err)
}

// cutOnce lets a worker die after n exchanges and another one clear up. It reports whether
// the first one came to its end before.
func (r *cutRun) cutOnce(n int, attempt func(*cutRun) func(), tasksFirst bool) bool {
	r.t.Helper()
	r.begin()
	work := attempt(r)
	ended := r.cut.cutAfter(n, work)
	r.api.setAnswer(nil)
	r.archiveFull(false)
	for range 20 {
		if !r.clearUp(tasksFirst) {
			break
		}
	}
	r.judge(fmt.Sprintf("after %d exchanges", n), ended)
	return ended
}

func (r *cutRun) archiveFull(full bool) {
	r.attempts.archive.max = MaxLetters
	if full {
		r.attempts.archive.max = 0
	}
}

// clearUp is a worker that finds what the other one left, all leases over. It reports
// whether there was anything.
func (r *cutRun) clearUp(tasksFirst bool) bool {
	ctx := r.t.Context()
	for _, h := range r.holds() {
		_, err := r.lanes.Release(ctx, "default", h.Scope)
		require.NoError(r.t, err)
	}
	require.NoError(r.t, r.lanes.Resume(ctx, "default"))
	busy := false
	if tasksFirst {
		busy = r.runTasks()
	}
	for _, b := range r.status().InFlight {
		busy = true
		require.NoError(r.t, r.rdb.ZAddXX(ctx, "edgepurge:{default}:inflight", redis.Z{Score: 1, Member: b.ID}).Err())
	}
	require.NoError(r.t, r.sweep.leases(ctx))
	busy = r.runTasks() || busy
	before := len(r.api.all())
	r.callAll()
	return busy || len(r.api.all()) > before
}

// runTasks runs whatever asynq has still to run.
func (r *cutRun) runTasks() bool {
	inspector := asynq.NewInspectorFromRedisClient(r.rdb)
	var found []*asynq.TaskInfo
	for _, list := range []func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
		inspector.ListPendingTasks, inspector.ListScheduledTasks, inspector.ListRetryTasks,
	} {
		some, err := list(tasks.QueueCalls)
		if !errors.Is(err, asynq.ErrQueueNotFound) {
			require.NoError(r.t, err)
		}
		found = append(found, some...)
	}
	for _, task := range found {
		r.runTask(task.ID)
	}
	return len(found) > 0
}

// judge looks at the end of all.
func (r *cutRun) judge(when string, ended bool) {
	t := r.t
	t.Helper()
	family := history.Family{Project: "prj", Kind: tasks.Tag, Operation: tasks.Delete}
	asked := history.Request{ID: "r", Family: family, Items: []string{"x", "y", "z"}, Asked: r.asked, Accepted: r.asked}
	var calls []history.Call
	for _, call := range r.api.all() {
		calls = append(calls, history.Call{
			Family: family, Items: call.Items, Start: call.Start, End: call.Start, OK: call.Status == http.StatusOK, Status: call.Status,
		})
	}
	dead := map[string]bool{}
	var found []history.Letter
	for _, letter := range letters(t, r.rdb) {
		call, err := tasks.DecodeCall(letter.Payload)
		require.NoError(t, err)
		found = append(found, history.Letter{Family: family, Items: call.Items, At: call.ClaimedAt, Grain: time.Millisecond})
		for _, item := range call.Items {
			dead[item] = true
		}
	}
	report := history.Check([]history.Request{asked}, calls, found)
	assert.Empty(t, report.Lost, "invariant 1, %s", when)
	assert.Empty(t, report.Broken, "invariant 3, %s", when)

	s := r.status()
	assert.Empty(t, s.InFlight, "nothing is stuck in a lease, %s", when)
	assert.Empty(t, s.Lanes, "nothing is stuck in a lane, %s", when)
	assert.Zero(t, queued(t, r.rdb), "nothing is stuck in asynq, %s", when)
	assert.Empty(t, r.rdb.Keys(t.Context(), "*carried*").Val(), "no receipt is stuck, %s", when)

	end := r.ended("r")
	if r.of.plain {
		return
	}
	assert.Equal(t, 3, end.purged+end.dead, "each item is counted once, %s", when)
	if !r.asynqs || ended {
		// asynq archives a task when its handler is over. Should the worker die between the
		// two, the items are counted as dead already, and are called once more.
		assert.LessOrEqual(t, end.dead, len(dead), "as dead only what a letter shows, %s", when)
	}
	if ended {
		assert.Len(t, found, r.letters, "what the verdict asks for")
		assert.Equal(t, len(dead), end.dead)
	}
}
