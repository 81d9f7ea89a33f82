package configs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/worker"
)

var noEnv = env(nil)

// loaded loads a file with the given content and expects no fault.
func loaded(t *testing.T, content string, getenv func(string) string) Config {
	t.Helper()
	cfg, err := Load(written(t, content), getenv)
	require.NoError(t, err)
	return cfg
}

func written(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "edgepurge.yaml")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// settings leaves out what Load remembers about the file itself.
func settings(c Config) Config {
	c.File, c.origin = "", origin{}
	return c
}

func TestLoad_NoFile(t *testing.T) {
	cfg, err := Load("", noEnv)
	require.NoError(t, err)
	assert.Equal(t, Default(), settings(cfg))
	assert.Empty(t, cfg.File)
	assert.Equal(t, worker.DefaultConfig(), cfg.Worker)
	assert.Equal(t, "redis://127.0.0.1:6379/0", cfg.Redis.URL)
}

func TestLoad_NothingWritten(t *testing.T) {
	for name, content := range map[string]string{
		"empty":         "",
		"comments":      "# nothing here\n",
		"bare document": "---\n# nothing\n",
		"two bare ones": "---\n---\n",
		"byte order":    "\ufeff",
		"empty values":  "redis:\nvercel:\naccounts:\nprojects:\nworker:\ngateway:\n",
		"empty flow":    "redis: {}\naccounts: []\nprojects: []\n",
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, Default(), settings(loaded(t, content, noEnv)))
		})
	}
}

// The example of the design, as people will copy it.
func TestLoad_Everything(t *testing.T) {
	cfg := loaded(t, `
redis: {url: rediss://user@redis.example:6380/1, wait_replicas: 2, wait_timeout: 300ms, max_queued: 7}
vercel: {url: http://127.0.0.1:9999, timeout: 3s}
accounts:
  - name: acme
    token: env:VERCEL_TOKEN
    team_id: team_123
    budget: {calls: 50, per: 30s, reserve: 2, in_flight: 8}
    batch: {form: string, max_tags: 12, max_src_images: 3}
    retry: {max_attempts: 7, base: 500ms, cap: 1m30s}
    backlog: {max: 5000, when_full: dead}
projects:
  - project: prj_abc
    account: acme
    linger: 250ms
    spread: {rate: 0.5, burst: 1e2, max_delay: 1h, weights: [{match: "layout:*", cost: 500}, {match: home, cost: .5}], deadline: {min: 10s, over: 5m}}
worker: {servers: 2, concurrency: 64, metrics: ":9100"}
`, env(map[string]string{"VERCEL_TOKEN": "t0k3n"}))
	want := Default()
	want.Redis = Redis{URL: "rediss://user@redis.example:6380/1", WaitReplicas: 2, WaitTimeout: 300 * time.Millisecond, MaxQueued: 7}
	want.Metrics = ":9100"
	want.Worker = worker.Config{
		VercelURL: "http://127.0.0.1:9999",
		Timeout:   3 * time.Second,
		Accounts: []worker.Account{{
			Name: "acme", Token: "t0k3n", TeamID: "team_123",
			Budget: worker.Budget{Calls: 50, Per: 30 * time.Second, Reserve: 2, InFlight: 8},
			Batch:  worker.Batch{Form: worker.FormString, MaxTags: 12, MaxSrcImages: 3},
			Retry:  worker.Retry{MaxAttempts: 7, Base: 500 * time.Millisecond, Cap: 90 * time.Second},

			Backlog: worker.Backlog{Max: 5000, WhenFull: worker.FullDead},
		}},
		Projects: []worker.Project{{
			Project: "prj_abc", Account: "acme", Linger: 250 * time.Millisecond,
			Spread: worker.Spread{
				Rate: 0.5, Burst: 100, MaxDelay: time.Hour,
				Weights:  []worker.Weight{{Match: "layout:*", Cost: 500}, {Match: "home", Cost: 0.5}},
				Deadline: worker.Stagger{Min: 10 * time.Second, Over: 5 * time.Minute},
			},
		}},
		Servers: 2, Concurrency: 64,
	}
	assert.Equal(t, want, settings(cfg))
	require.NoError(t, cfg.RequireTokens())
	require.NoError(t, cfg.Worker.Validate(), "what Load lets through is what a worker takes")
}

