package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/edgepurge/edgepurge/configs"
	"github.com/edgepurge/edgepurge/enqueue"
	"github.com/edgepurge/edgepurge/enqueue/webhook"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker"
)

// cliSource is the Source of purges asked for by hand.
const cliSource = "cli"

// purgeWait bounds how long Redis may take to store a request of any size.
const purgeWait = time.Minute

// encoding is how tags are written: as they are given (empty), or webhook.EncodeNext.
type encoding string

// purgeFlags is what the command line says.
type purgeFlags struct {
	purge      tasks.Purge
	tags       []string
	images     []string
	fromFile   string
	encode     encoding
	invalidate bool
	deadline   time.Duration
	dryRun     bool
	wait       bool
	status     string
	json       bool
}

func newPurgeCommand(a *app) *cobra.Command {
	var f purgeFlags
	cmd := &cobra.Command{
		Use:   "purge",
		Short: "Ask for a purge",
		Long: `purge stores a purge request in Redis, where the workers find it, and prints its
receipt. Whatever is wrong with the request is told before anything is stored.

With --wait it shows how far the workers are until every item is purged or dead, and
fails if one is dead. With --track it returns at once, and --status asks later, for 24
hours after each change, with --wait once more until the end. What is asked for goes on
in any case, whoever waits or stops waiting.

A file given with --from-file holds one tag a line, as it is: there are no comments
and no quotes. Empty lines are skipped, and so is the carriage return of a Windows
line end. The file "-" is the standard input.

With OTEL_EXPORTER_OTLP_ENDPOINT set it sends a trace there, below TRACEPARENT.`,
		Example: `  edgepurge purge --project prj_abc --tag post-1 --tag post-list
  edgepurge purge --tag post-1 --invalidate --target production
  edgepurge purge --tag post-1 --deadline 60s --settle 2s --rebound 1m
  edgepurge purge --src-image /img/hero.png --priority urgent
  edgepurge purge --from-file tags.txt --priority bulk --dry-run
  edgepurge purge --tag post-1 --priority urgent --wait
  edgepurge purge --status 01JD9X7M0000000000000000AB --json
  edgepurge purge --tag '*' --all --at 2026-12-01T09:00:00Z`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef(cmd, "unexpected argument %q: name tags with --tag", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("status") {
				return a.receipt(cmd, &f)
			}
			return a.purge(cmd, &f)
		},
	}
	flags, p := cmd.Flags(), &f.purge
	flags.StringVar(&p.Project, "project", "", "`project` id or name (default VERCEL_PROJECT_ID)")
	flags.StringArrayVar(&f.tags, "tag", nil, "cache `tag` (repeatable)")
	flags.StringArrayVar(&f.images, "src-image", nil, "source `image` of the image optimisation (repeatable)")
	flags.StringVar(&f.fromFile, "from-file", "", "read tags from a `file`, one a line; -: the standard input")
	flags.Var(&choice[encoding]{&f.encode, []encoding{webhook.EncodeNext}}, "encode", "percent-encode tags beyond ASCII as newer Next.js does (default: as they are)")
	flags.BoolVar(&f.invalidate, "invalidate", false, "serve stale entries while they are revalidated (default: delete them)")
	flags.Var(&span{&f.deadline, time.Second}, "deadline", "revalidate in the background until then, delete afterwards")
	flags.Var(&choice[tasks.Target]{&p.Target, []tasks.Target{tasks.Production, tasks.Preview}}, "target", "the one environment whose tags to purge (default every one); source images are purged in all")
	flags.Var(&choice[tasks.Priority]{&p.Priority, tasks.Priorities[:]}, "priority", "how urgent it is (default normal)")
	flags.Var(&span{&p.Settle, time.Millisecond}, "settle", "how long the origin may still serve old content: the purge waits")
	flags.Var(&span{&p.Rebound, time.Millisecond}, "rebound", "purge once more, so long after the first purge")
	flags.Var(&instant{&p.NotBefore}, "at", "purge at that time, such as 2026-12-01T09:00:00Z")
	flags.BoolVar(&p.AllowAll, "all", false, `let --tag '*' purge the whole project; by itself it purges nothing`)
	flags.BoolVar(&f.wait, "wait", false, "wait until every item is purged or dead, and fail if one is dead")
	flags.BoolVar(&p.Track, "track", false, "let --status tell later what became of it")
	flags.StringVar(&f.status, "status", "", "ask for nothing, but tell what became of a tracked `receipt`")
	flags.BoolVar(&f.dryRun, "dry-run", false, "check the request and show what would be enqueued; needs no Redis")
	jsonFlag(cmd, &f.json)
	return cmd
}

func (a *app) purge(cmd *cobra.Command, f *purgeFlags) error {
	if f.dryRun && (f.wait || f.purge.Track) {
		return usagef(cmd, "--dry-run stores nothing that could be followed: leave --wait and --track out")
	}
	c, err := a.loadConfig()
	if err != nil {
		return err
	}
	p, err := a.purgeOf(cmd, f, c.DefaultProject)
	if err != nil {
		return err
	}
	if accountFor(c, p.Project) == nil {
		a.notef("edgepurge: no account of this configuration covers project %s: a worker with the same one makes the request a dead letter", p.Project)
	}
	a.remark(p)
	if f.dryRun {
		return a.dryRun(c, p, f.json)
	}
	p.Track = p.Track || f.wait
	client, err := a.openProducer(cmd.Context(), c)
	if err != nil {
		return err
	}
	defer client.end()
	receipt, err := a.ask(cmd.Context(), client, p)
	if err != nil {
		return err
	}
	if !f.json {
		a.printf("receipt %s: %s in %s\n", receipt.ID, count(receipt.Items, "item"), count(receipt.Tasks, "task"))
	}
	switch {
	case f.wait:
		return a.wait(cmd.Context(), client, receipt.ID, f.json)
	case f.json:
		return a.printJSON(receiptJSON(receipt))
	}
	return nil
}

