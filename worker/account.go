package worker

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/edgepurge/edgepurge/internal/vercel"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// account is an Account at work: its API client and the projects it covers.
type account struct {
	Account
	client *vercel.Client
	// timeout bounds a call; a lease outlives it by leaseMargin.
	timeout  time.Duration
	projects map[string]Project
	rest     *Project // the entry "*", if it belongs to this account
	// What is due, or soon will be, and what is scheduled for later, as the sweep last
	// counted them.
	due, scheduled atomic.Int64
}

// isFull reports whether the backlog of what is due was full when the sweep last counted it.
func (a *account) isFull() bool { return a.isTooMuch(&a.due) }

// isScheduleFull is isFull for what is scheduled for later.
func (a *account) isScheduleFull() bool { return a.isTooMuch(&a.scheduled) }

func (a *account) isTooMuch(n *atomic.Int64) bool {
	return a.Backlog.Max > 0 && n.Load() >= int64(a.Backlog.Max)
}

// leaseMargin is how much longer than its timeout a call may keep its batch:
// time for the answer to be written down.
const leaseMargin = 5 * time.Second

func newAccounts(c Config) (map[string]*account, error) {
	accounts := bareAccounts(c)
	for _, a := range c.Accounts {
		client, err := vercel.New(vercel.Config{
			BaseURL: c.VercelURL, Token: a.Token, TeamID: a.TeamID, Slug: a.Slug, Timeout: c.Timeout,
		})
		if err != nil {
			return nil, fmt.Errorf("account %s: %w", a.Name, err)
		}
		accounts[a.Name].client = client
	}
	return accounts, nil
}

// bareAccounts returns the accounts without clients: what paces them.
func bareAccounts(c Config) map[string]*account {
	accounts := map[string]*account{}
	for _, a := range c.Accounts {
		accounts[a.Name] = &account{Account: a, timeout: c.Timeout, projects: map[string]Project{}}
	}
	projects := c.Projects
	if len(projects) == 0 && len(c.Accounts) == 1 {
		p := DefaultProject()
		p.Account = c.Accounts[0].Name
		projects = []Project{p}
	}
	for _, p := range projects {
		a := accounts[p.Account]
		if p.Project == AnyProject {
			a.rest = &p
		} else {
			a.projects[p.Project] = p
		}
	}
	return accounts
}

// accountOf returns the account that covers a project, or nil.
func accountOf(accounts map[string]*account, project string) *account {
	var rest *account
	for _, a := range accounts {
		if _, ok := a.projects[project]; ok {
			return a
		}
		if a.rest != nil {
			rest = a
		}
	}
	return rest
}

func (a *account) project(name string) Project {
	if p, ok := a.projects[name]; ok {
		return p
	}
	if a.rest != nil {
		return *a.rest
	}
	// The project moved to another account while its items waited here: they
	// still belong to this one's token, paced by the defaults.
	return DefaultProject()
}

// labels are the project entries that its items are counted under, in metrics.
// Projects without an entry of their own share "*", so that what producers name
// makes no series.
func (a *account) labels() []string {
	labels := slices.Collect(maps.Keys(a.projects))
	if a.rest != nil {
		labels = append(labels, AnyProject)
	}
	return labels
}

// pace is how the items of a lane may be let go by this configuration.
func (a *account) pace(lane tasks.Lane) lanes.Pace {
	p := a.project(lane.Project)
	pace := lanes.Pace{
		Account: a.Name,
		Calls:   a.Budget.Calls, Per: a.Budget.Per, Reserve: a.Budget.Reserve, InFlight: a.Budget.InFlight,
		Lease:  a.timeout + leaseMargin,
		Linger: p.Linger,
		Rate:   p.Spread.Rate, Burst: p.Spread.Burst, MaxDelay: p.Spread.MaxDelay,
		StaggerMin: p.Spread.Deadline.Min, StaggerOver: p.Spread.Deadline.Over,
	}
	if pace.Rate > 0 && pace.Burst == 0 {
		pace.Burst = max(1, pace.Rate)
	}
	for _, w := range p.Spread.Weights {
		match, prefix := strings.CutSuffix(w.Match, "*")
		pace.Weights = append(pace.Weights, lanes.Weight{Match: match, Prefix: prefix, Cost: w.Cost})
	}
	switch {
	case lane.Kind == tasks.SrcImage:
		pace.MaxItems = a.Batch.MaxSrcImages
		pace.Full = pace.MaxItems
	case a.Batch.Form == FormString:
		pace.MaxItems = tasks.MaxTagStringBytes
		pace.MaxBytes = tasks.MaxTagStringBytes
		pace.Full = tasks.MaxTagStringBytes / ordinaryTagBytes
	default:
		pace.MaxItems = a.Batch.MaxTags
		pace.Full = pace.MaxItems
	}
	return pace
}

// ordinaryTagBytes is the length, comma included, at which a waiting lane
// counts as full in the string form. Vercel's limit holds about 400 such tags.
const ordinaryTagBytes = 20