// What is left out of an entry keeps its default; what is written stays, zero included.
func TestLoad_PartialAccounts(t *testing.T) {
	for content, change := range map[string]func(*worker.Account){
		"name: acme":                     func(a *worker.Account) { a.Name = "acme" },
		"name: acme\n    budget:":        func(a *worker.Account) { a.Name = "acme" },
		"budget: {calls: 20}":            func(a *worker.Account) { a.Budget.Calls = 20 },
		"budget: {calls: 1}":             func(a *worker.Account) { a.Budget.Calls, a.Budget.Reserve = 1, 0 },
		"budget: {calls: 2}":             func(a *worker.Account) { a.Budget.Calls, a.Budget.Reserve = 2, 1 },
		"budget: {calls: 0}":             func(a *worker.Account) { a.Budget.Calls, a.Budget.Reserve = 0, 0 },
		"budget: {calls: 0, reserve: 3}": func(a *worker.Account) { a.Budget.Calls, a.Budget.Reserve = 0, 3 },
		"budget: {reserve: 0}":           func(a *worker.Account) { a.Budget.Reserve = 0 },
		"batch: {form: string}":          func(a *worker.Account) { a.Batch.Form = worker.FormString },
		"retry: {base: 20m}": func(a *worker.Account) {
			a.Retry.Base, a.Retry.Cap = 20*time.Minute, 20*time.Minute
		},
	} {
		t.Run(content, func(t *testing.T) {
			want := worker.DefaultAccount()
			change(&want)
			cfg := loaded(t, "accounts:\n  - "+content+"\n", noEnv)
			require.Equal(t, []worker.Account{want}, cfg.Worker.Accounts)
			assert.Equal(t, want.Name, cfg.Worker.Projects[0].Account, "the only account has every project")
		})
	}
}

func TestLoad_PartialProjects(t *testing.T) {
	for content, change := range map[string]func(*worker.Project){
		"linger: 0":                     func(p *worker.Project) { p.Linger = 0 },
		"linger: 0s":                    func(p *worker.Project) { p.Linger = 0 },
		"spread:":                       func(*worker.Project) {},
		"spread: {rate: 50}":            func(p *worker.Project) { p.Spread.Rate, p.Spread.Burst = 50, 50 },
		"spread: {rate: 0.2}":           func(p *worker.Project) { p.Spread.Rate, p.Spread.Burst = 0.2, 1 },
		"spread: {rate: 50, burst: 10}": func(p *worker.Project) { p.Spread.Rate, p.Spread.Burst = 50, 10 },
		"spread: {rate: 0}":             func(*worker.Project) {},
		"spread: {max_delay: 0}":        func(p *worker.Project) { p.Spread.MaxDelay = 0 },
	} {
		t.Run(content, func(t *testing.T) {
			want := worker.DefaultProject()
			want.Project, want.Account = "prj_a", "acme"
			change(&want)
			cfg := loaded(t, "accounts: [{name: acme}]\nprojects:\n  - project: prj_a\n    "+content+"\n", noEnv)
			assert.Equal(t, []worker.Project{want}, cfg.Worker.Projects)
		})
	}
}

// A bare reference or pattern within one line means what it means in YAML.
func TestLoad_FlowStyle(t *testing.T) {
	cfg := loaded(t, `
accounts: [{token: env:A, name: a}, {name: b, token: file:no/such}]
projects: [{project: "*", account: a, spread: {weights: [{match: layout:*, cost: 5}]}}]
`, env(map[string]string{"A": "tok"}))
	assert.Equal(t, "tok", cfg.Worker.Accounts[0].Token)
	assert.Equal(t, "layout:*", cfg.Worker.Projects[0].Spread.Weights[0].Match)
}

