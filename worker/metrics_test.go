package worker

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// The gauges show what lies in Redis, by the entries of the configuration.
func TestGauges(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		c := testConfig(nowhere)
		c.Accounts[0].Budget = DefaultAccount().Budget
		shop := c.Projects[0]
		shop.Project = "shop"
		c.Projects = append(c.Projects, shop)
		l := newLab(t, c, rdb)
		a := l.accounts["default"]
		sweep := &sweep{lanes: l.lanes, metrics: l.intake.metrics, pacers: map[string]*pacer{"default": {account: a}}}
		ask := func(project string, settle time.Duration, tags ...string) {
			require.NoError(t, l.intake.ProcessTask(t.Context(), requestTask(t, tasks.Purge{Project: project, Tags: tags, Settle: settle})))
		}
		ask("shop", time.Hour, "later")
		require.NoError(t, sweep.backlogs(t.Context()))
		assert.InDelta(t, 1, l.metric("edgepurge_pending_items", "project", "shop"), 0)
		assert.Zero(t, l.metric("edgepurge_oldest_pending_seconds", "project", "shop"), "it is not due yet")

		ask("shop", 0, "a", "b")
		ask("stranger-1", 0, "a")
		ask("stranger-2", 0, "a")
		key := "edgepurge:{default}:pending:" + tagLane("shop").ID()
		require.NoError(t, rdb.ZAddXX(t.Context(), key, redis.Z{Score: float64(time.Now().Add(-time.Minute).UnixMilli()), Member: "a"}).Err())
		batch := lanes.Batch{ID: "b1", Lane: tagLane("stranger-1")}
		for _, scope := range []string{lanes.ScopeAccount, lanes.ScopeProject("stranger-1"), lanes.ScopeProject("stranger-2")} {
			_, err := l.lanes.Hold(t.Context(), "default", scope, "redirected", "no", batch, 1)
			require.NoError(t, err)
		}
		require.NoError(t, sweep.backlogs(t.Context()))
		assert.InDelta(t, 3, l.metric("edgepurge_pending_items", "project", "shop"), 0)
		assert.InDelta(t, 2, l.metric("edgepurge_pending_items", "project", "*"), 0, "strangers share a series")
		assert.InDelta(t, 60, l.metric("edgepurge_oldest_pending_seconds", "project", "shop"), 10)
		assert.InDelta(t, 1, l.metric("edgepurge_held", "scope", "account:default"), 0)
		assert.InDelta(t, 2, l.metric("edgepurge_held", "scope", "project:*"), 0)
		assert.InDelta(t, 0, l.metric("edgepurge_held", "scope", "project:shop"), 0)
		assert.InDelta(t, a.Budget.Calls, l.metric("edgepurge_budget_left", "account", "default"), 0)

		require.NoError(t, rdb.Del(t.Context(), key).Err())
		_, err := l.lanes.Release(t.Context(), "default", lanes.ScopeAccount)
		require.NoError(t, err)
		require.NoError(t, sweep.backlogs(t.Context()))
		assert.Zero(t, l.metric("edgepurge_pending_items", "project", "shop"), "what is gone is zero again")
		assert.Zero(t, l.metric("edgepurge_oldest_pending_seconds", "project", "shop"))
		assert.Zero(t, l.metric("edgepurge_held", "scope", "account:default"))
	})
}

// A budget that is used shows in the gauges, and so does one that Vercel taught.
func TestGauges_Budget(t *testing.T) {
	a := &account{Account: DefaultAccount()}
	unlimited := &account{Account: DefaultAccount()}
	unlimited.Name, unlimited.Budget.Calls, unlimited.Budget.Reserve = "free", 0, 0
	l := &lab{t: t, reg: prometheus.NewRegistry()}
	g := newGauges()
	l.reg.MustRegister(g.all()...)
	g.showBudget(a, &lanes.Status{Used: 4})
	assert.InDelta(t, 1, l.metric("edgepurge_budget_left", "account", "default"), 0)
	g.showBudget(a, &lanes.Status{Used: 2, Learned: 3})
	assert.InDelta(t, 1, l.metric("edgepurge_budget_left", "account", "default"), 0)
	assert.InDelta(t, 3, l.metric("edgepurge_budget_calls", "account", "default"), 0)
	g.showBudget(unlimited, &lanes.Status{Used: 2})
	assert.Greater(t, l.metric("edgepurge_budget_left", "account", "free"), 1e300)
}

// Every request is counted once, by a source and a project of a bounded set, and
// the items of a request that cannot be taken in are counted as invalid.
func TestMetrics_Request(t *testing.T) {
	accounts, err := newAccounts(testConfig(nowhere))
	require.NoError(t, err)
	for i, c := range []struct {
		source, project string
		err             error
		wantSource      string
		wantOutcome     string
		invalid         int
	}{
		{"sanity/blog", "*", nil, "sanity/blog", requestAbsorbed, 0},
		{"made-up", "*", nil, other, requestAbsorbed, 0},
		{"", "*", nil, none, requestAbsorbed, 0},
		{"made-up", "*", &letterError{Invalid, errors.New("no")}, other, requestDead, 2},
		{"made-up", "*", &letterError{NoAccount, errors.New("no")}, other, requestDead, 2},
		{"made-up", "*", &letterError{BacklogFull, errors.New("no")}, other, requestDead, 0},
		{"made-up", "*", &laterError{why: "full"}, other, requestRetried, 0},
		{"made-up", "*", errors.New("Redis is away"), other, requestRetried, 0},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			l := &lab{t: t, reg: prometheus.NewRegistry()}
			m := newMetrics(accounts, []string{"sanity/blog"}, l.reg)
			now := time.Now()
			m.request(&tasks.Purge{Source: c.source, Tags: []string{"a", "b"}, RequestedAt: now.Add(-time.Second)}, c.project, c.err, now)
			assert.InDelta(t, 1, l.metric("edgepurge_requests_total", "source", c.wantSource, "outcome", c.wantOutcome), 0)
			assert.InDelta(t, 1, l.metric("edgepurge_requests_total"), 0, "and nowhere else")
			assert.InDelta(t, c.invalid, l.metric("edgepurge_items_total", "outcome", itemInvalid), 0)
			absorbed := 0
			if c.err == nil {
				absorbed = 1
			}
			assert.InDelta(t, absorbed, l.metric("edgepurge_intake_delay_seconds"), 0)
		})
	}
}