// purgeOf makes the request, or says all that is wrong with it in terms of flags.
func (a *app) purgeOf(cmd *cobra.Command, f *purgeFlags, project string) (tasks.Purge, error) {
	p := f.purge
	if p.Project == "" {
		p.Project = project
	}
	if p.Project == "" {
		return p, usagef(cmd, "name the project: --project prj_… or VERCEL_PROJECT_ID")
	}
	p.Operation = tasks.Delete
	if f.invalidate {
		p.Operation = tasks.Invalidate
	}
	if cmd.Flags().Changed("deadline") {
		seconds := int(f.deadline / time.Second)
		p.DeadlineSeconds = &seconds
	}
	lines, err := a.readTags(cmd.Context(), f.fromFile)
	if err != nil {
		return p, err
	}
	if len(f.tags)+len(f.images)+len(lines) == 0 {
		return p, usagef(cmd, "name at least one --tag or --src-image, or a --from-file that holds tags")
	}
	p.Tags = slices.Clone(f.tags)
	for _, l := range lines {
		p.Tags = append(p.Tags, l.Tag)
	}
	if f.encode == webhook.EncodeNext {
		for i, tag := range p.Tags {
			if tasks.CheckItem(tasks.Tag, tag) == nil { // else it is told as it was given
				p.Tags[i] = tasks.EncodeNext(tag)
			}
		}
	}
	if p.AllowAll && !slices.Contains(p.Tags, tasks.AllTags) {
		return p, usagef(cmd, "--all only lets --tag '*' purge the whole project, and no tag is *: add --tag '*', or leave --all out")
	}
	p.SrcImages = f.images
	p.RequestedAt = time.Now().UTC().Truncate(time.Millisecond)
	if err := p.Validate(); err != nil {
		return p, usagef(cmd, "%w", inFlags(err, f, lines))
	}
	return p, nil
}

// remark tells what a valid request means, where something else may be thought.
func (a *app) remark(p tasks.Purge) {
	if p.Target != tasks.AllTargets && len(p.SrcImages) > 0 {
		a.notef("edgepurge: source images take no target: they are purged in every environment")
	}
	if warning := tasks.NextWarning(p.Tags, "--encode next"); warning != "" {
		a.notef("edgepurge: %s", warning)
	}
	if !p.NotBefore.IsZero() && p.NotBefore.Before(p.RequestedAt) {
		a.notef("edgepurge: --at %s is past: the purge is due now", p.NotBefore.Format(time.RFC3339))
	}
}

// producer asks for purges and follows them.
type producer struct {
	*enqueue.Client
	config configs.Config
	rdb    redis.UniversalClient
}

// openProducer connects. The caller calls end.
func (a *app) openProducer(ctx context.Context, c configs.Config) (*producer, error) {
	rdb, err := a.openRedis(ctx, c)
	if err != nil {
		return nil, err
	}
	client, err := enqueue.New(enqueue.Config{
		Client: rdb, Source: cliSource, WaitReplicas: c.Redis.WaitReplicas, WaitTimeout: c.Redis.WaitTimeout,
		MaxQueued: c.Redis.MaxQueued,
	})
	if err != nil {
		_ = rdb.Close()
		return nil, err
	}
	return &producer{client, c, rdb}, nil
}

func (p *producer) end() { _ = p.rdb.Close() }

func (p *producer) ask(ctx context.Context, request tasks.Purge) (enqueue.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, purgeWait)
	defer cancel()
	return p.Purge(ctx, request)
}

// ask is the producer's within a span, if OTEL_* asks for one.
func (a *app) ask(ctx context.Context, client *producer, request tasks.Purge) (enqueue.Receipt, error) {
	traces, err := a.traces(ctx, "purge", a.logger(client.config.Log).Level(zerolog.WarnLevel))
	if err != nil {
		return enqueue.Receipt{}, err
	}
	defer traces.Stop(ctx)
	ctx, end := traces.Command(ctx, "edgepurge purge", a.getenv("TRACEPARENT"))
	defer end()
	return client.ask(ctx, request)
}

type wireReceipt struct {
	ID    string `json:"id"`
	Items int    `json:"items"`
	Tasks int    `json:"tasks"`
}

func receiptJSON(r enqueue.Receipt) wireReceipt {
	return wireReceipt{ID: r.ID, Items: r.Items, Tasks: r.Tasks}
}

// accountFor returns the account that covers a project, or nil.
func accountFor(c configs.Config, project string) *worker.Account {
	name, rest := "", ""
	for _, p := range c.Worker.Projects {
		switch p.Project {
		case project:
			name = p.Account
		case worker.AnyProject:
			rest = p.Account
		}
	}
	if name == "" {
		name = rest
	}
	for i := range c.Worker.Accounts {
		if a := &c.Worker.Accounts[i]; a.Name == name {
			return a
		}
	}
	return nil
}

// count is a number of things for people.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
