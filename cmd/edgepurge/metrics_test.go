package main

import (
	"bytes"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/configs"
	"github.com/edgepurge/edgepurge/enqueue"
	"github.com/edgepurge/edgepurge/enqueue/webhook"
	"github.com/edgepurge/edgepurge/internal/deadletter"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker"
)

// watched is a configuration with one of everything that has a label.
func watched() configs.Config {
	c := configs.Default()
	c.Worker = worker.DefaultConfig()
	c.Worker.Accounts[0].Token = secretToken
	shop := worker.DefaultProject()
	shop.Project = "prj_shop"
	shop.Collapse = []worker.Collapse{{Match: "product:*", Over: 200, To: "products"}}
	c.Worker.Projects = append(c.Worker.Projects, shop)
	blog := devSource("prj_shop")
	blog.Name = "blog"
	c.Gateway.Sources = []webhook.Source{blog}
	c.Gateway.APIKeys = []configs.APIKey{{Name: "shop", Key: secretPassword, Projects: []string{"*"}}}
	return c
}

// freshProcess is `edgepurge serve` before it runs: gateway and worker in one process.
func freshProcess(t *testing.T) *process {
	t.Helper()
	mini := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: mini.Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	p := newProcess(watched(), rdb, zerolog.Nop())
	_, err := p.front()
	require.NoError(t, err)
	_, err = p.newWorker()
	require.NoError(t, err)
	return p
}

func scrape(t *testing.T, p *process) []byte {
	t.Helper()
	r := httptest.NewRecorder()
	metricsHandler(p.registry).ServeHTTP(r, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	require.Equal(t, http.StatusOK, r.Code)
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return body
}

// ours are the metrics of edgepurge, by name.
func ours(t *testing.T, p *process) map[string]*dto.MetricFamily {
	t.Helper()
	families, err := p.registry.Gather()
	require.NoError(t, err)
	found := map[string]*dto.MetricFamily{}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "edgepurge_") {
			found[f.GetName()] = f
		}
	}
	return found
}

func labelsOf(m *dto.Metric) map[string]string {
	labels := map[string]string{}
	for _, pair := range m.GetLabel() {
		labels[pair.GetName()] = pair.GetValue()
	}
	return labels
}

func valueOf(m *dto.Metric) float64 {
	return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
}

// testdata/metrics.txt is the list of the design: each name is there, with these
// labels and no other, and with a value.
func TestMetrics_AsDesigned(t *testing.T) {
	t.Parallel()
	list, err := os.ReadFile("testdata/metrics.txt")
	require.NoError(t, err)
	found := ours(t, freshProcess(t))
	for line := range strings.Lines(string(list)) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), "{")
		var want []string
		if rest != "" {
			want = strings.Split(strings.TrimSuffix(rest, "}"), ",")
		}
		if !assert.Contains(t, found, name) {
			continue
		}
		for _, m := range found[name].GetMetric() {
			var got []string
			for label := range labelsOf(m) {
				got = append(got, label)
			}
			assert.ElementsMatch(t, want, got, name)
		}
		assert.NotEmpty(t, found[name].GetMetric(), name)
	}
}

