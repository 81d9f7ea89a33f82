package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgepurge/edgepurge/configs"
	"github.com/edgepurge/edgepurge/internal/plan"
	"github.com/edgepurge/edgepurge/worker"
)

// The bounds of what plan is asked: past them it would take long and say little.
const (
	maxPlanTags    = 200_000
	maxPlanRegions = 1000
	maxPlanNumber  = 1e9
	maxZipf        = 3
)

// planFlags is what the command line says.
type planFlags struct {
	project  string
	tags     []string
	fromFile string
	count    int

	pagesPerTag, regions int
	rps, zipf            float64
	capacity, baseLoad   float64
	headroom             float64
	renderTime           time.Duration

	html string
	json bool
}

func newPlanCommand(a *app) *cobra.Command {
	f := planFlags{renderTime: 500 * time.Millisecond}
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Say what a purge would do to the origin, and which spread it needs",
		Long: `plan calculates what would happen if these tags were purged now with this
configuration: the API calls and how long they take under the budget, how many
pages the origin must render each second on each way to purge them, who waits for
that, and how long visitors get old pages. It recommends the fastest spread that
keeps the origin within its capacity, as lines for edgepurge.yaml. What the project's
collapse rules replace by one tag, it says and plans so.

Nothing is purged; neither Redis nor Vercel is asked. The model and what it
assumes: docs/plan.md.`,
		Example: `  edgepurge plan --tags 2000 --pages-per-tag 15 --rps 400 --regions 18 --origin-capacity 50
  edgepurge plan --tags 2000 --pages-per-tag 15 --rps 400 --origin-capacity 50 --html plan.html
  edgepurge plan --from-file tags.txt --project prj_abc --rps 40 --origin-capacity 20 --base-load 5
  edgepurge plan --tag post-1 --tag post-list --rps 3 --origin-capacity 10 --json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef(cmd, "unexpected argument %q: name tags with --tag, or say how many with --tags", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return a.plan(cmd, &f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.project, "project", "", "`project` whose settings count (default VERCEL_PROJECT_ID, else those of \"*\")")
	flags.IntVar(&f.count, "tags", 0, "how many tags, instead of their names")
	flags.StringArrayVar(&f.tags, "tag", nil, "cache `tag` (repeatable)")
	flags.StringVar(&f.fromFile, "from-file", "", "read tags from a `file`, one a line; -: the standard input")
	flags.IntVar(&f.pagesPerTag, "pages-per-tag", 1, "pages that carry a tag, and none of the others; times the tag's cost by spread.weights")
	flags.Float64Var(&f.rps, "rps", 0, "visits a second to all of those pages together")
	flags.IntVar(&f.regions, "regions", 18, "edge regions that render a copy of their own; fewer where they share one")
	flags.Float64Var(&f.capacity, "origin-capacity", 0, "renders a second that the origin can do")
	flags.Float64Var(&f.baseLoad, "base-load", 0, "renders a second that it does anyway")
	flags.Float64Var(&f.headroom, "headroom", 0.1, "share of the capacity that the recommended spread leaves free")
	flags.Var(&span{&f.renderTime, time.Millisecond}, "render-time", "how long a render takes when none waits")
	flags.Float64Var(&f.zipf, "zipf", 0, "exponent of the pages' popularity: rank k gets k^-zipf of the first's visits; 0: all alike")
	flags.StringVar(&f.html, "html", "", "write the plan as a page with charts into a `file`")
	jsonFlag(cmd, &f.json)
	return cmd
}

func (a *app) plan(cmd *cobra.Command, f *planFlags) error {
	if err := f.check(cmd); err != nil {
		return err
	}
	c, err := a.loadConfig()
	if err != nil {
		return err
	}
	p, err := a.makePlan(cmd, c, f)
	if err != nil {
		return err
	}
	if f.html != "" {
		if err := writePlanPage(f.html, p); err != nil {
			return err
		}
	}
	if f.json {
		return a.printJSON(planJSON{p, yamlOf(p)})
	}
	a.printPlan(p)
	if f.html != "" {
		a.printf("\nwritten to %s\n", f.html)
	}
	return nil
}

// check says all that is wrong with the numbers.
func (f *planFlags) check(cmd *cobra.Command) error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	number := func(flag, what string, x float64) {
		switch {
		case !cmd.Flags().Changed(flag):
			fault("--%s is missing: %s", flag, what)
		case math.IsNaN(x) || x <= 0 || x > maxPlanNumber:
			fault("--%s %g is out of range: %s, above 0, up to %g", flag, x, what, maxPlanNumber)
		}
	}
	number("rps", "visits a second to the pages of all tags together", f.rps)
	number("origin-capacity", "renders a second that the origin can do", f.capacity)
	named := len(f.tags) > 0 || f.fromFile != ""
	counted := cmd.Flags().Changed("tags")
	switch {
	case named && counted:
		fault("--tags says how many tags there are, --tag and --from-file name them: leave one or the other out")
	case !named && !counted:
		fault("name the tags with --tag or --from-file, or say how many with --tags")
	case counted && (f.count < 1 || f.count > maxPlanTags):
		fault("--tags %d is out of range: use 1 to %d", f.count, maxPlanTags)
	}
	if f.pagesPerTag < 1 || f.pagesPerTag > 1_000_000 {
		fault("--pages-per-tag %d is out of range: use 1 to 1000000", f.pagesPerTag)
	}
	if f.regions < 1 || f.regions > maxPlanRegions {
		fault("--regions %d is out of range: use 1 to %d", f.regions, maxPlanRegions)
	}
	if math.IsNaN(f.baseLoad) || f.baseLoad < 0 || f.baseLoad > maxPlanNumber {
		fault("--base-load %g is out of range: renders a second, 0 to %g", f.baseLoad, maxPlanNumber)
	}
	if math.IsNaN(f.headroom) || f.headroom < 0 || f.headroom > 0.95 {
		fault("--headroom %g is out of range: a share, 0 to 0.95", f.headroom)
	}
	if math.IsNaN(f.zipf) || f.zipf < 0 || f.zipf > maxZipf {
		fault("--zipf %g is out of range: use 0 (all pages alike) to %d", f.zipf, maxZipf)
	}
	if f.renderTime > time.Hour {
		fault("--render-time %s is out of range: use 0 to 1h", f.renderTime)
	}
	if len(faults) > 0 {
		return usagef(cmd, "%w", errors.Join(faults...))
	}
	return nil
}

func (a *app) makePlan(cmd *cobra.Command, c configs.Config, f *planFlags) (*plan.Plan, error) {
	name := f.project
	if name == "" {
		name = c.DefaultProject
	}
	account, project, known := planSettings(c, name)
	if !known && name != "" {
		a.notef("edgepurge: no account of this configuration covers project %s: planned with the default settings", plain(name))
	}
	tags, err := a.planTags(cmd, f)
	if err != nil {
		return nil, err
	}
	rules := a.planRules(f, project.Collapse)
	left, collapsed := worker.CollapseTags(rules, tags)
	items, replaced := planItems(f, left, collapsed, project.Spread.Weights)
	p, err := plan.Make(plan.Input{
		Items: items, Asked: len(tags), Collapsed: replaced, PagesPerTag: float64(f.pagesPerTag),
		Traffic:  plan.Traffic{Regions: float64(f.regions), RPS: f.rps, Zipf: f.zipf},
		Origin:   plan.Origin{Capacity: f.capacity, BaseLoad: f.baseLoad, RenderSeconds: f.renderTime.Seconds()},
		Headroom: f.headroom,
		Pace:     planPace(account, project),
	})
	if err != nil {
		return nil, fmt.Errorf("project %s: %w", project.Project, err)
	}
	return p, nil
}

// writePlanPage writes the page whole or not at all.
func writePlanPage(path string, p *plan.Plan) error {
	page, err := plan.Page(p, yamlOf(p))
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, page, 0o644); err != nil { //nolint:gosec // a page for others to look at, and no secret in it
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}
