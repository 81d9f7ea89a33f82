package configs

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/worker"
)

var withToken = env(map[string]string{"VERCEL_TOKEN": "tok"})

func TestReference_IsTheDefaults(t *testing.T) {
	fromFile, err := Load("edgepurge.yaml", withToken)
	require.NoError(t, err)
	fromNothing, err := Load("", withToken)
	require.NoError(t, err)
	assert.Equal(t, settings(fromNothing), settings(fromFile))
	assert.NoError(t, fromFile.RequireTokens())
}

// switchedOn is the reference with the settings that it shows as comments.
func switchedOn(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("edgepurge.yaml")
	require.NoError(t, err)
	// "# " explains; "#", or "#" and the spaces of an inner line, is a setting.
	off := regexp.MustCompile(`(?m)^( *)#((?:  )*[^ #\n])`)
	require.Len(t, off.FindAll(data, -1), 75)
	return off.ReplaceAllString(string(data), "$1$2")
}

func TestReference_ExamplesLoad(t *testing.T) {
	cfg := loaded(t, switchedOn(t), withToken)
	require.Len(t, cfg.Worker.Accounts, 2)
	assert.Equal(t, "team_123", cfg.Worker.Accounts[0].TeamID)
	shop := worker.DefaultAccount()
	shop.Name, shop.Slug, shop.Budget.Calls = "shop", "shop-team", 20
	assert.Equal(t, shop, cfg.Worker.Accounts[1])
	assert.ErrorContains(t, cfg.RequireTokens(), "/run/secrets/shop-token")

	require.Len(t, cfg.Worker.Projects, 2)
	assert.Equal(t, worker.Spread{
		Burst: 100, MaxDelay: 15 * time.Minute,
		Weights:  []worker.Weight{{Match: "layout:*", Cost: 500}, {Match: "home", Cost: 20}},
		Deadline: worker.Stagger{Min: 10 * time.Second, Over: 10 * time.Minute},
	}, cfg.Worker.Projects[0].Spread)
	assert.Equal(t, []worker.Collapse{
		{Match: "product:*", Over: 200, To: "products"}, {Over: 5000, Age: 10 * time.Minute, To: "*"},
	}, cfg.Worker.Projects[0].Collapse)
	assert.Equal(t, worker.Project{
		Project: "prj_abc", Account: "shop", Linger: 5 * time.Second,
		Spread: worker.Spread{Rate: 50, Burst: 50, MaxDelay: 15 * time.Minute},
	}, cfg.Worker.Projects[1])
}

// No key is left out of the reference: each that a section knows stands in it.
func TestReference_ShowsEveryKey(t *testing.T) {
	cfg := loaded(t, switchedOn(t), withToken)
	shown := map[string]bool{}
	for at := range cfg.origin.places {
		shown[regexp.MustCompile(`\[\d+\]`).ReplaceAllString(at, "[]")] = true
	}
	for _, key := range everyKey(t) {
		assert.True(t, shown[key], "edgepurge.yaml does not show %s", key)
	}
}

// everyKey learns the keys from the refusals of an unknown one, which list them.
func everyKey(t *testing.T) []string {
	t.Helper()
	_, err := Load(written(t, `
zzzzzzzz: 1
redis: {zzzzzzzz: 1}
vercel: {zzzzzzzz: 1}
worker: {zzzzzzzz: 1}
accounts: [{zzzzzzzz: 1, budget: {zzzzzzzz: 1}, batch: {zzzzzzzz: 1}, retry: {zzzzzzzz: 1}, backlog: {zzzzzzzz: 1}}]
gateway:
  zzzzzzzz: 1
  monitor: {zzzzzzzz: 1}
  api_keys: [{zzzzzzzz: 1}]
  sources: [{zzzzzzzz: 1, limits: {zzzzzzzz: 1}, verify: [{zzzzzzzz: 1, key: {zzzzzzzz: 1}, signature: {zzzzzzzz: 1}, timestamp: {zzzzzzzz: 1}}]}]
projects: [{zzzzzzzz: 1, project: a, spread: {zzzzzzzz: 1, weights: [{zzzzzzzz: 1, match: a, cost: 1}], deadline: {zzzzzzzz: 1}}, collapse: [{zzzzzzzz: 1, over: 1, to: a}]}]
`), noEnv)
	require.Error(t, err)
	found := regexp.MustCompile(`(?m):\d+:\d+: (?:(\S+): )?unknown key "zzzzzzzz": use (.*)$`).FindAllStringSubmatch(err.Error(), -1)
	require.Len(t, found, 23, "%v", err)
	var all []string
	for _, m := range found {
		section := strings.ReplaceAll(m[1], "[0]", "[]")
		for key := range strings.SplitSeq(m[2], ", ") {
			all = append(all, strings.TrimPrefix(section+"."+key, "."))
		}
	}
	slices.Sort(all)
	require.Len(t, all, 116)
	return all
}

