package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/receipt"
	"github.com/edgepurge/edgepurge/internal/redisacl"
	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// renamed is a configuration whose only account has another name.
func renamed(c Config, name string) Config {
	c.Accounts, c.Projects = slices.Clone(c.Accounts), slices.Clone(c.Projects)
	c.Accounts[0].Name, c.Projects[0].Account = name, name
	return c
}

func adopt(t *testing.T, c Config, rdb redis.UniversalClient, what Adoption) (Adopted, error) {
	t.Helper()
	return Adopt(t.Context(), c, rdb, what, func(int) {})
}

// keysLeft are the keys in which something of an account waits.
func keysLeft(t *testing.T, rdb redis.UniversalClient, account string) []string {
	t.Helper()
	keys := rdb.Keys(t.Context(), "edgepurge:{"+account+"}:*").Val()
	return slices.DeleteFunc(keys, func(k string) bool {
		for _, part := range []string{":lanes", ":ready:", ":pending:", ":again:", ":inflight", ":receipts:", ":origins:", ":failed:", ":carried:"} {
			if strings.Contains(k, "}"+part) {
				return false
			}
		}
		return true
	})
}

// One of everything that can wait under an account: an item, one with a rebound and a
// later purge, one for later, tracked ones, an urgent one, a batch whose worker was
// killed, a retry, a half of a split, and holds.
func fillAccount(t *testing.T, l *lab) {
	t.Helper()
	ctx, lane := t.Context(), tagLane("prj")
	pace := l.accounts["default"].pace(lane)
	pace.Linger, pace.Lease = 0, 20*time.Millisecond
	absorb := func(a lanes.Absorption) {
		a.Request = "r-" + strings.Join(a.Items, "-")
		_, err := l.lanes.Absorb(ctx, pace, a)
		require.NoError(t, err)
	}
	require.NoError(t, l.rdb.HSet(ctx, receipt.Key("r-tracked"), receipt.Total, 2).Err())
	known, err := l.lanes.Take(ctx, "default", "r-tracked", "r-tracked", 0)
	require.NoError(t, err)
	require.True(t, known)
	absorb(lanes.Absorption{Lane: lane, Items: []string{"killed"}})
	got, err := l.lanes.Claim(ctx, pace, lane, "killed")
	require.NoError(t, err)
	require.NotNil(t, got.Batch)
	absorb(lanes.Absorption{Lane: lane, Items: []string{"tracked", "tracked-2"}, Receipt: "r-tracked", Source: "cms"})
	absorb(lanes.Absorption{Lane: lane, Items: []string{"rebound"}, Rebound: time.Hour})
	absorb(lanes.Absorption{Lane: lane, Items: []string{"rebound", "again"}, Settle: time.Hour})
	absorb(lanes.Absorption{Lane: lane.With(tasks.Urgent), Items: []string{"urgent"}})
	retried := callNamed("retried", "retried")
	half := callNamed("parent.0", "half")
	for _, c := range []tasks.Call{retried, half} {
		payload, err := c.Encode()
		require.NoError(t, err)
		_, err = asynq.NewClientFromRedisClient(l.rdb).Enqueue(asynq.NewTask(tasks.TypeCall, payload), asynq.Queue(tasks.QueueCalls),
			asynq.TaskID(c.Batch), asynq.ProcessIn(time.Hour))
		require.NoError(t, err)
	}
	_, err = l.lanes.Hold(ctx, "default", lanes.ScopeProject("prj"), "project_missing", "no", lanes.Batch{ID: "x", Lane: lane}, 1)
	require.NoError(t, err)
	time.Sleep(25 * time.Millisecond) // the lease ends
}

// pendingIn lists what waits in the lane and with what, under an account.
func pendingIn(t *testing.T, rdb redis.UniversalClient, account string) []string {
	t.Helper()
	var all []string
	for _, p := range tasks.Priorities {
		id := tagLane("prj").With(p).ID()
		items, err := rdb.ZRange(t.Context(), "edgepurge:{"+account+"}:pending:"+id, 0, -1).Result()
		require.NoError(t, err)
		for _, item := range items {
			again := rdb.HGet(t.Context(), "edgepurge:{"+account+"}:again:"+id, item).Val()
			all = append(all, fmt.Sprintf("%s %s %d", p, item, strings.Count(again, "+")+strings.Count(again, ",")))
		}
	}
	slices.Sort(all)
	return all
}

var everything = []string{
	"normal again 0", "normal half 0", "normal killed 0", "normal rebound 2", "normal retried 0", "normal tracked 0", "normal tracked-2 0", "urgent urgent 0",
}

