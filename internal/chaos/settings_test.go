package chaos

import (
	"fmt"
	"strings"
	"time"

	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
)

// What no process may print and nothing may store. The journal knows the tokens
// by their names.
const (
	token             = "vck_chaos-c0ffee5ec4e7"
	tokenName         = "the token"
	newcomerToken     = "vck_chaos-5ec0ndt0ken"
	newcomerTokenName = "the newcomer's token"
	password          = "chaos-pa55w0rd"
)

// The accounts; the newcomer is one that a rolling restart adds.
const (
	account  = "acme"
	newcomer = "newcomer"
)

// settings of a site. The zero value is not usable: see usual.
type settings struct {
	// durable makes Redis write down every command before it answers.
	durable bool
	// options are further arguments of redis-server.
	options []string
	// calls a second are the budget of each account, and what the API allows.
	calls int
	// inFlight bounds the calls under way.
	inFlight int
	timeout  time.Duration
	linger   time.Duration
	project  string
	// more are the projects beside that one.
	more    []paced
	metrics string // address of one worker's; "" is none
	faults  emulator.Faults
}

// paced is a project with an account and a spread of its own; rate 0 is unlimited.
type paced struct {
	project, account string
	rate             float64
}

func usual() settings {
	return settings{calls: 100, inFlight: 8, timeout: time.Second, linger: 50 * time.Millisecond, project: "*"}
}

// retryCap bounds the wait between two tries of a call.
const retryCap = time.Second

func (s settings) yaml() string {
	var b strings.Builder
	write := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	write("vercel: {timeout: %s}", s.timeout)
	write("accounts:")
	for _, name := range s.accounts() {
		secret := "VERCEL_TOKEN"
		if name == newcomer {
			secret = "NEWCOMER_TOKEN"
		}
		write("  - name: %s", name)
		write("    token: env:%s", secret)
		write("    budget: {calls: %d, per: 1s, reserve: 1, in_flight: %d}", s.calls, s.inFlight)
		write("    retry: {max_attempts: 50, base: 100ms, cap: %s}", retryCap)
	}
	write("projects:")
	write(`  - {project: "%s", account: %s, linger: %s}`, s.project, account, s.linger)
	for _, p := range s.more {
		write(`  - {project: "%s", account: %s, linger: %s, spread: {rate: %g, burst: 1}}`, p.project, p.account, s.linger, p.rate)
	}
	write(`worker: {servers: 4, concurrency: 32, metrics: "%s"}`, s.metrics)
	return b.String()
}

// accounts lists those that the settings have.
func (s settings) accounts() []string {
	for _, p := range s.more {
		if p.account == newcomer {
			return []string{account, newcomer}
		}
	}
	return []string{account}
}

// accountOf is the account that a project belongs to.
func (s settings) accountOf(project string) string {
	for _, p := range s.more {
		if p.project == project {
			return p.account
		}
	}
	return account
}
