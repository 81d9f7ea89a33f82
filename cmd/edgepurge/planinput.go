package main

import (
	"fmt"
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
	// maxWeight is the highest cost that spread.weights take.
	maxWeight = 1e6
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

// planTags are the tags that are named, once each and in the order in which Redis hands
// them out, or as many as are counted, under names that no tag can have.
func (a *app) planTags(cmd *cobra.Command, f *planFlags) ([]string, error) {
	if f.count > 0 {
		tags := make([]string, f.count)
		for i := range tags {
			tags[i] = fmt.Sprintf("%*d\n", ordinaryTag-1, i)
		}
		return tags, nil
	}
	lines, err := a.readTags(cmd.Context(), f.fromFile)
	if err != nil {
		return nil, err
	}
	tags := slices.Clone(f.tags)
	for _, l := range lines {
		tags = append(tags, l.Tag)
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
	return tags, nil
}

// planRules are the collapse rules that can be applied to what a plan knows.
func (a *app) planRules(f *planFlags, all []worker.Collapse) []worker.Collapse {
	var rules []worker.Collapse
	for _, rule := range all {
		switch {
		case rule.Age > 0:
			a.notef("edgepurge: the collapse rule %s is left out of the plan: when it begins, nothing has waited", plain(rule.String()))
		case f.count > 0 && strings.TrimSuffix(rule.Match, "*") != "":
			a.notef("edgepurge: the collapse rule %s is left out of the plan: --tags gives no names, --tag and --from-file do", plain(rule.String()))
		default:
			rules = append(rules, rule)
		}
	}
	return rules
}

// planItems are the tags that are left, by the weights of the project. What took the place
// of others costs at least as much as they did together, for its pages are theirs and more.
func planItems(f *planFlags, left []string, collapsed []worker.Collapsed, weights []worker.Weight) ([]plan.Item, []plan.Collapsed) {
	theirs := map[string]float64{} // by what took their place
	cost := func(tag string) float64 {
		if f.count > 0 && strings.HasSuffix(tag, "\n") {
			return 1 // not named
		}
		return max(costOf(tag, weights), theirs[tag])
	}
	var replaced []plan.Collapsed
	for _, c := range collapsed {
		for _, tag := range c.Tags {
			theirs[c.Rule.To] += cost(tag)
		}
		replaced = append(replaced, plan.Collapsed{Rule: c.Rule.String(), Tags: len(c.Tags), To: c.Rule.To})
	}
	for i := range replaced {
		if to := replaced[i].To; costOf(to, weights) < theirs[to] && slices.Contains(left, to) {
			replaced[i].Weight = min(theirs[to], maxWeight)
		}
	}
	slices.Sort(left)
	items := make([]plan.Item, len(left))
	for i, tag := range left {
		items[i] = plan.Item{Bytes: len(tag), Cost: cost(tag)}
	}
	return items, replaced
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