func TestAdopt_MovesEverything(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		l := newLab(t, testConfig(nowhere), rdb)
		fillAccount(t, l)
		done, err := adopt(t, renamed(testConfig(nowhere), "new"), rdb, Adoption{From: "default", To: "new"})
		require.NoError(t, err)
		assert.Equal(t, Adopted{Items: 8, Retries: 2, Holds: 1}, done)
		assert.Empty(t, keysLeft(t, rdb, "default"))
		assert.Zero(t, queued(t, rdb))
		accounts, err := l.lanes.Accounts(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []string{"new"}, accounts)
		assert.Equal(t, everything, pendingIn(t, rdb, "new"))
		origin := rdb.HGet(t.Context(), "edgepurge:{new}:origins:"+tagLane("prj").Family(), "tracked").Val()
		assert.Equal(t, "r-tracked-tracked-2 - cms", origin)

		done, err = adopt(t, renamed(testConfig(nowhere), "new"), rdb, Adoption{From: "default", To: "new"})
		require.NoError(t, err)
		assert.Zero(t, done, "there is nothing more")
	})
}

// The receipt of a tracked request counts on under the new account.
func TestAdopt_ReceiptsGoAlong(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		l := newLab(t, testConfig(nowhere), rdb)
		fillAccount(t, l)
		c := renamed(testConfig(nowhere), "new")
		_, err := adopt(t, c, rdb, Adoption{From: "default", To: "new"})
		require.NoError(t, err)
		lane := tagLane("prj")
		pace := bareAccounts(c)["new"].pace(lane)
		got, err := l.lanes.Claim(t.Context(), pace, lane, "b")
		require.NoError(t, err)
		require.NotNil(t, got.Batch, got.Refused)
		require.True(t, got.Batch.Tracked)
		require.NoError(t, l.lanes.Settle(t.Context(), "new", *got.Batch, lanes.Purged))
		fields := rdb.HGetAll(t.Context(), receipt.Key("r-tracked")).Val()
		assert.ElementsMatch(t, []string{"default", "new"}, receipt.Accounts(fields))
		assert.Equal(t, "2", rdb.HGet(t.Context(), receipt.CountsKey("new", "r-tracked"), receipt.Purged).Val())
	})
}

// cutOff is a hook that lets no command pass after the n-th.
type cutOff struct{ left int }

var errCut = errors.New("killed")

func (c *cutOff) DialHook(next redis.DialHook) redis.DialHook { return next }
func (c *cutOff) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if c.left--; c.left < 0 {
			cmd.SetErr(errCut)
			return errCut
		}
		return next(ctx, cmd)
	}
}

func (c *cutOff) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if c.left--; c.left < 0 {
			return errCut
		}
		return next(ctx, cmds)
	}
}

// Wherever it is killed, nothing is lost, and running it again finishes it.
func TestAdopt_KilledAnywhere(t *testing.T) {
	for n := 1; ; n++ {
		require.Less(t, n, 200)
		rdb, m := redistest.Mini(t)
		l := newLab(t, testConfig(nowhere), rdb)
		fillAccount(t, l)
		cut := redis.NewClient(&redis.Options{Addr: m.Addr()})
		hook := &cutOff{left: n}
		cut.AddHook(hook)
		c := renamed(testConfig(nowhere), "new")
		_, err := adopt(t, c, cut, Adoption{From: "default", To: "new"})
		require.NoError(t, cut.Close())
		if hook.left >= 0 {
			require.NoError(t, err)
			return
		}
		seen := map[string]bool{}
		for _, account := range []string{"default", "new"} {
			for _, line := range pendingIn(t, rdb, account) {
				seen[strings.Fields(line)[1]] = true
			}
		}
		for _, b := range l.status().InFlight {
			seen[b.Items[0]] = true
		}
		require.GreaterOrEqual(t, len(seen)+queued(t, rdb), 8, "cut after %d", n)
		_, err = adopt(t, c, rdb, Adoption{From: "default", To: "new"})
		require.NoError(t, err)
		require.Equal(t, everything, pendingIn(t, rdb, "new"), "cut after %d", n)
		require.Empty(t, keysLeft(t, rdb, "default"), "cut after %d", n)
		require.Zero(t, queued(t, rdb))
		members := rdb.ZRange(t.Context(), "edgepurge:{new}:receipts:"+tagLane("prj").Family(), 0, -1).Val()
		require.Len(t, members, 2)
	}
}

// A project that moved takes along its own and leaves the others.
func TestAdopt_AProjectThatMoved(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		c := testConfig(nowhere)
		second, project := c.Accounts[0], c.Projects[0]
		second.Name, project.Project, project.Account = "second", "prj", "second"
		c.Accounts, c.Projects = append(slices.Clone(c.Accounts), second), append(slices.Clone(c.Projects), project)
		l := newLab(t, c, rdb)
		fillAccount(t, l)
		other := tagLane("other")
		_, err := l.lanes.Absorb(t.Context(), l.accounts["default"].pace(other), lanes.Absorption{Request: "o", Lane: other, Items: []string{"o"}})
		require.NoError(t, err)
		done, err := adopt(t, c, rdb, Adoption{From: "default", To: "second", Project: "prj"})
		require.NoError(t, err)
		assert.Equal(t, 8, done.Items)
		assert.Equal(t, everything, pendingIn(t, rdb, "second"))
		assert.Equal(t, []string{"o"}, l.pending(other))
		assert.Empty(t, l.holds())
	})
}