// A fresh process shows every value that a label can have, as zero, but for what
// the configuration says.
func TestMetrics_Fresh(t *testing.T) {
	t.Parallel()
	p := freshProcess(t)
	found := ours(t, p)
	configured := map[string]float64{
		"edgepurge_budget_left": 5, "edgepurge_budget_calls": 5, "edgepurge_budget_reserve": 1,
		"edgepurge_archive_max_letters": worker.MaxLetters,
	}
	for name, f := range found {
		for _, m := range f.GetMetric() {
			assert.InDelta(t, configured[name], valueOf(m), 0, "%s%v", name, labelsOf(m))
		}
	}
	values := func(name, label string) []string {
		var all []string
		for _, m := range found[name].GetMetric() {
			all = append(all, labelsOf(m)[label])
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	assert.Equal(t, []string{"*", "prj_shop"}, values("edgepurge_pending_items", "project"))
	assert.Equal(t, []string{"*", "prj_shop"}, values("edgepurge_oldest_pending_seconds", "project"))
	assert.Equal(t, []string{"*", "prj_shop"}, values("edgepurge_items_total", "project"))
	assert.Equal(t, []string{"accepted", "duplicate", "invalid"}, values("edgepurge_items_total", "outcome"))
	assert.Equal(t, []string{"account:default", "project:*", "project:prj_shop"}, values("edgepurge_held", "scope"))
	assert.Equal(t, []string{"blog", "cli", "none", "other", "replay", "shop"}, values("edgepurge_requests_total", "source"))
	assert.Subset(t, worker.Verdicts(), values("edgepurge_calls_total", "verdict"))
	assert.Len(t, values("edgepurge_calls_total", "verdict"), len(worker.Verdicts()), "every verdict shows")
	assert.Equal(t, []string{"edgepurge-calls", "edgepurge-deliveries", "edgepurge-intake", "edgepurge-urgent"}, values("edgepurge_queue_tasks", "queue"))
	assert.Len(t, values("edgepurge_webhooks_total", "outcome"), len(webhook.Outcomes())+1, "and not_found, of hooks that do not exist")
	for _, reason := range worker.LetterReasons() {
		assert.Contains(t, values("edgepurge_dead_letters", "reason"), string(reason))
		assert.Contains(t, values("edgepurge_buried_total", "reason"), string(reason))
	}
	text := scrape(t, p)
	assert.NotContains(t, string(text), "SECRET")
}

// What a process shows of the fleet is what lies in Redis; a reason that is none
// of ours makes no series.
func TestFleetMetrics(t *testing.T) {
	t.Parallel()
	p := freshProcess(t)
	client := asynq.NewClientFromRedisClient(p.rdb)
	inspector := asynq.NewInspectorFromRedisClient(p.rdb)
	for range 3 {
		_, err := client.Enqueue(asynq.NewTask(tasks.TypeRequest, []byte("{}")), asynq.Queue(tasks.QueueIntake))
		require.NoError(t, err)
	}
	_, err := client.Enqueue(asynq.NewTask(tasks.TypeCall, []byte("{}")), asynq.Queue(tasks.QueueCalls), asynq.TaskID("dead"))
	require.NoError(t, err)
	require.NoError(t, inspector.ArchiveTask(tasks.QueueCalls, "dead"))
	requests, err := enqueue.New(enqueue.Config{Client: p.rdb})
	require.NoError(t, err)
	require.NoError(t, deadletter.New(p.rdb, requests).Keep(t.Context(), "d1", deadletter.Delivery{Source: "blog", ReceivedAt: time.Now(), Reason: "no tag", Body: []byte("{}")}))

	require.NoError(t, p.fleet.look(t.Context(), time.Now()))
	value := func(name string, labels ...string) float64 {
		for _, m := range ours(t, p)[name].GetMetric() {
			got, match := labelsOf(m), true
			for i := 0; i < len(labels); i += 2 {
				match = match && got[labels[i]] == labels[i+1]
			}
			if match {
				return valueOf(m)
			}
		}
		return math.NaN()
	}
	assert.InDelta(t, 3, value("edgepurge_queue_tasks", "queue", tasks.QueueIntake, "state", "pending"), 0)
	assert.InDelta(t, 1, value("edgepurge_queue_tasks", "queue", tasks.QueueCalls, "state", "archived"), 0)
	assert.InDelta(t, 1, value("edgepurge_dead_letters", "reason", deadletter.ByHand), 0)
	assert.InDelta(t, 1, value("edgepurge_dead_letters", "reason", deadletter.Unmappable), 0)
	assert.InDelta(t, 0, value("edgepurge_workers"), 0)

	// Redis may lose by which queues asynq finds them, and what lay in them.
	require.NoError(t, p.rdb.Del(t.Context(), "asynq:queues", "asynq:{edgepurge-deliveries}:archived").Err())
	require.NoError(t, p.fleet.look(t.Context(), time.Now()))
	assert.InDelta(t, 1, value("edgepurge_dead_letters", "reason", deadletter.ByHand), 0)
	assert.InDelta(t, 0, value("edgepurge_dead_letters", "reason", deadletter.Unmappable), 0)
	assert.InDelta(t, 0, value("edgepurge_queue_tasks", "queue", tasks.QueueDeliveries, "state", "archived"), 0)

	p.fleet.showReasons([]deadletter.Summary{{Reason: "made_up"}})
	assert.InDelta(t, 1, value("edgepurge_dead_letters", "reason", deadletter.Unknown), 0)
	assert.True(t, math.IsNaN(value("edgepurge_dead_letters", "reason", "made_up")))
	assert.InDelta(t, 0, value("edgepurge_dead_letters", "reason", deadletter.ByHand), 0, "what is gone is zero again")
}

// The text is well formed, and as promtool wants it where that is installed.
func TestMetrics_Text(t *testing.T) {
	t.Parallel()
	text := scrape(t, freshProcess(t))
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	require.NoError(t, err)
	for name := range families {
		if base, ok := strings.CutSuffix(name, "_total"); ok && strings.HasPrefix(name, "edgepurge_") {
			assert.NotContains(t, families, base, "OpenMetrics has one name for the two")
		}
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed: apt-get install prometheus")
	}
	check := exec.Command(promtool, "check", "metrics")
	check.Stdin = bytes.NewReader(text)
	out, err := check.CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Empty(t, string(out))
}
