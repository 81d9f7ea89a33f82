package worker

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/edgepurge/edgepurge/tasks"
)

// Config is what a worker process needs to know. Package configs fills it from
// YAML; the yaml paths in Validate's faults are that file's.
type Config struct {
	// VercelURL is the base of Vercel's API. Default https://api.vercel.com.
	VercelURL string
	// AllowHTTP is the one host, besides loopback, to which the token may go
	// without TLS: the name of an emulator in a private network. Default none.
	AllowHTTP string
	// Timeout bounds one API call. Default 10 s, at most 1 m.
	Timeout time.Duration
	// Accounts are the scopes of Vercel's rate limit, at least one, names unique.
	Accounts []Account
	// Projects says how each project is purged; the name "*" matches the rest.
	// Empty: every project belongs to the only account, with default pacing.
	Projects []Project
	// Servers is how many asynq servers take in requests, 1 to 64. One goroutine
	// dequeues per server, so this bounds the intake when Redis is far. Default 8.
	Servers int
	// Concurrency is how many tasks and calls a process handles at once, 1 to 1024. Default 32.
	Concurrency int
}

// Account is a token, a team and the budget that they share.
type Account struct {
	// Name stands in Redis keys: letters, digits, '.', '_', '-'.
	Name string
	// Token is the Vercel access token. Printing or encoding an Account leaves it out.
	Token string `json:"-"`
	// TeamID or Slug name the team, one of them or neither for a personal account.
	TeamID string
	Slug   string
	Budget Budget
	Batch  Batch
	Retry  Retry
	// Backlog bounds what waits in the pending sets.
	Backlog Backlog
}

// Format prints the account without its token, whatever the verb and however
// deep in another value the account lies.
func (a Account) Format(f fmt.State, _ rune) {
	type account Account // without this method
	if a.Token != "" {
		a.Token = "[redacted]"
	}
	_, _ = fmt.Fprintf(f, "%+v", account(a)) // to a fmt.State, which cannot fail
}

// Budget bounds the API calls of an account over the whole fleet.
type Budget struct {
	// Calls is how many calls any window of Per may hold; 0 is unlimited.
	// Default 5 in 1 m, the one limit of the live API that was measured.
	Calls int
	// Per is the window's length, 100 ms to 24 h.
	Per time.Duration
	// Reserve is how many of Calls are kept for urgent items, less than Calls. Default 1.
	Reserve int
	// InFlight bounds the calls under way at once, 1 to 100. Default 4.
	InFlight int
}

// Form is how tags are written into a call.
type Form string

// The two forms that Vercel's OpenAPI allows.
const (
	FormArray  Form = "array"  // at most 16 tags
	FormString Form = "string" // one comma-separated string of at most 8196 characters
)

// Batch bounds what one call carries.
type Batch struct {
	Form Form
	// MaxTags is 1 to 16 and holds for FormArray. Default 16.
	MaxTags int
	// MaxSrcImages is 1 to 8. Default 8.
	MaxSrcImages int
}

// Retry says how often and when a call is tried again.
type Retry struct {
	// MaxAttempts counts all calls with one batch, the first included, 1 to 100. Default 20.
	MaxAttempts int
	// Base is the upper bound of the first backoff, which doubles up to Cap. Default 2 s, cap 10 m.
	Base, Cap time.Duration
}

// Backlog bounds how many items of an account may be pending.
type Backlog struct {
	// Max bounds the items that are due within a minute, and apart from them those that
	// are scheduled for later: an embargo never keeps out what is due. It is looked at
	// every few seconds, so a flood overshoots it a little. 0 is unlimited. Default
	// 2,000,000, some 300 MB of Redis's memory; both together take twice that.
	Max int
	// WhenFull is what becomes of requests meanwhile. Default FullWait.
	WhenFull WhenFull
}

// WhenFull is what becomes of requests while the backlog is full.
type WhenFull string

// The two ways.
const (
	FullWait WhenFull = "wait" // they stay in their queue and are tried again
	FullDead WhenFull = "dead" // they become dead letters with the reason backlog_full
)

// Project says how fast the items of a project are let go.
type Project struct {
	// Project is a Vercel project id or name as requests give it; "*" is every other.
	Project string
	// Account is the Name of an Account.
	Account string
	// Linger is how long the first item of a lane waits for company; 0 sends it alone. Default 1 s, at most 1 h.
	Linger time.Duration
	Spread Spread
	// Collapse replaces tags by one that covers them while too many are due. The rules are
	// looked at in order, each at what the earlier ones left; at most 16. Default none.
	Collapse []Collapse
}

// AnyProject is the Project that matches every project without an entry of its own.
const AnyProject = "*"

