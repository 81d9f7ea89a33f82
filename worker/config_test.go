package worker

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// faultsOf lists the fields of all faults.
func faultsOf(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	require.True(t, ok, "%T", err)
	var fields []string
	for _, e := range joined.Unwrap() {
		f, ok := errors.AsType[*FieldError](e)
		require.True(t, ok, "%T", e)
		fields = append(fields, f.Field)
	}
	return fields
}

func valid() Config {
	c := DefaultConfig()
	c.Accounts[0].Token = testToken
	return c
}

func TestDefaultConfig_LacksOnlyTheToken(t *testing.T) {
	c := DefaultConfig()
	err := c.Validate()
	assert.Equal(t, []string{"accounts[0].token"}, faultsOf(t, err))
	require.EqualError(t, err, "accounts[0].token: is missing: set VERCEL_TOKEN, or write env:NAME or file:PATH")

	c = valid()
	require.NoError(t, c.Validate())
	assert.Equal(t, Budget{Calls: 5, Per: time.Minute, Reserve: 1, InFlight: 4}, c.Accounts[0].Budget)
	assert.Equal(t, Batch{Form: FormArray, MaxTags: 16, MaxSrcImages: 8}, c.Accounts[0].Batch)
	assert.Equal(t, Retry{MaxAttempts: 20, Base: 2 * time.Second, Cap: 10 * time.Minute}, c.Accounts[0].Retry)
	assert.Equal(t, Project{Project: "*", Account: "default", Linger: time.Second, Spread: Spread{MaxDelay: 15 * time.Minute}}, c.Projects[0])
}

