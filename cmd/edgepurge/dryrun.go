package main

import (
	"slices"

	"github.com/edgepurge/edgepurge/configs"
	"github.com/edgepurge/edgepurge/internal/plan"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker"
)

// plannedLane is what a request would put into one lane.
type plannedLane struct {
	Lane  string `json:"lane"`
	Items int    `json:"items"`
	// Calls is the fewest API calls that carry the items, if they travel alone.
	Calls int `json:"fewest_calls"`
	// Collapsed is what the project's rules replace before the first of them, if nothing
	// else is due in the lane.
	Collapsed []plan.Collapsed `json:"collapsed,omitempty"`
}

type dryRun struct {
	Project string        `json:"project"`
	Account string        `json:"account,omitempty"` // empty: none covers the project
	Items   int           `json:"items"`             // repeats left out
	Lanes   []plannedLane `json:"lanes"`
}

// dryRun prints what a valid request would enqueue.
func (a *app) dryRun(c configs.Config, p tasks.Purge, asJSON bool) error {
	account := worker.DefaultAccount()
	would := dryRun{Project: p.Project, Lanes: []plannedLane{}}
	if found := accountFor(c, p.Project); found != nil {
		account, would.Account = *found, found.Name
	}
	for _, kind := range []tasks.Kind{tasks.Tag, tasks.SrcImage} {
		items := slices.Clone(p.Items(kind))
		slices.Sort(items)
		items = slices.Compact(items)
		if len(items) == 0 {
			continue
		}
		lane := plannedLane{Lane: p.Lane(kind).ID(), Items: len(items)}
		if kind == tasks.Tag {
			_, project, _ := planSettings(c, p.Project)
			left, collapsed := worker.CollapseTags(project.Collapse, items)
			_, lane.Collapsed = planItems(&planFlags{}, left, collapsed, project.Spread.Weights)
			items = left
		}
		lane.Calls = fewestCalls(account.Batch, kind, items)
		would.Items += lane.Items
		would.Lanes = append(would.Lanes, lane)
	}
	if asJSON {
		return a.printJSON(would)
	}
	a.printf("would enqueue %s for project %s\n", count(would.Items, "item"), would.Project)
	t := newTable(a.stdout)
	row(t, "  LANE", "ITEMS", "FEWEST CALLS")
	for _, l := range would.Lanes {
		row(t, "  "+l.Lane, l.Items, l.Calls)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, l := range would.Lanes {
		for _, c := range l.Collapsed {
			a.printf("%s\n", c)
		}
	}
	return nil
}

// fewestCalls is how many calls the distinct items of a lane need at the least.
func fewestCalls(b worker.Batch, kind tasks.Kind, items []string) int {
	size, most := len(items), b.MaxTags
	switch {
	case kind == tasks.SrcImage:
		most = b.MaxSrcImages
	case b.Form == worker.FormString: // items joined by commas
		most = tasks.MaxTagStringBytes + 1
		for _, item := range items {
			size += len(item)
		}
	}
	return (size + most - 1) / most
}