// While it works no worker claims what it is about to move.
func TestAdopt_WaitsForCallsInFlight(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	l := newLab(t, testConfig(nowhere), rdb)
	batch := l.claimed("x")[0]
	go func() {
		time.Sleep(200 * time.Millisecond)
		_, _ = l.lanes.Finish(context.Background(), "default", batch, 1, true)
	}()
	waited := 0
	done, err := Adopt(t.Context(), renamed(testConfig(nowhere), "new"), rdb, Adoption{From: "default", To: "new"}, func(n int) { waited = n })
	require.NoError(t, err)
	assert.Equal(t, 1, waited)
	assert.Zero(t, done.Items)
	assert.Empty(t, keysLeft(t, rdb, "default"))
}

// whenCounted is a hook that runs something once, before the calls in flight are read.
type whenCounted struct{ run func() }

func (w *whenCounted) DialHook(next redis.DialHook) redis.DialHook { return next }
func (w *whenCounted) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (w *whenCounted) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if args := cmd.Args(); cmd.Name() == "hgetall" && args[1] == "edgepurge:{default}:inflight:batch" && w.run != nil {
			run := w.run
			w.run = nil
			run()
		}
		return next(ctx, cmd)
	}
}

// What a call puts back just before it counts as ended moves too.
func TestAdopt_ACallThatEndsMeanwhile(t *testing.T) {
	rdb, m := redistest.Mini(t)
	l := newLab(t, testConfig(nowhere), rdb)
	batch := l.claimed("x")[0]
	own := redis.NewClient(&redis.Options{Addr: m.Addr()})
	t.Cleanup(func() { _ = own.Close() })
	own.AddHook(&whenCounted{func() {
		restored, err := l.lanes.Restore(t.Context(), l.accounts["default"].pace(batch.Lane), batch, false)
		assert.NoError(t, err)
		assert.True(t, restored)
	}})
	done, err := adopt(t, renamed(testConfig(nowhere), "new"), own, Adoption{From: "default", To: "new"})
	require.NoError(t, err)
	assert.Equal(t, 1, done.Items)
	assert.Empty(t, keysLeft(t, rdb, "default"))
}

func TestAdopt_Refuses(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	c := onlyProject(nowhere, "prj")
	for want, what := range map[string]Adoption{
		"is both where it comes from":       {From: "default", To: "default"},
		`"new" is not in the configuration`: {From: "default", To: "new"},
		`"other" is not in account`:         {From: "old", To: "default", Project: "other"},
	} {
		_, err := adopt(t, c, rdb, what)
		require.ErrorContains(t, err, want)
	}
	two := renamed(c, "new")
	two.Accounts = append(two.Accounts, c.Accounts[0])
	_, err := adopt(t, two, rdb, Adoption{From: "default", To: "new"})
	require.ErrorContains(t, err, "is still in the configuration")
	assert.Empty(t, rdb.Keys(t.Context(), "*").Val())
}

// What was in flight when everything was killed is still found by who does not know the account.
func TestPacer_KeepsTheHintWhileACallIsInFlight(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		l := newLab(t, testConfig(nowhere), rdb)
		l.claimed("x")
		_, err := l.Worker.pacers["default"].serve(t.Context())
		require.NoError(t, err)
		accounts, err := l.lanes.Accounts(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []string{"default"}, accounts)
	})
}

// The rights that docs/redis.md names suffice.
func TestAdopt_Rights(t *testing.T) {
	server := redistest.Start(t)
	args := []any{"ACL", "SETUSER", "operator", "reset", "on", ">secret"}
	for _, rule := range redisacl.Operator.With(redisacl.Adopting).Rules() {
		args = append(args, rule)
	}
	require.NoError(t, server.Client(t).Do(t.Context(), args...).Err())
	options, err := redis.ParseURL(server.URL())
	require.NoError(t, err)
	options.Username, options.Password = "operator", "secret"
	rdb := redis.NewClient(options)
	t.Cleanup(func() { _ = rdb.Close() })
	c := testConfig(nowhere)
	c.Projects[0].Spread = Spread{Rate: 1, Burst: 100}
	fillAccount(t, newLab(t, c, server.Client(t)))
	done, err := adopt(t, renamed(c, "new"), rdb, Adoption{From: "default", To: "new"})
	require.NoError(t, err)
	assert.Equal(t, 8, done.Items)
	tokens := func(account string) string {
		return server.Client(t).HGet(t.Context(), "edgepurge:{"+account+"}:spread:prj", "tokens").Val()
	}
	assert.NotEmpty(t, tokens("new"))
	assert.Equal(t, tokens("default"), tokens("new"), "the spread goes along")
}