func TestValidate_Bounds(t *testing.T) {
	account := func(f func(*Account)) func(*Config) { return func(c *Config) { f(&c.Accounts[0]) } }
	project := func(f func(*Project)) func(*Config) { return func(c *Config) { f(&c.Projects[0]) } }
	timeout := func(d time.Duration) func(*Config) { return func(c *Config) { c.Timeout = d } }
	url := func(s string) func(*Config) { return func(c *Config) { c.VercelURL = s } }
	servers := func(n int) func(*Config) { return func(c *Config) { c.Servers = n } }
	concurrency := func(n int) func(*Config) { return func(c *Config) { c.Concurrency = n } }
	named := func(s string) func(*Config) {
		return func(c *Config) { c.Accounts[0].Name, c.Projects[0].Account = s, s }
	}
	calls := func(n int) func(*Config) {
		return account(func(a *Account) { a.Budget.Calls = n; a.Budget.Reserve = 0 })
	}
	per := func(d time.Duration) func(*Config) { return account(func(a *Account) { a.Budget.Per = d }) }
	reserve := func(of, n int) func(*Config) {
		return account(func(a *Account) { a.Budget.Calls, a.Budget.Reserve = of, n })
	}
	inFlight := func(n int) func(*Config) { return account(func(a *Account) { a.Budget.InFlight = n }) }
	form := func(f Form) func(*Config) { return account(func(a *Account) { a.Batch.Form = f }) }
	maxTags := func(n int) func(*Config) { return account(func(a *Account) { a.Batch.MaxTags = n }) }
	maxImages := func(n int) func(*Config) { return account(func(a *Account) { a.Batch.MaxSrcImages = n }) }
	attempts := func(n int) func(*Config) { return account(func(a *Account) { a.Retry.MaxAttempts = n }) }
	retry := func(base, most time.Duration) func(*Config) {
		return account(func(a *Account) { a.Retry.Base, a.Retry.Cap = base, most })
	}
	id := func(s string) func(*Config) { return project(func(p *Project) { p.Project = s }) }
	linger := func(d time.Duration) func(*Config) { return project(func(p *Project) { p.Linger = d }) }
	rate := func(r float64) func(*Config) { return project(func(p *Project) { p.Spread.Rate = r }) }
	burst := func(b float64) func(*Config) { return project(func(p *Project) { p.Spread.Burst = b }) }
	maxDelay := func(d time.Duration) func(*Config) { return project(func(p *Project) { p.Spread.MaxDelay = d }) }
	weight := func(match string, cost float64) func(*Config) {
		return project(func(p *Project) { p.Spread.Weights = []Weight{{"fine", 1}, {match, cost}} })
	}
	deadline := func(least, over time.Duration) func(*Config) {
		return project(func(p *Project) { p.Spread.Deadline = Stagger{least, over} })
	}
	const year = 31536000 * time.Second
	for _, c := range []struct {
		field string
		good  []func(*Config)
		bad   []func(*Config)
	}{
		{
			"vercel.url",
			[]func(*Config){url("http://127.0.0.1:80"), url("https://proxy.example/vercel")},
			[]func(*Config){url(""), url("api.vercel.com"), url("ftp://api.vercel.com"), url("https://"), url("http://a b"), url("://")},
		},
		{
			"vercel.timeout",
			[]func(*Config){timeout(100 * time.Millisecond), timeout(time.Minute)},
			[]func(*Config){timeout(0), timeout(99 * time.Millisecond), timeout(time.Minute + 1), timeout(-1)},
		},
		{"worker.servers", []func(*Config){servers(1), servers(64)}, []func(*Config){servers(0), servers(65), servers(-1)}},
		{"worker.concurrency", []func(*Config){concurrency(1), concurrency(1024)}, []func(*Config){concurrency(0), concurrency(1025)}},
		{
			"accounts[0].name",
			[]func(*Config){named("a"), named("A-z_0.9"), named(strings.Repeat("x", 100))},
			[]func(*Config){named(""), named("a b"), named("{a}"), named("a:b"), named("é"), named("a\n"), named(strings.Repeat("x", 101))},
		},
		{"accounts[0].token", nil, []func(*Config){account(func(a *Account) { a.Token = "" })}},
		{
			"accounts[0].slug",
			[]func(*Config){account(func(a *Account) { a.Slug = "s" }), account(func(a *Account) { a.TeamID = "t" })},
			[]func(*Config){account(func(a *Account) { a.Slug, a.TeamID = "s", "t" })},
		},
		{"accounts[0].budget.calls", []func(*Config){calls(0), calls(1), calls(1_000_000)}, []func(*Config){calls(-1), calls(1_000_001)}},
		{
			"accounts[0].budget.per",
			[]func(*Config){per(100 * time.Millisecond), per(24 * time.Hour)},
			[]func(*Config){per(0), per(100*time.Millisecond - 1), per(24*time.Hour + 1)},
		},
		{
			"accounts[0].budget.reserve",
			[]func(*Config){reserve(0, 0), reserve(1, 0), reserve(5, 4), reserve(0, 7)},
			[]func(*Config){reserve(5, 5), reserve(1, 1), reserve(5, -1), reserve(0, -1)},
		},
		{"accounts[0].budget.in_flight", []func(*Config){inFlight(1), inFlight(100)}, []func(*Config){inFlight(0), inFlight(101)}},
		{"accounts[0].batch.form", []func(*Config){form(FormArray), form(FormString)}, []func(*Config){form(""), form("Array")}},
		{"accounts[0].batch.max_tags", []func(*Config){maxTags(1), maxTags(16)}, []func(*Config){maxTags(0), maxTags(17)}},
		{"accounts[0].batch.max_src_images", []func(*Config){maxImages(1), maxImages(8)}, []func(*Config){maxImages(0), maxImages(9)}},
		{"accounts[0].retry.max_attempts", []func(*Config){attempts(1), attempts(100)}, []func(*Config){attempts(0), attempts(101)}},
		{
			"accounts[0].retry.base",
			[]func(*Config){retry(10*time.Millisecond, time.Hour), retry(time.Hour, time.Hour)},
			[]func(*Config){retry(0, time.Hour), retry(10*time.Millisecond-1, time.Hour), retry(time.Hour+1, 2*time.Hour)},
		},
		{
			"accounts[0].retry.cap",
			[]func(*Config){retry(time.Second, time.Second), retry(time.Second, 24*time.Hour)},
			[]func(*Config){retry(time.Second, time.Second-1), retry(time.Second, 24*time.Hour+1), retry(time.Second, 0)},
		},
		{
			"projects[0].project",
			[]func(*Config){id("*"), id("prj_abc"), id("my-site.2")},
			[]func(*Config){id(""), id("prj*"), id("a b"), id("a:b"), id(strings.Repeat("x", 101))},
		},
		{"projects[0].linger", []func(*Config){linger(0), linger(time.Hour)}, []func(*Config){linger(-1), linger(time.Hour + 1)}},
		{
			"projects[0].spread.rate",
			[]func(*Config){rate(0), rate(0.001), rate(1e9)},
			[]func(*Config){rate(-1), rate(0.0009), rate(1.1e9), rate(math.NaN()), rate(math.Inf(1))},
		},
		{
			"projects[0].spread.burst",
			[]func(*Config){burst(0), burst(1e9)},
			[]func(*Config){burst(-0.1), burst(1.1e9), burst(math.NaN()), burst(math.Inf(1))},
		},
		{
			"projects[0].spread.max_delay",
			[]func(*Config){maxDelay(0), maxDelay(30 * 24 * time.Hour)},
			[]func(*Config){maxDelay(-1), maxDelay(30*24*time.Hour + 1)},
		},
		{
			"projects[0].spread.weights[1].match",
			[]func(*Config){weight("a", 1), weight("layout:*", 1), weight("*", 1)},
			[]func(*Config){weight("", 1), weight("a*b", 1), weight("*a", 1), weight("a**", 1)},
		},
		{
			"projects[0].spread.weights[1].cost",
			[]func(*Config){weight("a", 0), weight("a", 1e6)},
			[]func(*Config){weight("a", -1), weight("a", 1e6+1), weight("a", math.NaN())},
		},
		{
			"projects[0].spread.deadline.min",
			[]func(*Config){deadline(0, 0), deadline(time.Second, 1500*time.Millisecond), deadline(year, 0)},
			[]func(*Config){deadline(-time.Second, 0), deadline(1500*time.Millisecond, 0)},
		},
		{"projects[0].spread.deadline.over", []func(*Config){deadline(0, year)}, []func(*Config){deadline(0, -1)}},
		{"projects[0].spread.deadline", []func(*Config){deadline(year/2, year/2)}, []func(*Config){deadline(year, time.Second)}},
	} {
		t.Run(c.field, func(t *testing.T) {
			for i, change := range c.good {
				config := valid()
				change(&config)
				require.NoError(t, config.Validate(), "good %d", i)
			}
			for i, change := range c.bad {
				config := valid()
				change(&config)
				assert.Equal(t, []string{c.field}, faultsOf(t, config.Validate()), "bad %d", i)
			}
		})
	}
}