// Spread is a token bucket in cost: it keeps deletions from stampeding the origin.
type Spread struct {
	// Rate is cost a second; 0 is unlimited, the default. An item costs 1 unless a weight says otherwise.
	Rate float64
	// Burst is how much cost may go at once after a quiet time. 0 means Rate, at least 1.
	Burst float64
	// MaxDelay raises the rate when the backlog would take longer. Default 15 m; 0 never raises it.
	MaxDelay time.Duration
	Weights  []Weight
	Deadline Stagger
}

// Weight gives items that match a higher or lower cost; the first match counts.
type Weight struct {
	// Match is an item, or the beginning of items followed by "*".
	Match string
	// Cost is 0 to 1e6.
	Cost float64
}

// Stagger gives the deletes of a lane without deadline deadlines of their own,
// rising from Min to Min+Over, so that hard deletions fall one after the other.
type Stagger struct {
	// Min is the first deadline, whole seconds. Over is the window; 0 means no staggering.
	Min, Over time.Duration
}

// DefaultAccount returns an account with every default set and no token.
func DefaultAccount() Account {
	return Account{
		Name:   "default",
		Budget: Budget{Calls: 5, Per: time.Minute, Reserve: 1, InFlight: 4},
		Batch:  Batch{Form: FormArray, MaxTags: tasks.MaxTagsPerCall, MaxSrcImages: tasks.MaxSrcImagesPerCall},
		Retry:  Retry{MaxAttempts: 20, Base: 2 * time.Second, Cap: 10 * time.Minute},

		Backlog: Backlog{Max: 2_000_000, WhenFull: FullWait},
	}
}

// DefaultProject returns the pacing of a project without settings of its own.
func DefaultProject() Project {
	return Project{
		Project: AnyProject,
		Account: DefaultAccount().Name,
		Linger:  time.Second,
		Spread:  Spread{MaxDelay: 15 * time.Minute},
	}
}

// DefaultConfig returns a configuration with every default set, one account
// that covers every project, and no token.
func DefaultConfig() Config {
	return Config{
		VercelURL:   "https://api.vercel.com",
		Timeout:     10 * time.Second,
		Accounts:    []Account{DefaultAccount()},
		Projects:    []Project{DefaultProject()},
		Servers:     8,
		Concurrency: 32,
	}
}

// FieldError is one fault of a configuration: the path in YAML terms, such as
// "accounts[0].budget.calls", and what would be right.
type FieldError struct {
	Field, Problem string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

var name = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)

// Validate reports all faults at once, each a *FieldError, or nil. A missing
// token is a fault: a worker cannot call without one.
func (c *Config) Validate() error {
	var v faults
	c.validateURL(&v)
	v.between("vercel.timeout", c.Timeout, 100*time.Millisecond, time.Minute)
	v.count("worker.servers", c.Servers, 1, 64)
	v.count("worker.concurrency", c.Concurrency, 1, 1024)
	if len(c.Accounts) == 0 {
		v.add("accounts", "name at least one account")
	}
	known := map[string]bool{}
	for i, a := range c.Accounts {
		at := fmt.Sprintf("accounts[%d].", i)
		if known[a.Name] {
			v.add(at+"name", "%q is the name of an earlier account too: names must differ", a.Name)
		}
		known[a.Name] = true
		a.validate(at, &v)
	}
	seen := map[string]bool{}
	for i, p := range c.Projects {
		at := fmt.Sprintf("projects[%d].", i)
		if seen[p.Project] {
			v.add(at+"project", "%q has an earlier entry: keep one", p.Project)
		}
		seen[p.Project] = true
		if !known[p.Account] {
			v.add(at+"account", "no account is named %q: name one of %s", p.Account, c.accountNames())
		}
		p.validate(at, &v)
	}
	return errors.Join(v...)
}

