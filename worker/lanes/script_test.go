package lanes

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
)

// guard is a client whose user may touch, while a script runs, nothing but the
// keys that the script was called with. Redis Cluster demands no less, but a
// single server does not look.
type guard struct {
	admin redis.UniversalClient
	keys  map[string]int // how many keys each script was called with, by its hash
}

func (g *guard) DialHook(next redis.DialHook) redis.DialHook { return next }
func (g *guard) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (g *guard) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		rule := []any{"ACL", "SETUSER", "guarded", "resetkeys"}
		if args := cmd.Args(); strings.HasPrefix(cmd.Name(), "eval") {
			n, _ := args[2].(int)
			for _, key := range args[3 : 3+n] {
				rule = append(rule, fmt.Sprintf("~%s", key))
			}
			if cmd.Name() == "evalsha" {
				g.keys[args[1].(string)] = n
			}
		} else {
			rule = append(rule, "allkeys")
		}
		if err := g.admin.Do(ctx, rule...).Err(); err != nil {
			return err
		}
		return next(ctx, cmd)
	}
}

func guarded(t *testing.T) (*rig, *guard) {
	t.Helper()
	server := redistest.Start(t)
	g := &guard{admin: server.Client(t), keys: map[string]int{}}
	require.NoError(t, g.admin.Do(t.Context(), "ACL", "SETUSER", "guarded", "on", ">secret", "+@all", "allchannels").Err())
	options, err := redis.ParseURL(server.URL())
	require.NoError(t, err)
	options.Username, options.Password = "guarded", "secret"
	client := redis.NewClient(options)
	client.AddHook(g)
	t.Cleanup(func() { _ = client.Close() })
	return newRig(t, client), g
}

func TestScripts_TouchOnlyTheirKeys(t *testing.T) {
	r, g := guarded(t)
	require.ErrorContains(t, redis.NewScript("return redis.call('GET', 'other')").Run(r.ctx(), r.rdb, []string{"declared"}).Err(),
		"can't access", "the guard works")
	tour(r)

	for name, s := range map[string]*redis.Script{
		"absorb": absorbScript, "peek": peekScript, "claim": claimScript, "acquire": acquireScript,
		"restore": restoreScript, "finish": finishScript, "pause": pauseScript, "hold": holdScript,
		"take": takeScript, "bury": buryScript, "settle": settleScript,
		"backlog": backlogScript, "collapse": collapseScript, "reoffer": reofferScript, "offer": offerScript, "survey": surveyScript,
		"parcel": parcelScript, "adopt": adoptScript, "give": giveScript, "release": releaseScript,
	} {
		passed, ran := g.keys[s.Hash()]
		assert.True(t, ran, "the tour runs %s", name)
		if name == "survey" { // of as many lanes as it is given
			assert.Greater(t, passed, headerKeys(t, name))
			continue
		}
		assert.Equal(t, headerKeys(t, name), passed, "KEYS in the header of %s.lua", name)
	}
}

