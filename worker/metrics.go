package worker

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/edgepurge/edgepurge/tasks"
)

// metrics counts what becomes of requests, items and calls. Every drop and
// every dead letter has a named reason here.
type metrics struct {
	requests *prometheus.CounterVec
	items    *prometheus.CounterVec
	calls    *prometheus.CounterVec
	letters  *prometheus.CounterVec
	returned *prometheus.CounterVec
	pending  *prometheus.GaugeVec
	duration prometheus.Histogram
	sizes    prometheus.Histogram
	latency  prometheus.Histogram
}

// Outcomes of an item at intake.
const (
	itemAccepted  = "accepted"
	itemDuplicate = "duplicate"
)

// Outcomes of a request at intake.
const (
	requestAbsorbed = "absorbed"
	requestDead     = "dead"
	requestRetried  = "retried"
)

func newMetrics(c Config, reg prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "edgepurge_requests_total", Help: "Purge requests taken from the queue, by outcome.",
		}, []string{"outcome"}),
		items: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "edgepurge_items_total", Help: "Tags and source images of requests, by project entry and outcome.",
		}, []string{"project", "outcome"}),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "edgepurge_calls_total", Help: "Calls of Vercel's purge API, by what became of them.",
		}, []string{"account", "kind", "operation", "verdict", "status"}),
		letters: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "edgepurge_dead_letters_total", Help: "Tasks that went to the archive, by reason.",
		}, []string{"reason"}),
		returned: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "edgepurge_returned_batches_total", Help: "Batches whose items went back to their lane, by reason.",
		}, []string{"reason"}),
		pending: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "edgepurge_pending_items", Help: "Items that wait for a call, by account.",
		}, []string{"account"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "edgepurge_call_duration_seconds", Help: "How long calls of the API took.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		sizes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "edgepurge_batch_items", Help: "How many items a call carried.",
			Buckets: []float64{1, 2, 4, 8, 12, 15, 16, 64, 256, 1024},
		}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "edgepurge_purge_latency_seconds",
			Help:    "From when the oldest item of a batch was due (its request's arrival and settle time) to Vercel's acceptance.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600},
		}),
	}
	if reg != nil {
		reg.MustRegister(m.requests, m.items, m.calls, m.letters, m.returned, m.pending, m.duration, m.sizes, m.latency)
	}
	m.initialise(c)
	return m
}

// initialise makes every known label value show as zero.
func (m *metrics) initialise(c Config) {
	for _, outcome := range []string{requestAbsorbed, requestDead, requestRetried} {
		m.requests.WithLabelValues(outcome)
	}
	for _, reason := range LetterReasons() {
		m.letters.WithLabelValues(string(reason))
	}
	for _, p := range c.Projects {
		for _, outcome := range []string{itemAccepted, itemDuplicate} {
			m.items.WithLabelValues(p.Project, outcome)
		}
	}
	for _, a := range c.Accounts {
		m.pending.WithLabelValues(a.Name)
		for _, kind := range []tasks.Kind{tasks.Tag, tasks.SrcImage} {
			for _, operation := range []tasks.Operation{tasks.Delete, tasks.Invalidate} {
				m.calls.WithLabelValues(a.Name, string(kind), string(operation), Done.String(), "200")
			}
		}
	}
}
