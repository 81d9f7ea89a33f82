package configs

import (
	"fmt"
	"maps"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/worker"
)

func TestEnvironment_AloneIsEnough(t *testing.T) {
	cfg, err := Load("", env(map[string]string{
		"EDGEPURGE_REDIS_URL":  "redis://redis:6379/2",
		"EDGEPURGE_VERCEL_URL": "http://127.0.0.1:8081",
		"VERCEL_TOKEN":         "tok",
		"VERCEL_TEAM_ID":       "team_1",
		"VERCEL_PROJECT_ID":    "prj_1",
		"EDGEPURGE_METRICS":    ":9999",
		"EDGEPURGE_LOG":        "debug,json",
	}))
	require.NoError(t, err)
	require.NoError(t, cfg.RequireTokens())
	require.NoError(t, cfg.Worker.Validate())

	want := Default()
	want.Redis.URL = "redis://redis:6379/2"
	want.Worker.VercelURL = "http://127.0.0.1:8081"
	want.Worker.Accounts[0].Token = "tok"
	want.Worker.Accounts[0].TeamID = "team_1"
	want.DefaultProject = "prj_1"
	want.Metrics = ":9999"
	want.Log = Log{Level: LevelDebug, Format: FormatJSON}
	assert.Equal(t, want, settings(cfg))
	assert.Equal(t, worker.AnyProject, cfg.Worker.Projects[0].Project)
	assert.Equal(t, "default", cfg.Worker.Projects[0].Account)
}

func TestEnvironment_WinsOverFile(t *testing.T) {
	cfg := loaded(t, `
redis: {url: redis://file:6379/0}
vercel: {url: https://file.example}
accounts: [{name: acme, token: "env:FILE_TOKEN", slug: from-file}]
`, env(map[string]string{
		"EDGEPURGE_REDIS_URL":  "redis://env:6379/0",
		"EDGEPURGE_VERCEL_URL": "https://env.example",
		"FILE_TOKEN":           "file-token",
		"VERCEL_TOKEN":         "env-token",
		"VERCEL_TEAM_ID":       "team_env",
	}))
	assert.Equal(t, "redis://env:6379/0", cfg.Redis.URL)
	assert.Equal(t, "https://env.example", cfg.Worker.VercelURL)
	a := cfg.Worker.Accounts[0]
	assert.Equal(t, "env-token", a.Token)
	assert.Equal(t, "team_env", a.TeamID)
	assert.Empty(t, a.Slug, "the team of the environment is the only one")
}

func TestEnvironment_Metrics(t *testing.T) {
	cfg := loaded(t, `worker: {metrics: "nonsense"}`, env(map[string]string{"EDGEPURGE_METRICS": ":9999"}))
	assert.Equal(t, ":9999", cfg.Metrics)
	_, err := Load("", env(map[string]string{"EDGEPURGE_METRICS": "9999"}))
	assert.ErrorContains(t, err, "EDGEPURGE_METRICS")
}

// A variable also stands in for what the file's reference does not lead to.
func TestEnvironment_MakesGood(t *testing.T) {
	cfg := loaded(t, `
redis: {url: "env:NOT_SET"}
accounts: [{token: "env:NOT_SET_EITHER"}]
`, env(map[string]string{"EDGEPURGE_REDIS_URL": "redis://env:6379/0", "VERCEL_TOKEN": "tok"}))
	require.NoError(t, cfg.RequireTokens())
	assert.Equal(t, "redis://env:6379/0", cfg.Redis.URL)
}

func TestEnvironment_EmptyIsUnset(t *testing.T) {
	empty := map[string]string{}
	for _, name := range []string{
		"EDGEPURGE_CONFIG", "EDGEPURGE_REDIS_URL", "EDGEPURGE_VERCEL_URL",
		"VERCEL_TOKEN", "VERCEL_TEAM_ID", "VERCEL_PROJECT_ID", "EDGEPURGE_METRICS", "EDGEPURGE_LOG",
	} {
		empty[name] = ""
	}
	cfg, err := Load("", env(empty))
	require.NoError(t, err)
	assert.Equal(t, Default(), settings(cfg))
}

const twoAccounts = `
accounts:
  - {name: a, token: "env:TOKEN_A", team_id: team_a}
  - {name: b%s}
projects: [{project: "*", account: a}, {project: prj_b, account: b}]
`

