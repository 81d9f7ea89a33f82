package worker

import (
	"errors"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/edgepurge/edgepurge/internal/vercel"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// metrics counts what becomes of requests, items and calls. Every drop and
// every dead letter has a named reason here. No label is what a producer or an
// API chose freely: each is one of a set that the configuration bounds.
type metrics struct {
	gauges    gauges
	sources   []string
	requests  *prometheus.CounterVec
	items     *prometheus.CounterVec
	calls     *prometheus.CounterVec
	letters   *prometheus.CounterVec
	returned  *prometheus.CounterVec
	collapsed *prometheus.CounterVec
	intake    prometheus.Histogram
	duration  prometheus.Histogram
	sizes     prometheus.Histogram
	latency   prometheus.Histogram
}

// Outcomes of an item at intake.
const (
	itemAccepted  = "accepted"
	itemDuplicate = "duplicate"
	itemInvalid   = "invalid" // its request cannot be read, or belongs to no account
)

// Outcomes of a request at intake.
const (
	requestAbsorbed = "absorbed"
	requestDead     = "dead"
	requestRetried  = "retried"
)

// Labels that stand for those without one of their own.
const (
	other = "other"
	none  = "none"
)

// returnedLease is why the items of a dead worker's batch went back to their lane.
const returnedLease = "lease_ended"

// returnReasons lists why items go back to their lane, as metric labels.
func returnReasons() []string {
	reasons := []string{returnedLease}
	for _, refused := range []lanes.Refusal{lanes.RefusedBudget, lanes.RefusedPaused, lanes.RefusedHeld, lanes.RefusedInFlight} {
		reasons = append(reasons, string(refused))
	}
	for _, r := range []Reason{RateLimited, ArchiveFull, Unauthorized, Forbidden, PaymentDue, ProjectMissing, ProjectGone, Redirected} {
		reasons = append(reasons, string(r))
	}
	return reasons
}

// waits are buckets from a twentieth of a second to an hour.
var waits = []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600}

func newMetrics(accounts map[string]*account, sources []string, reg prometheus.Registerer) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	}
	m := &metrics{
		gauges:   newGauges(),
		sources:  slices.Clone(sources),
		requests: counter("edgepurge_requests_total", "Purge requests taken from the queue, by who asked and outcome.", "source", "outcome"),
		items:    counter("edgepurge_items_total", "Tags and source images of requests, by project entry and outcome.", "project", "outcome"),
		calls: counter("edgepurge_calls_total", "Calls of Vercel's purge API, by what became of them.",
			"account", "kind", "operation", "verdict", "status"),
		letters:  counter("edgepurge_buried_total", "Tasks that became dead letters, by reason.", "reason"),
		returned: counter("edgepurge_returned_batches_total", "Batches whose items went back to their lane, by reason.", "reason"),
		collapsed: counter("edgepurge_collapsed_items_total",
			"Tags that a collapse rule replaced by another, by project entry and what took their place.", "project", "to"),
		intake: histogram("edgepurge_intake_delay_seconds",
			"From when a request was asked for, by its producer's clock, to when its items were pending.", waits),
		duration: histogram("edgepurge_call_duration_seconds", "How long calls of the API took.",
			[]float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}),
		sizes: histogram("edgepurge_batch_items", "How many items a call carried.",
			[]float64{1, 2, 4, 8, 12, 15, 16, 64, 256, 1024}),
		latency: histogram("edgepurge_purge_latency_seconds",
			"From when the oldest item of a batch was due (its request's arrival and settle time) to Vercel's acceptance.", waits),
	}
	if reg != nil {
		reg.MustRegister(m.requests, m.items, m.calls, m.letters, m.returned, m.collapsed, m.intake, m.duration, m.sizes, m.latency)
		reg.MustRegister(m.gauges.all()...)
	}
	m.initialise(accounts)
	return m
}

// initialise makes every known label value show as zero.
func (m *metrics) initialise(accounts map[string]*account) {
	for _, source := range append(m.sources, other, none) {
		for _, outcome := range []string{requestAbsorbed, requestDead, requestRetried} {
			m.requests.WithLabelValues(source, outcome)
		}
	}
	for _, reason := range LetterReasons() {
		m.letters.WithLabelValues(string(reason))
	}
	for _, reason := range returnReasons() {
		m.returned.WithLabelValues(reason)
	}
	projects := []string{AnyProject} // of requests that belong to no account, too
	for _, a := range accounts {
		projects = append(projects, a.labels()...)
		m.initialiseCalls(a.Name)
		m.initialiseCollapsed(a)
	}
	for _, project := range projects {
		for _, outcome := range []string{itemAccepted, itemDuplicate, itemInvalid} {
			m.items.WithLabelValues(project, outcome)
		}
	}
	m.gauges.initialise(accounts)
}

func (m *metrics) initialiseCollapsed(a *account) {
	for _, project := range a.labels() {
		for _, rule := range a.project(project).Collapse {
			m.collapsed.WithLabelValues(project, rule.To)
		}
	}
}

// usualStatuses are the answers that Vercel documents or a proxy on the way gives.
// Any other shows once it is met.
var usualStatuses = []int{400, 401, 402, 403, 404, 408, 410, 425, 429, 500, 502, 503, 504}

func (m *metrics) initialiseCalls(account string) {
	answers := []error{nil, &vercel.TransportError{Err: errors.New("no answer")}}
	for _, status := range usualStatuses {
		answers = append(answers, &vercel.StatusError{Status: status})
	}
	for _, kind := range []tasks.Kind{tasks.Tag, tasks.SrcImage} {
		for _, operation := range []tasks.Operation{tasks.Delete, tasks.Invalidate} {
			for _, answer := range answers {
				for _, items := range []int{1, 2} { // one item is not split
					j := judge(vercel.Answer{}, answer, kind, items, time.Time{})
					m.call(account, kind, operation, j)
				}
			}
		}
	}
}

// call returns the counter of the calls that came to such a judgment.
func (m *metrics) call(account string, kind tasks.Kind, operation tasks.Operation, j Judgment) prometheus.Counter {
	return m.calls.WithLabelValues(account, string(kind), string(operation), j.Verdict.String(), statusLabel(j))
}

// request counts what became of a request at intake, which is told by the error.
func (m *metrics) request(p *tasks.Purge, project string, err error, now time.Time) {
	source := other
	if p.Source == "" {
		source = none
	} else if slices.Contains(m.sources, p.Source) {
		source = p.Source
	}
	letter, dead := errors.AsType[*letterError](err)
	switch {
	case err == nil:
		m.requests.WithLabelValues(source, requestAbsorbed).Inc()
		if !p.RequestedAt.IsZero() {
			m.intake.Observe(max(0, now.Sub(p.RequestedAt).Seconds()))
		}
	case dead:
		m.requests.WithLabelValues(source, requestDead).Inc()
		if letter.reason != BacklogFull {
			m.items.WithLabelValues(project, itemInvalid).Add(float64(len(p.Tags) + len(p.SrcImages)))
		}
	default:
		m.requests.WithLabelValues(source, requestRetried).Inc()
	}
}
