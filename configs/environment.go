package configs

import (
	"errors"
	"fmt"
	"slices"

	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker"
)

// redisURL is the path of the one setting beside the tokens that may hold a secret.
const redisURL = "redis.url"

// variables are those that are read besides the ones that the file names.
var variables = []string{
	"EDGEPURGE_REDIS_URL", "EDGEPURGE_VERCEL_URL", "EDGEPURGE_LISTEN", "EDGEPURGE_METRICS", "EDGEPURGE_VERCEL_ALLOW_HTTP",
	"EDGEPURGE_LOG", "VERCEL_TOKEN", "VERCEL_TEAM_ID", "VERCEL_PROJECT_ID",
}

// inQuotes is what is wrong with a variable whose value stands in quotes. A shell
// takes them off; docker run --env-file and systemd before 229 do not.
const inQuotes = "has quotes around its value, which belong to it for whoever set it (docker run --env-file keeps them): remove them"

// isQuoted reports whether a value begins and ends with the same quote.
func isQuoted(s string) bool {
	return len(s) > 1 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0]
}

// environment puts the variables over what the file says.
func (r *reader) environment() {
	quoted := map[string]bool{}
	for _, name := range variables {
		if isQuoted(r.getenv(name)) {
			quoted[name] = true
			r.faults = append(r.faults, &Fault{Field: name, Problem: inQuotes})
		}
	}
	if len(quoted) > 0 { // one fault each is enough
		getenv := r.getenv
		defer func() { r.getenv = getenv }()
		r.getenv = func(name string) string {
			if quoted[name] {
				return ""
			}
			return getenv(name)
		}
	}
	if v := r.getenv("EDGEPURGE_REDIS_URL"); v != "" {
		r.override(redisURL, "EDGEPURGE_REDIS_URL")
		r.cfg.Redis.URL = v
	}
	if v := r.getenv("EDGEPURGE_VERCEL_URL"); v != "" {
		r.override("vercel.url", "EDGEPURGE_VERCEL_URL")
		r.cfg.Worker.VercelURL = v
	}
	if v := r.getenv("EDGEPURGE_LISTEN"); v != "" {
		r.override(gatewayListen, "EDGEPURGE_LISTEN")
		delete(r.broken, gatewayListen)
		r.cfg.Gateway.Listen = v
	}
	if v := r.getenv("EDGEPURGE_METRICS"); v != "" {
		r.override("worker.metrics", "EDGEPURGE_METRICS")
		delete(r.broken, "worker.metrics")
		r.cfg.Metrics = v
	}
	if v := r.getenv("EDGEPURGE_VERCEL_ALLOW_HTTP"); v != "" {
		r.cfg.Worker.AllowHTTP = v
	}
	if v := r.getenv("VERCEL_TOKEN"); v != "" {
		r.environmentToken(v)
	}
	if v := r.getenv("VERCEL_TEAM_ID"); v != "" {
		r.environmentTeam(v)
	}
	if v := r.getenv("VERCEL_PROJECT_ID"); v != "" {
		if err := checkProject(v); err != nil {
			r.faults = append(r.faults, &Fault{Field: "VERCEL_PROJECT_ID", Problem: err.Error()})
		}
		r.cfg.DefaultProject = v
	}
	if v := r.getenv("EDGEPURGE_LOG"); v != "" {
		log, err := ParseLog(v)
		if err != nil {
			r.faults = append(r.faults, &Fault{Field: "EDGEPURGE_LOG", Problem: err.Error()})
		}
		r.cfg.Log = log
	}
}

// override notes that a variable stands where the file's value stood.
func (r *reader) override(path, variable string) {
	r.places[path] = place{variable: variable}
	delete(r.unresolved, path)
}

// environmentToken gives the token to the only account, or to those of several
// that name none: one person's token may reach several teams.
func (r *reader) environmentToken(token string) {
	accounts := r.cfg.Worker.Accounts
	taken := false
	for i := range accounts {
		at := fmt.Sprintf("accounts[%d].token", i)
		if len(accounts) > 1 && r.written(at) {
			taken = taken || accounts[i].Token == cleaned(token)
			continue
		}
		taken = true
		r.override(at, "VERCEL_TOKEN")
		accounts[i].Token = r.usable(at, token)
	}
	if !taken {
		r.doubts = append(r.doubts, &Fault{
			Field:   "VERCEL_TOKEN",
			Problem: fmt.Sprintf("is set, but all %d accounts name tokens of their own: write token: env:VERCEL_TOKEN where it belongs, or unset it", len(accounts)),
		})
	}
}

// environmentTeam gives the team to the only account, in place of its slug too.
func (r *reader) environmentTeam(team string) {
	accounts := r.cfg.Worker.Accounts
	if len(accounts) == 1 {
		if !r.written("accounts[0].team_id") { // else both were written, which is a fault
			accounts[0].Slug = ""
		}
		r.override("accounts[0].team_id", "VERCEL_TEAM_ID")
		accounts[0].TeamID = team
		return
	}
	if !slices.ContainsFunc(accounts, func(a worker.Account) bool { return a.TeamID == team }) {
		r.doubts = append(r.doubts, &Fault{
			Field:   "VERCEL_TEAM_ID",
			Problem: fmt.Sprintf("is set, but none of the %d accounts has this team_id: write it where it belongs, or unset it", len(accounts)),
		})
	}
}

// checkProject borrows the rule for projects from the wire contract.
func checkProject(project string) error {
	l := tasks.Lane{Project: project, Kind: tasks.Tag, Operation: tasks.Delete, DeadlineSeconds: tasks.NoDeadline, Priority: tasks.Normal}
	if f, ok := errors.AsType[*tasks.FieldError](l.Validate()); ok {
		return errors.New(f.Problem)
	}
	return nil
}
