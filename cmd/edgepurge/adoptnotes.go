package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/configs"
	"github.com/edgepurge/edgepurge/internal/overview"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker"
)

// movedProject is a project of which something waits under an account that does not
// cover it. To is empty if no account does.
type movedProject struct {
	Project string `json:"project"`
	From    string `json:"from"`
	To      string `json:"to,omitempty"`
	Items   int64  `json:"items"`
}

func (m movedProject) String() string {
	if m.To == "" {
		return fmt.Sprintf("project %s belongs to no account, and account %s still has %s of it: add it under projects", m.Project, m.From, count(int(m.Items), "pending item"))
	}
	return fmt.Sprintf("project %s belongs to account %s, and account %s still has %s of it: `edgepurge adopt --project %s --from %s --to %s` moves them",
		m.Project, m.To, m.From, count(int(m.Items), "pending item"), m.Project, m.From, m.To)
}

// movedProjects looks through the accounts of the configuration.
func movedProjects(c configs.Config, accounts []overview.Account) []movedProject {
	var all []movedProject
	for i := range accounts {
		a, items := &accounts[i], map[string]int64{}
		if !a.Configured {
			continue // all of it is to be moved
		}
		for _, l := range a.Lanes {
			if lane, err := tasks.ParseLane(l.Lane); err == nil {
				items[lane.Project] += l.Pending
			}
		}
		for _, project := range slices.Sorted(maps.Keys(items)) {
			if to := worker.AccountOf(c.Worker, project); to != a.Account {
				all = append(all, movedProject{project, a.Account, to, items[project]})
			}
		}
	}
	return all
}

// leftovers is what lies under an account that the configuration lacks, in words; empty:
// nothing, or the configuration has it.
func leftovers(a *overview.Account) string {
	if a.Configured || a.Pending == 0 && len(a.InFlight) == 0 && len(a.Holds) == 0 {
		return ""
	}
	return fmt.Sprintf("%s, %s in flight and %s: `edgepurge adopt --from %s --to NAME` moves it to an account that workers serve",
		count(int(a.Pending), "pending item"), count(len(a.InFlight), "call"), count(len(a.Holds), "hold"), a.Account)
}

// accounts looks for what no worker of this configuration will call, or not as it says.
func (r *report) accounts(ctx context.Context, c configs.Config, rdb redis.UniversalClient) {
	o, err := overview.ReadAccounts(ctx, rdb, settingsOf(c), settings(worker.DefaultAccount()))
	if err != nil {
		r.add(doubtful, "accounts", "could not look: %v", err)
		return
	}
	found := false
	for i := range o.Accounts {
		if text := leftovers(&o.Accounts[i]); text != "" {
			found = true
			r.add(doubtful, "accounts", "%s is not in this configuration, and Redis has of it %s", o.Accounts[i].Account, text)
		}
	}
	for _, m := range movedProjects(c, o.Accounts) {
		found = true
		r.add(doubtful, "accounts", "%s", m)
	}
	if !found {
		r.add(fine, "accounts", "nothing waits under an account that this configuration lacks")
	}
}