func TestEnvironment_SeveralAccounts(t *testing.T) {
	for _, c := range []struct {
		name   string
		second string            // what the second account says
		vars   map[string]string // beside TOKEN_A
		tokens [2]string
		doubt  string // what RequireTokens says
	}{{
		name:   "the token is for the account that names none",
		vars:   map[string]string{"VERCEL_TOKEN": "env"},
		tokens: [2]string{"tok-a", "env"},
	}, {
		name:   "a token that is referred to is in nobody's place",
		second: `, token: "env:VERCEL_TOKEN"`,
		vars:   map[string]string{"VERCEL_TOKEN": "env"},
		tokens: [2]string{"tok-a", "env"},
	}, {
		name:   "a token that nobody takes",
		second: `, token: "env:TOKEN_A"`,
		vars:   map[string]string{"VERCEL_TOKEN": "env"},
		tokens: [2]string{"tok-a", "tok-a"},
		doubt:  "VERCEL_TOKEN: is set, but all 2 accounts name tokens",
	}, {
		name:   "a team that one of them has",
		second: `, token: "env:TOKEN_A"`,
		vars:   map[string]string{"VERCEL_TEAM_ID": "team_a"},
		tokens: [2]string{"tok-a", "tok-a"},
	}, {
		name:   "a team that none of them has",
		second: `, token: "env:TOKEN_A"`,
		vars:   map[string]string{"VERCEL_TEAM_ID": "team_c"},
		tokens: [2]string{"tok-a", "tok-a"},
		doubt:  "VERCEL_TEAM_ID: is set, but none of the 2 accounts",
	}, {
		name:   "no variable, one token short",
		tokens: [2]string{"tok-a", ""},
		doubt:  "accounts[1].token: is missing: set VERCEL_TOKEN",
	}} {
		t.Run(c.name, func(t *testing.T) {
			vars := map[string]string{"TOKEN_A": "tok-a"}
			maps.Copy(vars, c.vars)
			cfg := loaded(t, fmt.Sprintf(twoAccounts, c.second), env(vars))
			a, b := cfg.Worker.Accounts[0], cfg.Worker.Accounts[1]
			assert.Equal(t, c.tokens[0], a.Token)
			assert.Equal(t, c.tokens[1], b.Token)
			assert.Equal(t, "team_a", a.TeamID)
			assert.Empty(t, b.TeamID)
			if c.doubt == "" {
				require.NoError(t, cfg.RequireTokens())
				return
			}
			require.ErrorContains(t, cfg.RequireTokens(), c.doubt)
			assert.NotContains(t, cfg.RequireTokens().Error(), "tok-a")
		})
	}
}

func TestParseLog(t *testing.T) {
	for in, want := range map[string]Log{
		"":              {LevelInfo, FormatAuto},
		"debug":         {LevelDebug, FormatAuto},
		"WARN":          {LevelWarn, FormatAuto},
		"error,json":    {LevelError, FormatJSON},
		"info, console": {LevelInfo, FormatConsole},
		"info,auto":     {LevelInfo, FormatAuto},
	} {
		got, err := ParseLog(in)
		require.NoError(t, err, in)
		assert.Equal(t, want, got, in)
	}
	for in, want := range map[string]string{
		"verbose":   `"verbose" is not a level: use debug, info, warn or error`,
		"json":      `"json" is not a level: use debug, info, warn or error, and then perhaps a format, such as info,json`,
		",json":     `"" is not a level`,
		"info,":     `"" is not a format: use auto, console or json`,
		"info,xml":  `"xml" is not a format`,
		"info,a,b":  `"a,b" is not a format`,
		"trace,xml": `"trace" is not a level`,
	} {
		_, err := ParseLog(in)
		assert.ErrorContains(t, err, want, in)
	}
}

// docker run --env-file keeps quotes: a variable that has them is refused by its name,
// also one that the file refers to, and no fault repeats the value.
func TestEnvironment_InQuotes(t *testing.T) {
	for _, name := range variables {
		_, err := Load("", env(map[string]string{name: `"hunter2"`}))
		require.ErrorContains(t, err, name+": has quotes around its value", name)
		assert.NotContains(t, err.Error(), "hunter2")
	}
	cfg, err := Load(written(t, `accounts: [{name: a, token: "env:T"}]`), env(map[string]string{"T": `'hunter2'`}))
	require.NoError(t, err)
	err = cfg.RequireTokens()
	require.ErrorContains(t, err, "accounts[0].token: the variable T has quotes around its value")
	assert.NotContains(t, err.Error(), "hunter2")
	for _, value := range []string{`"`, `team"`, `"team'`} {
		assert.False(t, isQuoted(value), value)
	}
}
