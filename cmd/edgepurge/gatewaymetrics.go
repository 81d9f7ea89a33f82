package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/edgepurge/edgepurge/configs"
	"github.com/edgepurge/edgepurge/enqueue/gateway"
	"github.com/edgepurge/edgepurge/enqueue/webhook"
	"github.com/edgepurge/edgepurge/internal/deadletter"
)

// Outcomes of a request at the gateway.
const (
	requestStored  = "stored"
	requestInvalid = "invalid" // refused: no retry can help
	requestFailed  = "failed"  // Redis did not take it, or not in time
)

// gatewayMetrics counts what comes in. The worker's edgepurge_requests_total
// counts what comes out of the queue: the two may stand in one registry.
type gatewayMetrics struct {
	webhooks *prometheus.CounterVec
	api      *prometheus.CounterVec
	requests *prometheus.CounterVec
}

func newGatewayMetrics(g configs.Gateway, reg prometheus.Registerer) *gatewayMetrics {
	m := &gatewayMetrics{
		webhooks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "edgepurge_webhooks_total", Help: "Deliveries of webhooks, by source and outcome; unknown, not_found: no source has that name.",
		}, []string{"source", "outcome"}),
		api: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "edgepurge_api_exchanges_total", Help: "Exchanges of the HTTP API, by the name of the key and outcome.",
		}, []string{"source", "outcome"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "edgepurge_enqueued_requests_total", Help: "Purge requests that webhooks asked for, by preset and source, and outcome.",
		}, []string{"source", "outcome"}),
	}
	reg.MustRegister(m.webhooks, m.api, m.requests)
	m.webhooks.WithLabelValues(webhook.UnknownSource, string(webhook.NotFound))
	for _, s := range g.Sources {
		for _, outcome := range webhook.Outcomes() {
			m.webhooks.WithLabelValues(s.Name, string(outcome))
		}
		m.initialise(webhook.Label(s))
	}
	return m
}

// sourcesOf lists who asks for purges as far as it is known beforehand: the
// configured webhooks and keys, and our own commands.
func sourcesOf(g configs.Gateway) []string {
	sources := []string{cliSource, deadletter.Source}
	for _, s := range g.Sources {
		sources = append(sources, webhook.Label(s))
	}
	for _, k := range g.APIKeys {
		sources = append(sources, k.Name)
	}
	return sources
}

// initialise makes the outcomes of one who asks show as zero.
func (m *gatewayMetrics) initialise(source string) {
	for _, outcome := range []string{requestStored, requestInvalid, requestFailed} {
		m.requests.WithLabelValues(source, outcome)
	}
}

// initialiseAPI makes the outcomes of a key show as zero.
func (m *gatewayMetrics) initialiseAPI(key string) {
	for _, outcome := range gateway.Outcomes() {
		m.api.WithLabelValues(key, string(outcome))
	}
}

func (m *gatewayMetrics) exchange(key string, outcome gateway.Outcome) {
	m.api.WithLabelValues(key, string(outcome)).Inc()
}

func (m *gatewayMetrics) webhook(source string, outcome webhook.Outcome) {
	m.webhooks.WithLabelValues(source, string(outcome)).Inc()
}

func (m *gatewayMetrics) request(source string, err error) {
	m.requests.WithLabelValues(source, requestOutcome(err)).Inc()
}