// tour makes the scripts take every way they have.
func tour(r *rig) {
	p := &r.pace
	p.Calls, p.Per, p.Reserve, p.InFlight, p.Lease = 100, 20*time.Millisecond, 1, 50, 20*time.Millisecond
	p.Rate, p.Burst, p.MaxDelay, p.Weights = 1e6, 10, time.Minute, []Weight{{"post", true, 2}}
	p.StaggerMin, p.StaggerOver = time.Second, time.Minute
	tourReceipts(r)

	for _, lane := range []tasks.Lane{bulk, normal, urgent} {
		r.ask(Absorption{Lane: lane, Items: numbered(40), Settle: time.Millisecond, Rebound: 5 * time.Millisecond})
		r.pass(2 * time.Millisecond)
		r.ask(Absorption{Lane: lane, Items: numbered(50), Settle: time.Hour})
	}
	r.ask(Absorption{Lane: normal, Items: []string{"n", "m"}})
	r.peek()
	_, _, err := r.Survey(r.ctx(), "acme", r.paceOf)
	require.NoError(r.t, err)
	for _, lane := range []tasks.Lane{bulk, normal, urgent} {
		require.NoError(r.t, r.Offer(r.ctx(), "acme", []tasks.Lane{lane}, r.paceOf))
	}
	for _, lane := range []tasks.Lane{urgent, urgent, normal, bulk} {
		if got := r.tryClaim(lane); got.Batch != nil {
			r.pass(time.Millisecond)
			require.True(r.t, r.restore(*got.Batch, false))
			r.pass(time.Millisecond)
		}
	}
	b := r.claim(urgent)
	p.Calls = 1
	for _, half := range []bool{false, true} {
		require.Equal(r.t, RefusedBudget, r.acquire(Batch{ID: "h.0", Lane: urgent, Items: b.Items}, 1, half).Refused)
	}
	r.refused(urgent, RefusedBudget)
	p.Calls = 100
	require.NotNil(r.t, r.acquire(Batch{ID: "h.0", Lane: urgent, Items: b.Items}, 1, true).Batch)
	require.NotNil(r.t, r.acquire(b, 2, false).Batch)
	r.pass(25 * time.Millisecond)
	require.NotEmpty(r.t, r.expired())
	require.True(r.t, r.restore(b, true))

	for _, scope := range []string{ScopeAccount, ScopeProject("prj")} {
		r.hold(scope, false)
		r.hold(scope, true)
		r.tryClaim(urgent)
		r.acquire(b, 3, false)
	}
	// Their probes are due.
	for scope, text := range r.rdb.HGetAll(r.ctx(), keysOf("acme").hold()).Val() {
		text = regexp.MustCompile(`"next":\d+`).ReplaceAllString(text, `"next":1`)
		require.NoError(r.t, r.rdb.HSet(r.ctx(), keysOf("acme").hold(), scope, text).Err())
	}
	b = r.claim(urgent)
	require.True(r.t, b.Probe)
	require.True(r.t, r.finish(b, true))
	require.NoError(r.t, r.Pause(r.ctx(), "acme", time.Millisecond, 3))
	require.NoError(r.t, r.PauseIfAhead(r.ctx(), *p, time.Millisecond))
	require.NoError(r.t, r.LearnMax(r.ctx(), "acme", tasks.Tag, 3))
	r.pass(2 * time.Millisecond)
	r.tryClaim(urgent)
	require.NoError(r.t, r.Resume(r.ctx(), "acme"))
	r.pass(25 * time.Millisecond)
	r.refused(inProject("nothing"), RefusedEmpty)
	_, err = r.Release(r.ctx(), "acme", ScopeProject("prj"))
	require.NoError(r.t, err)
	tourAdopt(r)
}

func tourAdopt(r *rig) {
	r.open("adopted", 1)
	lane := inProject("moved")
	r.ask(Absorption{Lane: lane, Items: []string{"a"}, Receipt: "adopted", Rebound: time.Hour})
	r.ask(Absorption{Lane: lane, Items: []string{"a", "b"}, Settle: time.Hour, Rebound: time.Hour})
	to := r.pace
	to.Account = "other"
	n, err := r.Adopt(r.ctx(), "acme", to, lane)
	require.NoError(r.t, err)
	require.Equal(r.t, 2, n)
}

func tourReceipts(r *rig) {
	r.open("r", 3)
	require.True(r.t, r.take("r"))
	r.ask(Absorption{Lane: urgent, Items: numbered(3), Receipt: "r"})
	_, err := r.Backlog(r.ctx(), "acme", urgent)
	require.NoError(r.t, err)
	require.Equal(r.t, 2, r.collapse(urgent, "post-9999", numbered(2)...))
	b := r.claim(urgent)
	require.True(r.t, r.restore(b, false))
	b = r.claim(urgent)
	r.finish(b, false)
	b = *r.acquire(b, 2, false).Batch
	r.settle(b, Purged)
	require.Equal(r.t, 3, r.counted("r").purged)
	require.NoError(r.t, r.Bury(r.ctx(), "r", "r", 3))
	r.pass(25 * time.Millisecond)
}

// headerKeys counts the keys that the comment at the head of a script lists.
func headerKeys(t *testing.T, name string) int {
	t.Helper()
	line := regexp.MustCompile(`(?m)^-- KEYS (.+)$`).FindStringSubmatch(read(name))
	require.NotNil(t, line, "%s.lua says which keys it takes", name)
	n := 0
	for key := range strings.SplitSeq(line[1], ", ") {
		times := 1
		if _, after, found := strings.Cut(key, " x"); found {
			times, _ = strconv.Atoi(after)
		}
		n += times
	}
	return n
}

func TestScripts_TakeTheTimeFromRedis(t *testing.T) {
	for _, name := range []string{"absorb", "peek", "claim", "acquire", "restore", "finish", "pause", "hold", "take", "bury", "settle", "backlog", "collapse", "reoffer", "offer", "survey"} {
		assert.Contains(t, read(name), "\n--#include time\n", name)
	}
	assert.Panics(t, func() { read("missing") })
}