// What the reference says about a bound is what the worker checks.
func TestReference_Bounds(t *testing.T) {
	data, err := os.ReadFile("edgepurge.yaml")
	require.NoError(t, err)
	for words, edges := range map[string][2]string{
		"100ms to 1m. After": {"vercel: {timeout: %s}", "100ms 1m|99ms 61s"},
		"The window, 100ms to 24h.": {
			"accounts: [{budget: {per: %s}}]", "100ms 24h|99ms 24h1s",
		},
		"under way at once, 1 to 100.":              {"accounts: [{budget: {in_flight: %s}}]", "1 100|0 101"},
		"a worker to take them in, 0 to 100000000;": {"redis: {max_queued: %s}", "0 100000000|-1 100000001"},
		"in the form array, 1 to 16.":               {"accounts: [{batch: {max_tags: %s}}]", "1 16|0 17"},
		"Source images a call, 1 to 8.":             {"accounts: [{batch: {max_src_images: %s}}]", "1 8|0 9"},
		"first included, 1 to 100. 1":               {"accounts: [{retry: {max_attempts: %s}}]", "1 100|0 101"},
		"# 10ms to 1h.":                             {"accounts: [{retry: {base: %s}}]", "10ms 1h|9ms 61m"},
		"may be pending, 0 to 100000000;":           {"accounts: [{backlog: {max: %s}}]", "0 100000000|-1 100000001"},
		"base to 24h.":                              {"accounts: [{retry: {cap: %s}}]", "2s 24h|1s 25h"},
		"share its call, 0 to\n    # 1h.":           {"projects: [{project: a, linger: %s}]", "0 1h|-1s 61m"},
		"each second, 0.001 to 1e9;":                {"projects: [{project: a, spread: {rate: %s}}]", "0 0.001 1e9|-1 0.0001 2e9"},
		"after a quiet time, above 0, up to 1e9.":   {"projects: [{project: a, spread: {rate: 1, burst: %s}}]", "0.1 1e9|0 -1 2e9"},
		"Up to 720h.":                               {"projects: [{project: a, spread: {max_delay: %s}}]", "0 720h|-1s 721h"},
		"Cost is 0 to 1e6; 0":                       {"projects: [{project: a, spread: {weights: [{match: a, cost: %s}]}}]", "0 1e6|-1 2e6"},
		"at most a year (8760h).":                   {"projects: [{project: a, spread: {deadline: {over: %s}}}]", "0 8760h|-1s 8761h"},
		"be exceeded, up to 1000000. age":           {"projects: [{project: a, collapse: [{over: %s, to: b}]}]", "1 1000000|0 -1 1000001"},
		"been due for so long, up to 720h.":         {"projects: [{project: a, collapse: [{age: %s, to: b}]}]", "1ms 720h|0 -1s 721h"},
		"take in requests, 1 to 64.":                {"worker: {servers: %s}", "1 64|0 65"},
		"a process handles at once, 1 to 1024":      {"worker: {concurrency: %s}", "1 1024|0 1025"},
	} {
		assert.Contains(t, string(data), words)
		good, bad, _ := strings.Cut(edges[1], "|")
		for v := range strings.FieldsSeq(good) {
			loaded(t, strings.ReplaceAll(edges[0], "%s", v), noEnv)
		}
		for v := range strings.FieldsSeq(bad) {
			_, err := Load(written(t, strings.ReplaceAll(edges[0], "%s", v)), noEnv)
			assert.Error(t, err, "%s %s", words, v)
		}
	}
}
