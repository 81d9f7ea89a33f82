package main

import (
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/enqueue/webhook"
)

const (
	prometheusFolder = "../../configs/prometheus"
	operate          = "../../docs/operate.md"
)

// series matches what a query names of ours.
var series = regexp.MustCompile(`\bedgepurge_[a-z_]+`)

// selector matches the label matchers and groupings of a query.
var selector = regexp.MustCompile(`(edgepurge_[a-z_]+)\{([^}]*)\}`)

// checkQuery asks for the metrics, and the labels that they are selected by, to exist.
func checkQuery(t *testing.T, known map[string][]string, query string) {
	t.Helper()
	names := series.FindAllString(query, -1)
	assert.NotEmpty(t, names, "it asks for nothing of ours: %s", query)
	for _, name := range names {
		assert.Contains(t, known, name, query)
	}
	for _, found := range selector.FindAllStringSubmatch(query, -1) {
		for matcher := range strings.SplitSeq(found[2], ",") {
			label := strings.TrimSpace(matcher[:strings.IndexAny(matcher, "=!")])
			assert.Contains(t, known[found[1]], label, query)
		}
	}
}

// knownSeries are the names that a query may use, with their labels.
func knownSeries(t *testing.T) map[string][]string {
	t.Helper()
	known := map[string][]string{}
	for name, f := range ours(t, freshProcess(t)) {
		var labels []string
		for label := range labelsOf(f.GetMetric()[0]) {
			labels = append(labels, label)
		}
		if f.GetMetric()[0].GetHistogram() == nil {
			known[name] = labels
			continue
		}
		known[name+"_bucket"] = append(labels, "le")
		known[name+"_sum"], known[name+"_count"] = labels, labels
	}
	return known
}

type alert struct {
	Alert       string
	Expr        string
	Annotations struct {
		Summary string
		Runbook string `yaml:"runbook_url"`
	}
}

// Each alert names metrics that exist, says what is wrong, and leads to its
// paragraph; no paragraph is without an alert.
func TestAlerts(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(path.Join(prometheusFolder, "alerts.yml"))
	require.NoError(t, err)
	var file struct {
		Groups []struct{ Rules []alert }
	}
	require.NoError(t, yaml.Unmarshal(text, &file))
	require.NotEmpty(t, file.Groups)
	known, books := knownSeries(t), headings(t, operate, "### ")
	var alerts []string
	for _, a := range file.Groups[0].Rules {
		alerts = append(alerts, a.Alert)
		checkQuery(t, known, a.Expr)
		assert.NotEmpty(t, a.Annotations.Summary, a.Alert)
		runbook, err := url.Parse(a.Annotations.Runbook)
		require.NoError(t, err)
		assert.True(t, strings.HasSuffix(runbook.Path, "/docs/operate.md"), a.Alert)
		assert.Equal(t, strings.ToLower(a.Alert), runbook.Fragment)
	}
	assert.ElementsMatch(t, alerts, books, "a runbook for each alert, and no other")
}

// The alert and the dashboard count every outcome by which a delivery is turned away.
func TestAlerts_DeliveriesTurnedAway(t *testing.T) {
	t.Parallel()
	taken := []webhook.Outcome{webhook.Queued, webhook.Ignored, webhook.NoTags, webhook.Duplicate, webhook.Partial, webhook.Dead, webhook.Unverified}
	harmless := []webhook.Outcome{webhook.BadMethod} // a browser or a probe, and no delivery
	for _, file := range []string{path.Join(prometheusFolder, "alerts.yml"), "../../configs/grafana/edgepurge.json"} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		found := regexp.MustCompile(`edgepurge_webhooks_total\{outcome=~\\?"(unauthorized[^"\\]*)`).FindSubmatch(text)
		require.NotNil(t, found, file)
		for _, outcome := range webhook.Outcomes() {
			if !slices.Contains(taken, outcome) && !slices.Contains(harmless, outcome) {
				assert.Contains(t, strings.Split(string(found[1]), "|"), string(outcome), file)
			}
		}
	}
}

func headings(t *testing.T, file, level string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var found []string
	for line := range strings.Lines(string(text)) {
		if heading, ok := strings.CutPrefix(line, level); ok {
			found = append(found, strings.TrimSpace(heading))
		}
	}
	return found
}

// docs/operate.md explains every metric, and none that does not exist.
func TestOperate_Metrics(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(operate)
	require.NoError(t, err)
	found := ours(t, freshProcess(t))
	told := series.FindAllString(strings.ReplaceAll(string(text), "`…_", "`edgepurge_budget_"), -1)
	for name := range found {
		assert.Contains(t, told, name)
	}
	for _, name := range told {
		assert.Contains(t, found, name)
	}
}

// The alerts fire when they should, and only then.
func TestAlerts_Promtool(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed: apt-get install prometheus")
	}
	for _, args := range [][]string{
		{"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}, {"check", "config", "prometheus.yml"},
	} {
		command := exec.Command(promtool, args...)
		command.Dir = prometheusFolder
		out, err := command.CombinedOutput()
		assert.NoError(t, err, "promtool %s\n%s", strings.Join(args, " "), out)
	}
}

// The dashboard answers its four questions with queries on metrics that exist.
func TestDashboard(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../configs/grafana/edgepurge.json")
	require.NoError(t, err)
	type panel struct {
		ID          int
		Type, Title string
		Description string
		GridPos     struct{ X, Y, W, H int }
		Datasource  struct{ Type, UID string }
		Targets     []struct{ Expr, RefID string }
	}
	var board struct {
		UID           string
		SchemaVersion int
		Panels        []panel
	}
	require.NoError(t, json.Unmarshal(text, &board))
	assert.Equal(t, "edgepurge", board.UID)
	assert.Positive(t, board.SchemaVersion)
	known := knownSeries(t)
	var rows, queries []string
	var ids []int
	taken := map[[2]int]string{}
	for _, p := range board.Panels {
		assert.NotContains(t, ids, p.ID, p.Title)
		ids = append(ids, p.ID)
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				assert.Empty(t, taken[[2]int{x, y}], "%s lies over it", p.Title)
				taken[[2]int{x, y}] = p.Title
			}
		}
		assert.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
		if p.Type == "row" {
			rows = append(rows, p.Title)
			continue
		}
		assert.Contains(t, []string{"stat", "timeseries", "bargauge"}, p.Type, p.Title)
		assert.Equal(t, "${datasource}", p.Datasource.UID, p.Title)
		assert.NotEmpty(t, p.Description, p.Title)
		require.NotEmpty(t, p.Targets, p.Title)
		for _, target := range p.Targets {
			query := strings.ReplaceAll(target.Expr, "$__rate_interval", "5m")
			checkQuery(t, known, query)
			queries = append(queries, query)
		}
	}
	assert.Equal(t, []string{"Are purges on time?", "What is waiting?", "What is failing?", "Are we near the limit?"}, rows)
	checkSyntax(t, queries)
}

// checkSyntax lets promtool parse queries, as recording rules, where it is installed.
func checkSyntax(t *testing.T, queries []string) {
	t.Helper()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		return
	}
	type rule struct {
		Record string `yaml:"record"`
		Expr   string `yaml:"expr"`
	}
	slices.Sort(queries)
	var rules []rule
	for _, query := range slices.Compact(queries) {
		rules = append(rules, rule{"query", query})
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	require.NoError(t, err)
	file := path.Join(t.TempDir(), "rules.yml")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	out, err := exec.Command(promtool, "check", "rules", "--lint=none", file).CombinedOutput()
	assert.NoError(t, err, string(out))
}
