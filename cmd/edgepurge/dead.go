package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/edgepurge/edgepurge/configs"
	"github.com/edgepurge/edgepurge/enqueue"
	"github.com/edgepurge/edgepurge/enqueue/webhook"
	"github.com/edgepurge/edgepurge/internal/deadletter"
	"github.com/edgepurge/edgepurge/internal/queues"
	"github.com/edgepurge/edgepurge/tasks"
)

func newDeadCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dead",
		Short: "Show, replay and delete dead letters",
		Long: `A dead letter is a call that cannot succeed, a request that no worker can take in,
or a webhook that could not be mapped. It is kept with the reason until it is replayed or deleted, at most 90 days.`,
		Example: `  edgepurge dead list
  edgepurge dead show 01JCZ8…
  edgepurge dead replay --reason forbidden
  edgepurge dead delete --older-than 720h`,
		Args: knownCommand,
		RunE: needCommand,
	}
	cmd.AddCommand(newDeadListCommand(a), newDeadShowCommand(a), newDeadReplayCommand(a), newDeadDeleteCommand(a))
	return cmd
}

// deadFilter is the flags that select letters.
type deadFilter struct {
	filter    deadletter.Filter
	olderThan time.Duration
	newerThan time.Duration
}

func (f *deadFilter) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.filter.IDs, "id", nil, "letters with this `id` (repeatable)")
	flags.StringArrayVar(&f.filter.Reasons, "reason", nil, "letters with this `reason`, such as unauthorized (repeatable)")
	flags.StringArrayVar(&f.filter.Projects, "project", nil, "letters of this `project` (repeatable)")
	flags.StringArrayVar(&f.filter.Accounts, "account", nil, "letters of this `account` (repeatable)")
	flags.Var(&span{&f.olderThan, time.Nanosecond}, "older-than", "letters that died longer ago than that")
	flags.Var(&span{&f.newerThan, time.Nanosecond}, "newer-than", "letters that died within that time")
}

// at is the filter as seen from now.
func (f *deadFilter) at(now time.Time) deadletter.Filter {
	filter := f.filter
	if f.olderThan > 0 {
		filter.Before = now.Add(-f.olderThan)
	}
	if f.newerThan > 0 {
		filter.After = now.Add(-f.newerThan)
	}
	return filter
}

// letterBox is the dead letters and the Redis that they are in.
type letterBox struct {
	*deadletter.Box
	rdb redis.UniversalClient
}

func (b *letterBox) Close() { _ = b.rdb.Close() }

// openDead connects. The caller closes.
func (a *app) openDead(ctx context.Context) (*letterBox, error) {
	c, err := a.loadConfig()
	if err != nil {
		return nil, err
	}
	rdb, err := a.openRedis(ctx, c)
	if err != nil {
		return nil, err
	}
	client, err := enqueue.New(enqueue.Config{Client: rdb, Source: deadletter.Source})
	if err != nil {
		_ = rdb.Close()
		return nil, err
	}
	box := deadletter.New(rdb, client)
	box.Remap = func(ctx context.Context, d deadletter.Delivery) ([]tasks.Purge, error) { return remap(ctx, c, d) }
	return &letterBox{box, rdb}, nil
}

// remap maps a kept delivery by what the configuration says of its source now.
func remap(ctx context.Context, c configs.Config, d deadletter.Delivery) ([]tasks.Purge, error) {
	source, err := c.Source(d.Source)
	if err != nil {
		return nil, fmt.Errorf("the delivery is mapped by the configuration of the gateway: %w", err)
	}
	hook, err := webhook.Compile(source)
	if err != nil {
		return nil, err
	}
	purges, err := hook.Purges(ctx, webhook.Delivery{
		Method: http.MethodPost, URL: webhook.Prefix + d.Source, Header: d.Header, Body: d.Body, Now: d.ReceivedAt,
	})
	if err != nil {
		return nil, fmt.Errorf("it still cannot be mapped, mend gateway.sources first: %w", err)
	}
	return purges, nil
}