func TestValidate_Relations(t *testing.T) {
	c := valid()
	c.Accounts = append(c.Accounts, c.Accounts[0])
	c.Projects = append(c.Projects, c.Projects[0], Project{Project: "p", Account: "nobody"})
	err := c.Validate()
	assert.Equal(t, []string{"accounts[1].name", "projects[1].project", "projects[2].account"}, faultsOf(t, err))
	assert.ErrorContains(t, err, `no account is named "nobody": name one of "default", "default"`)

	c = valid()
	c.Accounts, c.Projects = nil, nil
	assert.Equal(t, []string{"accounts"}, faultsOf(t, c.Validate()))
}

func TestValidate_AllFaultsAtOnce(t *testing.T) {
	c := Config{Accounts: []Account{{}}, Projects: []Project{{Linger: -1}}}
	err := c.Validate()
	assert.Equal(t, []string{
		"vercel.url", "vercel.timeout", "worker.servers", "worker.concurrency",
		"accounts[0].name", "accounts[0].token", "accounts[0].budget.per", "accounts[0].budget.in_flight", "accounts[0].batch.form",
		"accounts[0].batch.max_tags", "accounts[0].batch.max_src_images", "accounts[0].retry.max_attempts", "accounts[0].retry.base", "accounts[0].backlog.when_full",
		"projects[0].project", "projects[0].linger",
	}, faultsOf(t, err))
	for line := range strings.SplitSeq(err.Error(), "\n") {
		assert.Contains(t, line, ": ", "each fault on a line of its own")
	}
}

func TestNew_RefusesAFaultyConfig(t *testing.T) {
	_, err := New(DefaultConfig(), Options{})
	require.ErrorContains(t, err, "accounts[0].token")

	c := valid()
	c.Accounts[0].Token = "two words"
	_, err = New(c, Options{})
	require.ErrorContains(t, err, "account default: ")
	assert.NotContains(t, err.Error(), "two words")
}

func TestConfig_PlainHTTP(t *testing.T) {
	for _, c := range []struct {
		url, allow string
		ok         bool
	}{
		{"https://api.vercel.com", "", true},
		{"http://127.0.0.1:8089", "", true},
		{"http://127.8.8.8", "", true},
		{"http://[::1]:8089", "", true},
		{"http://localhost:8089", "", true},
		{"http://api.vercel.com", "", false},
		{"http://localhost.evil.example", "", false},
		{"http://emulator:8089", "", false},
		{"http://emulator:8089", "emulator", true},
		{"http://other:8089", "emulator", false},
		{"http://10.0.0.1", "", false},
		{"http://0.0.0.0:8089", "", false},
	} {
		config := DefaultConfig()
		config.Accounts[0].Token = "t"
		config.VercelURL, config.AllowHTTP = c.url, c.allow
		if err := config.Validate(); c.ok {
			assert.NoError(t, err, c.url)
		} else {
			assert.ErrorContains(t, err, "plain text", c.url)
		}
	}
}