// validateURL keeps the token from crossing a network in plain text.
func (c *Config) validateURL(v *faults) {
	u, err := url.Parse(c.VercelURL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		v.add("vercel.url", "%q is not a URL such as https://api.vercel.com", c.VercelURL)
	case u.Scheme == "http" && !isLoopback(u.Hostname()) && u.Hostname() != c.AllowHTTP:
		v.add("vercel.url", "%q would send the token in plain text: use https, or set vercel.allow_http to %q if that network is yours",
			c.VercelURL, u.Hostname())
	}
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (c *Config) accountNames() string {
	names := make([]string, len(c.Accounts))
	for i, a := range c.Accounts {
		names[i] = fmt.Sprintf("%q", a.Name)
	}
	return strings.Join(names, ", ")
}

func (a *Account) validate(at string, v *faults) {
	if !name.MatchString(a.Name) {
		v.add(at+"name", "%q must be 1 to 100 letters, digits, '.', '_' or '-'", a.Name)
	}
	if a.Token == "" {
		v.add(at+"token", "is missing: set VERCEL_TOKEN, or write env:NAME or file:PATH")
	}
	if a.TeamID != "" && a.Slug != "" {
		v.add(at+"slug", "team_id is set too: Vercel takes one of them")
	}
	b := a.Budget
	v.count(at+"budget.calls", b.Calls, 0, 1_000_000)
	v.between(at+"budget.per", b.Per, 100*time.Millisecond, 24*time.Hour)
	v.count(at+"budget.in_flight", b.InFlight, 1, 100)
	if b.Reserve < 0 || b.Calls > 0 && b.Reserve >= b.Calls {
		v.add(at+"budget.reserve", "%d leaves no call for other items: use 0 to budget.calls-1", b.Reserve)
	}
	if a.Batch.Form != FormArray && a.Batch.Form != FormString {
		v.add(at+"batch.form", "%q is unknown: use %q or %q", a.Batch.Form, FormArray, FormString)
	}
	v.count(at+"batch.max_tags", a.Batch.MaxTags, 1, tasks.MaxTagsPerCall)
	v.count(at+"batch.max_src_images", a.Batch.MaxSrcImages, 1, tasks.MaxSrcImagesPerCall)
	v.count(at+"retry.max_attempts", a.Retry.MaxAttempts, 1, 100)
	v.between(at+"retry.base", a.Retry.Base, 10*time.Millisecond, time.Hour)
	v.between(at+"retry.cap", a.Retry.Cap, a.Retry.Base, 24*time.Hour)
	v.count(at+"backlog.max", a.Backlog.Max, 0, 100_000_000)
	if a.Backlog.WhenFull != FullWait && a.Backlog.WhenFull != FullDead {
		v.add(at+"backlog.when_full", "%q is unknown: use %q or %q", a.Backlog.WhenFull, FullWait, FullDead)
	}
}

func (p *Project) validate(at string, v *faults) {
	if p.Project != AnyProject && !name.MatchString(p.Project) {
		v.add(at+"project", `%q must be a project id or name, or "*" for the rest`, p.Project)
	}
	v.between(at+"linger", p.Linger, 0, time.Hour)
	s := p.Spread
	if math.IsNaN(s.Rate) || s.Rate < 0 || s.Rate > 1e9 || s.Rate > 0 && s.Rate < 0.001 {
		v.add(at+"spread.rate", "%g is out of range: use 0 (unlimited) or 0.001 to 1e9 a second", s.Rate)
	}
	if math.IsNaN(s.Burst) || s.Burst < 0 || s.Burst > 1e9 {
		v.add(at+"spread.burst", "%g is out of range: use 0 to 1e9", s.Burst)
	}
	v.between(at+"spread.max_delay", s.MaxDelay, 0, 30*24*time.Hour)
	for i, w := range s.Weights {
		if w.Match == "" || strings.Contains(strings.TrimSuffix(w.Match, "*"), "*") {
			v.add(fmt.Sprintf("%sspread.weights[%d].match", at, i), `%q must be an item, or the beginning of items and one "*"`, w.Match)
		}
		if math.IsNaN(w.Cost) || w.Cost < 0 || w.Cost > 1e6 {
			v.add(fmt.Sprintf("%sspread.weights[%d].cost", at, i), "%g is out of range: use 0 to 1e6", w.Cost)
		}
	}
	year := tasks.MaxDeadlineSeconds * time.Second
	v.between(at+"spread.deadline.min", s.Deadline.Min, 0, year)
	v.between(at+"spread.deadline.over", s.Deadline.Over, 0, year)
	if s.Deadline.Min+s.Deadline.Over > year {
		v.add(at+"spread.deadline", "min and over together exceed a year, Vercel's limit")
	}
	if s.Deadline.Min%time.Second != 0 {
		v.add(at+"spread.deadline.min", "%s is not in whole seconds, as Vercel takes it", s.Deadline.Min)
	}
	if n := len(p.Collapse); n > mostRules {
		v.add(at+"collapse", "%d rules are too many: use at most %d", n, mostRules)
	}
	for i := range p.Collapse {
		p.Collapse[i].validate(fmt.Sprintf("%scollapse[%d]", at, i), v)
	}
}

type faults []error

func (v *faults) add(field, format string, args ...any) {
	*v = append(*v, &FieldError{Field: field, Problem: fmt.Sprintf(format, args...)})
}

func (v *faults) count(field string, n, low, high int) {
	if n < low || n > high {
		v.add(field, "%d is out of range: use %d to %d", n, low, high)
	}
}

func (v *faults) between(field string, d, low, high time.Duration) {
	if d < low || d > high {
		v.add(field, "%s is out of range: use %s to %s", d, low, high)
	}
}
