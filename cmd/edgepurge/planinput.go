package main

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgepurge/edgepurge/configs"
	"github.com/edgepurge/edgepurge/internal/plan"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker"
)

const (
	// planCallTime is how long a call is taken to last. It counts a little, for a
	// window of the budget begins when its calls have ended.
	planCallTime = 200 * time.Millisecond
	// ordinaryTag is the length of tags that are counted, not named: as for the
	// worker, which takes some 20 bytes with the comma.
	ordinaryTag = 19
)

// planSettings are those of a project and its account. known is false where no
// account covers it.
func planSettings(c configs.Config, name string) (account worker.Account, project worker.Project, known bool) {
	account, project = worker.DefaultAccount(), worker.DefaultProject()
	for _, p := range c.Worker.Projects {
		if p.Project == name || p.Project == worker.AnyProject && !known {
			project, known = p, true
		}
		if p.Project == name {
			break
		}
	}
	for _, a := range c.Worker.Accounts {
		if a.Name == project.Account {
			account = a
		}
	}
	return account, project, known
}

// planPace is how the worker paces a normal lane of tags.
func planPace(a worker.Account, p worker.Project) plan.Pace {
	pace := plan.Pace{
		Calls: a.Budget.Calls, Per: a.Budget.Per, Reserve: a.Budget.Reserve, InFlight: a.Budget.InFlight,
		MaxItems: a.Batch.MaxTags, Full: a.Batch.MaxTags,
		Linger: p.Linger, Rate: p.Spread.Rate, Burst: p.Spread.Burst, MaxDelay: p.Spread.MaxDelay,
		StaggerMin: p.Spread.Deadline.Min, StaggerOver: p.Spread.Deadline.Over,
		CallTime: planCallTime,
	}
	if pace.Burst == 0 {
		pace.Burst = max(1, pace.Rate)
	}
	if a.Batch.Form == worker.FormString {
		pace.MaxItems, pace.MaxBytes = tasks.MaxTagStringBytes, tasks.MaxTagStringBytes
		pace.Full = tasks.MaxTagStringBytes / (ordinaryTag + 1)
	}
	return pace
}

// planItems are the tags that are named, once each and in the order in which
// Redis hands them out, or as many as are counted.
func (a *app) planItems(cmd *cobra.Command, f *planFlags, weights []worker.Weight) ([]plan.Item, error) {
	if f.count > 0 {
		return slices.Repeat([]plan.Item{{Bytes: ordinaryTag, Cost: 1}}, f.count), nil
	}
	lines, err := a.readTags(f.fromFile)
	if err != nil {
		return nil, err
	}
	tags := slices.Clone(f.tags)
	for _, l := range lines {
		tags = append(tags, l.tag)
	}
	switch {
	case len(tags) == 0:
		return nil, usagef(cmd, "--from-file %s holds no tag: write one a line", f.fromFile)
	case slices.Contains(tags, tasks.AllTags):
		return nil, usagef(cmd, `the tag "*" purges the whole project: say with --tags how many tags that is`)
	}
	asked := tasks.Purge{Project: "any", Operation: tasks.Delete, Tags: tags, RequestedAt: time.Unix(0, 0)}
	if err := asked.Validate(); err != nil {
		return nil, usagef(cmd, "%w", inFlags(err, &purgeFlags{tags: f.tags, fromFile: f.fromFile}, lines))
	}
	slices.Sort(tags)
	tags = slices.Compact(tags)
	if len(tags) > maxPlanTags {
		return nil, usagef(cmd, "%d tags are more than a plan takes: say --tags %d, and scale --rps and --origin-capacity alike", len(tags), maxPlanTags)
	}
	items := make([]plan.Item, len(tags))
	for i, tag := range tags {
		items[i] = plan.Item{Bytes: len(tag), Cost: costOf(tag, weights)}
	}
	return items, nil
}

// costOf is the cost by the first weight that matches, else 1.
func costOf(tag string, weights []worker.Weight) float64 {
	for _, w := range weights {
		if prefix, ok := strings.CutSuffix(w.Match, "*"); tag == w.Match || ok && strings.HasPrefix(tag, prefix) {
			return w.Cost
		}
	}
	return 1
}
