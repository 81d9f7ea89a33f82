package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/edgepurge/edgepurge/configs"
	"github.com/edgepurge/edgepurge/internal/redisurl"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker"
)

const (
	// devJournal is how many calls the emulator keeps; they are printed long before.
	devJournal = 1000
	// devItems is how many items of a call are printed.
	devItems = 6
)

// introduce says what runs, and how to use it.
func (a *app) introduce(s *devStage, c configs.Config, f devFlags, gateway string) {
	redis := redisurl.Redact(s.redisURL)
	if f.redis == "" {
		a.printf("Redis   %s, embedded: IT FORGETS EVERYTHING when this ends\n", redis)
		if c.Redis.URL != s.redisURL && c.Redis.URL != configs.Default().Redis.URL {
			a.notef("edgepurge: redis.url (%s) is not used: to use it, give it with --redis", redisurl.Redact(c.Redis.URL))
		}
	} else {
		a.printf("Redis   %s\n", redis)
	}
	if s.emulator != nil {
		a.printf("Vercel  EMULATED at %s: nothing is purged at Vercel; journal at /_emulator/calls\n", s.vercel)
	} else {
		a.printf("Vercel  REAL API at %s with the token of VERCEL_TOKEN: what you ask for IS PURGED\n", s.vercel)
	}
	a.printf("gateway http://%s\n", gateway)
	if s.emulator == nil && c.Gateway.Empty() {
		a.printf("        /hooks/dev is closed, since it checks nothing and VERCEL_TOKEN is real: configure gateway.sources or gateway.api_keys\n")
	}
	for _, account := range s.worker.Accounts {
		a.printf("budget  %s\n", budgetText(account, s.emulator != nil))
	}
	option := ""
	if s.redisURL != configs.Default().Redis.URL {
		option = "EDGEPURGE_REDIS_URL=" + redis + " "
	}
	project := devProject(c)
	curl := ""
	if s.hook {
		curl = fmt.Sprintf("  curl -d '{\"tags\":[\"a\"]}' http://%s/hooks/dev\n", gateway)
	}
	a.printf(`
ask for a purge, from another terminal or from Go:
  %sedgepurge purge --project %s --tag a
%s  client, err := enqueue.New(enqueue.Config{Redis: %q})
  https://pkg.go.dev/github.com/edgepurge/edgepurge/enqueue

calls of the API (Ctrl-C ends it):
`, option, project, curl, redis)
}

func budgetText(a worker.Account, emulated bool) string {
	if a.Budget.Calls == 0 {
		return "account " + a.Name + ": unlimited, which Vercel is not"
	}
	text := fmt.Sprintf("account %s: %s in any %s, %d of them for urgent purges; what comes then waits",
		a.Name, count(a.Budget.Calls, "call"), brief(a.Budget.Per), a.Budget.Reserve)
	if emulated {
		text += " (--fast lifts it)"
	}
	return text
}

// callPrinter prints a line for every call of the API.
type callPrinter struct {
	app  *app
	mu   sync.Mutex
	last int64 // the Seq of the last call printed
}

// watch prints the calls that a handler answers.
func (p *callPrinter) watch(e *emulator.Emulator) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer p.journal(e) // though the handler resets the connection by a panic
		e.ServeHTTP(w, r)
	})
}

// journal prints what is new in the emulator's journal.
func (p *callPrinter) journal(e *emulator.Emulator) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range e.Journal() {
		if c.Seq <= p.last {
			continue
		}
		p.last = c.Seq
		if c.Kind != "" { // else no purge
			p.line(c.End, c.Status, c.Project, tasks.Lane{
				Kind: c.Kind, Operation: c.Operation, Target: c.Target, DeadlineSeconds: c.DeadlineSeconds,
			}, listed(c.Items))
		}
	}
}

// line prints one call; p.mu is held.
func (p *callPrinter) line(at time.Time, status int, project string, lane tasks.Lane, items string) {
	answer := fmt.Sprint(status)
	if status == 0 {
		answer = "---"
	}
	remarks := ""
	if lane.Target != tasks.AllTargets {
		remarks += fmt.Sprintf("  (%s)", lane.Target)
	}
	if lane.DeadlineSeconds > 0 {
		remarks += fmt.Sprintf("  (within %d s)", lane.DeadlineSeconds)
	}
	p.app.printf("%s  %s  %s  %-10s  %-9s  %s%s\n", at.Local().Format("15:04:05"), answer, plain(project), lane.Operation, lane.Kind, plain(items), remarks)
}

// listed is the first few items.
func listed(items []string) string {
	if more := len(items) - devItems; more > 1 {
		return strings.Join(items[:devItems], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(items, ", ")
}
