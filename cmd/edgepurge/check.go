package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgepurge/edgepurge/configs"
	"github.com/edgepurge/edgepurge/internal/redisurl"
	"github.com/edgepurge/edgepurge/internal/vercel"
	"github.com/edgepurge/edgepurge/worker"
)

func newCheckCommand(a *app) *cobra.Command {
	var asJSON, offline, configOnly bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Look whether everything is in place",
		Long: `check looks at the configuration, at Redis, at the tokens and teams, and at what keeps
purges from going, and prints one line per check: ok, warn or FAIL, each with what to do.
Every command that scripts use is run once, on keys of its own, as this Redis user;
nothing else is changed, and no purge is spent. It exits with 1 if anything is FAIL.`,
		Example: `  edgepurge check
  edgepurge check --config edgepurge.yaml --offline       # ask Vercel nothing
  edgepurge check --config edgepurge.yaml --config-only   # ask neither Redis nor Vercel
  edgepurge check --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r := a.check(cmd.Context(), offline, configOnly)
			if asJSON {
				if err := a.printJSON(r.findings); err != nil {
					return err
				}
			} else {
				for _, f := range r.findings {
					a.printf("%-4s  %s: %s\n", f.Level, f.Name, plain(f.Detail))
				}
			}
			if r.failed {
				return errFailed
			}
			return nil
		},
	}
	jsonFlag(cmd, &asJSON)
	cmd.Flags().BoolVar(&offline, "offline", false, "do not ask Vercel whether it accepts the tokens")
	cmd.Flags().BoolVar(&configOnly, "config-only", false, "look at the configuration and its secrets alone, as before a deployment: ask neither Redis nor Vercel")
	return cmd
}

// level is how bad a finding is.
type level string

const (
	fine     level = "ok"
	doubtful level = "warn"
	broken   level = "FAIL"
)

// finding is one thing that was looked at. Its detail names the remedy.
type finding struct {
	Level  level  `json:"level"`
	Name   string `json:"name"`
	Detail string `json:"detail"`
}

// report collects findings.
type report struct {
	findings []finding
	failed   bool
	accepted map[string]bool // accounts whose token Vercel accepted
}

func (r *report) add(l level, name, format string, args ...any) {
	r.findings = append(r.findings, finding{l, name, fmt.Sprintf(format, args...)})
	r.failed = r.failed || l == broken
}

// check looks at everything that it can get at.
func (a *app) check(ctx context.Context, offline, configOnly bool) *report {
	r := &report{accepted: map[string]bool{}}
	c, err := a.loadConfig()
	if err != nil {
		for _, fault := range each(err) {
			r.add(broken, "config", "%v", fault)
		}
		return r
	}
	r.config(c)
	if configOnly {
		r.tokens(c)
		return r
	}
	rdb, err := a.openRedis(ctx, c)
	if err != nil {
		r.add(broken, "redis", "%v", err)
	} else {
		defer func() { _ = rdb.Close() }()
		r.add(fine, "redis", "%s answers", redisurl.Redact(c.Redis.URL))
		r.redis(ctx, rdb)
		r.accounts(ctx, c, rdb)
	}
	r.vercel(ctx, c, offline)
	if rdb != nil {
		r.held(ctx, c, rdb)
	}
	return r
}

// each takes an error that was joined apart, however deep.
func each(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, one := range joined.Unwrap() {
		all = append(all, each(one)...)
	}
	return all
}

func (r *report) config(c configs.Config) {
	r.add(fine, "config", "%s: %s, %s", cmp.Or(c.File, "no file, environment alone"),
		count(len(c.Worker.Accounts), "account"), projects(c))
	for _, account := range c.Worker.Accounts {
		covers := false
		for _, p := range c.Worker.Projects {
			covers = covers || p.Account == account.Name
		}
		if !covers {
			r.add(doubtful, "config", "account %s covers no project: add one under projects", account.Name)
		}
	}
	if err := c.RequireGateway(); err != nil {
		for _, fault := range each(err) { // the machine of a worker need not have them
			r.add(doubtful, "gateway", "%v; `edgepurge gateway` and `serve` need it, workers do not", fault)
		}
	}
}

func projects(c configs.Config) string {
	named, rest := 0, ""
	for _, p := range c.Worker.Projects {
		if p.Project == worker.AnyProject {
			rest = "project in account " + p.Account
			continue
		}
		named++
	}
	switch {
	case rest == "":
		return count(named, "project") + " and no other"
	case named == 0:
		return "any " + rest
	}
	return count(named, "project") + ", any other " + rest
}

// vercel asks whether each token is accepted.
func (r *report) vercel(ctx context.Context, c configs.Config, offline bool) {
	if emulated(c) {
		r.add(doubtful, "vercel", "vercel.url is %s, not Vercel's: nothing is purged there", c.Redacted().Worker.VercelURL)
	}
	r.tokens(c)
	for _, account := range c.Worker.Accounts {
		if account.Token == "" {
			continue
		}
		name := "token of " + account.Name
		if offline {
			r.add(fine, name, "is there; whether Vercel accepts it was not asked (--offline)")
			continue
		}
		r.token(ctx, c, account, name)
	}
}

// tokens says which tokens cannot be had.
func (r *report) tokens(c configs.Config) {
	if err := c.RequireTokens(); err != nil {
		for _, fault := range each(err) {
			r.add(broken, "token", "%v", fault)
		}
	}
}

func (r *report) token(ctx context.Context, c configs.Config, account worker.Account, name string) {
	client, err := vercel.New(vercel.Config{
		BaseURL: c.Worker.VercelURL, Token: account.Token, TeamID: account.TeamID, Slug: account.Slug, Timeout: c.Worker.Timeout,
	})
	if err != nil {
		r.add(broken, name, "%v", err)
		return
	}
	defer client.CloseIdleConnections()
	start := time.Now()
	err = client.Check(ctx)
	status, answered := errors.AsType[*vercel.StatusError](err)
	switch {
	case err == nil:
		r.add(fine, name, "accepted, in %s", brief(time.Since(start)))
		r.accepted[account.Name] = true
		r.team(ctx, client, account)
	case answered && (status.Status == http.StatusUnauthorized || status.Status == http.StatusForbidden):
		r.add(broken, name, "%v: make a new token and set it where the old one is", err)
	case answered:
		r.add(doubtful, name, "could not be looked at: %v", err)
	default:
		r.add(broken, name, "Vercel cannot be reached: %v: check the network, the proxy and vercel.url", err)
	}
}

// team asks whether the token reaches the team that its calls name.
func (r *report) team(ctx context.Context, client *vercel.Client, account worker.Account) {
	team := cmp.Or(account.TeamID, account.Slug)
	if team == "" {
		return
	}
	name := "team of " + account.Name
	err := client.CheckTeam(ctx)
	status, answered := errors.AsType[*vercel.StatusError](err)
	switch {
	case err == nil:
		r.add(fine, name, "%s is one of the token's", team)
	case answered && (status.Status == http.StatusForbidden || status.Status == http.StatusNotFound):
		r.add(broken, name, "%s is not one of the token's teams: %v: check team_id or VERCEL_TEAM_ID, or make a token of a member", team, err)
	default:
		r.add(doubtful, name, "could not look for %s: %v", team, err)
	}
}