func newDeadListCommand(a *app) *cobra.Command {
	var f deadFilter
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List dead letters, those that died last first",
		Long: `list shows what is in each letter, then what Vercel, or whoever refused it, said. On
a terminal it fits the width, or COLUMNS; elsewhere nothing is cut but what is very
long. --json has all of each letter.`,
		Example: `  edgepurge dead list
  edgepurge dead list --reason bad_request --newer-than 24h
  edgepurge dead list --json | jq -r '.[].tags[]?'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			box, err := a.openDead(cmd.Context())
			if err != nil {
				return err
			}
			defer box.Close()
			if asJSON {
				return a.printLetters(cmd.Context(), box, f.at(time.Now()))
			}
			letters, unread, err := box.Look(cmd.Context(), f.at(time.Now()), lookWithin)
			if err != nil {
				return err
			}
			a.listDead(letters, unread)
			return nil
		},
	}
	f.register(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

// printLetters prints letters with their payloads as one JSON list, a letter at a
// time: together they may be gigabytes.
func (a *app) printLetters(ctx context.Context, box *letterBox, f deadletter.Filter) error {
	before, after := "[", "[]\n"
	err := box.Each(ctx, f, func(l deadletter.Letter) error {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false) // as printJSON
		e.SetIndent("  ", "  ")
		if err := e.Encode(l); err != nil {
			return fmt.Errorf("print %s: %w", l.ID, err)
		}
		a.printf("%s\n  %s", before, bytes.TrimSpace(b.Bytes()))
		before, after = ",", "\n]\n"
		return nil
	})
	if err != nil {
		return err
	}
	a.printf("%s", after)
	return nil
}

// lookWithin is how long a command that lists dead letters reads those that are not
// in the index yet. What it leaves, it says.
const lookWithin = 400 * time.Millisecond

func (a *app) listDead(letters []deadletter.Summary, unread int) {
	switch {
	case unread > 0:
		a.notef("%d older dead letters have not been read yet, so they are not listed: run this again to read on", unread)
	case len(letters) == 0:
		a.printf("no dead letters\n")
	}
	if len(letters) > 0 {
		a.printf("%s", deadTable(letters, time.Now(), a.width()))
	}
}

func newDeadShowCommand(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show <id>",
		Short: "Show all of a dead letter",
		Example: `  edgepurge dead show 01JCZ8…
  edgepurge dead show 01JCZ8… --json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef(cmd, "name one letter: `edgepurge dead list` shows their ids")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			box, err := a.openDead(cmd.Context())
			if err != nil {
				return err
			}
			defer box.Close()
			l, err := box.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(l)
			}
			return a.showDead(&l)
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

// find looks for an id in every queue.
func (b *letterBox) find(ctx context.Context, id string) (deadletter.Letter, error) {
	for _, queue := range queues.All() {
		l, err := b.Letter(ctx, deadletter.Key{Queue: queue, ID: id})
		if err == nil || !errors.Is(err, deadletter.ErrNotFound) {
			return l, err
		}
	}
	return deadletter.Letter{}, noLetter(id)
}

// noLetter says that no dead letter has the ids.
func noLetter(ids ...string) error {
	return fmt.Errorf("no dead letter has the id %s: `edgepurge dead list` shows what there is", strings.Join(ids, ", "))
}

func (a *app) showDead(l *deadletter.Letter) error {
	t := newTable(a.stdout)
	line := func(name string, value any) {
		if text := fmt.Sprint(value); text != "" {
			row(t, name, text)
		}
	}
	line("id", l.ID)
	line("queue", l.Queue)
	line("type", l.Type)
	if !l.Died.IsZero() {
		line("died", l.Died.UTC().Format(time.RFC3339)+", "+brief(time.Since(l.Died))+" ago")
	}
	line("reason", l.Reason)
	line("message", l.Message)
	line("attempts", l.Attempts)
	line("account", l.Account())
	line("project", l.Project())
	line("operation", l.Operation())
	if p := l.Purge(); p != nil {
		line("target", p.Target)
		if p.DeadlineSeconds != nil {
			line("deadline", time.Duration(*p.DeadlineSeconds)*time.Second)
		}
		line("priority", p.Priority)
	}
	if r := l.Request; r != nil {
		line("source", r.Source)
		line("requested", r.RequestedAt.Format(time.RFC3339))
	}
	if d := l.Delivery; d != nil {
		line("source", d.Source)
		if d.Unverified {
			line("verified", "no: it was taken in because of enforce: false")
		}
		for _, name := range slices.Sorted(maps.Keys(d.Header)) {
			line("header", name+": "+strings.Join(d.Header[name], ", "))
		}
		line("body", string(d.Body))
		if d.Clipped > 0 {
			line("clipped", fmt.Sprintf("%d bytes of %d: the rest was not kept", len(d.Body), d.Clipped))
		}
	}
	if l.Call != nil {
		line("claimed", l.Call.ClaimedAt.Format(time.RFC3339))
	}
	for _, tag := range l.Items(tasks.Tag) {
		line("tag", tag)
	}
	for _, image := range l.Items(tasks.SrcImage) {
		line("src-image", image)
	}
	if l.Fault != nil {
		line("unreadable", l.Fault)
		line("payload", fmt.Sprintf("%q", l.Payload))
	}
	return t.Flush()
}