func TestLoad_CarriageReturns(t *testing.T) {
	cfg := loaded(t, "vercel:\r\n  timeout: 7s\r\nworker:\r\n  servers: 3\r\n", noEnv)
	assert.Equal(t, 7*time.Second, cfg.Worker.Timeout)
	assert.Equal(t, 3, cfg.Worker.Servers)
}

func TestLoad_FromVariable(t *testing.T) {
	path := written(t, "worker: {servers: 3}")
	cfg, err := Load("", env(map[string]string{"EDGEPURGE_CONFIG": path}))
	require.NoError(t, err)
	assert.Equal(t, path, cfg.File)
	assert.Equal(t, 3, cfg.Worker.Servers)

	cfg, err = Load(path, env(map[string]string{"EDGEPURGE_CONFIG": "no/such"}))
	require.NoError(t, err, "a path that is given wins over the variable")
	assert.Equal(t, path, cfg.File)
}

func TestLoad_Unreadable(t *testing.T) {
	_, err := Load("no/such.yaml", noEnv)
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.Contains(t, err.Error(), "no/such.yaml")

	_, err = Load("", env(map[string]string{"EDGEPURGE_CONFIG": "no/such.yaml"}))
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.Contains(t, err.Error(), "EDGEPURGE_CONFIG")

	_, err = Load(t.TempDir(), noEnv)
	assert.Error(t, err, "a directory")
}

func TestLoad_SizeBound(t *testing.T) {
	line := strings.Repeat("#", 1023) + "\n"
	fits := written(t, strings.Repeat(line, maxFileBytes/len(line)))
	_, err := Load(fits, noEnv)
	require.NoError(t, err)
	_, err = Load(written(t, strings.Repeat(line, maxFileBytes/len(line))+"\n"), noEnv)
	assert.ErrorContains(t, err, "larger than 1048576 bytes")
}

// Every fault says where it is, in a form that programs can use too.
func TestLoad_Faults(t *testing.T) {
	path := written(t, "vercel:\n  timeout: 5\naccounts:\n  - budget:\n      calls: -1\n")
	_, err := Load(path, env(map[string]string{"EDGEPURGE_LOG": "loud"}))
	joined, ok := err.(interface{ Unwrap() []error })
	require.True(t, ok)
	var got []Fault
	for _, e := range joined.Unwrap() {
		f, ok := errors.AsType[*Fault](e)
		require.True(t, ok, "%v", e)
		got = append(got, Fault{File: f.File, Line: f.Line, Column: f.Column, Field: f.Field})
	}
	assert.Equal(t, []Fault{
		{File: path, Line: 2, Column: 12, Field: "vercel.timeout"},
		{File: path, Line: 5, Column: 14, Field: "accounts[0].budget.calls"},
		{Field: "EDGEPURGE_LOG"}, // the environment's come last
	}, got)
}

// A configuration of thousands of projects loads in the time of a start-up.
func TestLoad_ManyProjects(t *testing.T) {
	var b strings.Builder
	b.WriteString("projects:\n")
	for i := range 2000 {
		fmt.Fprintf(&b, "  - project: prj_%d\n    spread: {rate: 5, weights: [{match: \"layout:*\", cost: 500}]}\n", i)
	}
	start := time.Now()
	cfg := loaded(t, b.String(), noEnv)
	assert.Len(t, cfg.Worker.Projects, 2000)
	assert.Less(t, time.Since(start), 20*time.Second, "reading has become quadratic")
}

func TestLoad_MetricsOff(t *testing.T) {
	assert.Empty(t, loaded(t, `worker: {metrics: ""}`, noEnv).Metrics)
	assert.Equal(t, "[::1]:0", loaded(t, `worker: {metrics: "[::1]:0"}`, noEnv).Metrics)
}

// Texts mean the same in whatever style they are written.
func TestLoad_TextStyles(t *testing.T) {
	for _, text := range []string{`acme`, `"acme"`, `'acme'`, "|-\n      acme", ">-\n      acme", `"\x61cme"`} {
		cfg := loaded(t, "accounts:\n  - name: "+text+"\n", noEnv)
		assert.Equal(t, "acme", cfg.Worker.Accounts[0].Name, text)
	}
}
