package worker

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/edgepurge/edgepurge/internal/overview"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// gauges show how things stand in Redis, as the sweep last saw them. All workers
// of a configuration show the same.
type gauges struct {
	pending *prometheus.GaugeVec
	oldest  *prometheus.GaugeVec
	left    *prometheus.GaugeVec
	calls   *prometheus.GaugeVec
	reserve *prometheus.GaugeVec
	held    *prometheus.GaugeVec
}

func newGauges() gauges {
	vec := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	return gauges{
		pending: vec("edgepurge_pending_items", "Items that wait for a call, by project entry.", "project"),
		oldest: vec("edgepurge_oldest_pending_seconds",
			"How long the oldest item that waits for a call has been due, by project entry; 0 while none is due.", "project"),
		left: vec("edgepurge_budget_left",
			"Calls that the running window has left, those of the reserve included; +Inf without a limit.", "account"),
		calls: vec("edgepurge_budget_calls",
			"Calls that a window may hold as things stand: by configuration, by what Vercel taught, or fewer while the API fails; +Inf without a limit.", "account"),
		reserve: vec("edgepurge_budget_reserve", "Calls of a window that are kept for urgent items.", "account"),
		held:    vec("edgepurge_held", "Holds that stand, by scope: an account or a project entry.", "scope"),
	}
}

func (g *gauges) all() []prometheus.Collector {
	return []prometheus.Collector{g.pending, g.oldest, g.left, g.calls, g.reserve, g.held}
}

// The scopes of a hold as labels. Of projects there are as many as entries: those
// that the entry "*" covers share its label.
func accountScope(name string) string  { return "account:" + name }
func projectScope(label string) string { return "project:" + label }

// initialise makes every project entry and account show before the first sweep.
func (g *gauges) initialise(accounts map[string]*account) {
	g.show(time.Time{}, accounts, nil)
}

// sight is what the sweep saw of one account.
type sight struct {
	waiting map[string]lanes.Waiting
	limits  lanes.Status
}

// show sets every gauge; an account that was not seen is as if it had nothing in Redis.
func (g *gauges) show(now time.Time, accounts map[string]*account, seen map[string]sight) {
	pending, oldest, held := map[string]float64{}, map[string]float64{}, map[string]float64{}
	for name, a := range accounts {
		held[accountScope(name)] += 0
		for _, label := range a.labels() {
			pending[label] += 0
			oldest[label] = max(oldest[label], 0)
			held[projectScope(label)] += 0
		}
		s := seen[name]
		for project, w := range s.waiting {
			label := a.project(project).Project
			pending[label] += float64(w.Items)
			oldest[label] = max(oldest[label], now.Sub(w.Oldest).Seconds())
		}
		for _, h := range s.limits.Holds {
			if project, ok := lanes.HeldProject(h.Scope); ok {
				held[projectScope(a.project(project).Project)]++
			} else {
				held[accountScope(name)]++
			}
		}
		g.showBudget(a, &s.limits)
	}
	set(g.pending, pending)
	set(g.oldest, oldest)
	set(g.held, held)
}

func (g *gauges) showBudget(a *account, limits *lanes.Status) {
	budget := overview.BudgetOf(overview.Settings{Calls: a.Budget.Calls, Per: a.Budget.Per, Reserve: a.Budget.Reserve}, limits)
	left, calls := math.Inf(1), math.Inf(1)
	if budget.Left >= 0 {
		left, calls = float64(budget.Left), float64(budget.Most())
	}
	g.left.WithLabelValues(a.Name).Set(left)
	g.calls.WithLabelValues(a.Name).Set(calls)
	g.reserve.WithLabelValues(a.Name).Set(float64(a.Budget.Reserve))
}

func set(g *prometheus.GaugeVec, values map[string]float64) {
	for label, v := range values {
		g.WithLabelValues(label).Set(v)
	}
}
