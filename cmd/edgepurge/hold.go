package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgepurge/edgepurge/internal/overview"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

func newHoldCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hold",
		Short: "Show and release what is held",
		Long: `A hold pauses an account or a project whose calls cannot succeed, for an expired
token say. What is asked for waits; a worker probes with one call after 1 minute,
then 2, 4 … 15, and the first one that Vercel lets in lifts the hold.

A 401 or a 403 for a bad token holds the account. A 402, 404, 410 or any other 403
holds the project; the account too, if two projects get such a 403 and no call succeeds
in between.`,
		Example: `  edgepurge hold list
  edgepurge hold release acme`,
		Args: knownCommand,
		RunE: needCommand,
	}
	cmd.AddCommand(newHoldListCommand(a), newHoldReleaseCommand(a))
	return cmd
}

// held is a hold with its account.
type held struct {
	Account string `json:"account"`
	lanes.Hold
}

// what is what stands still, in words.
func (h held) what() string {
	if project, ok := lanes.HeldProject(h.Scope); ok {
		return fmt.Sprintf("project %s of account %s", project, h.Account)
	}
	return "account " + h.Account
}

func newHoldListCommand(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what is held, and why",
		Example: `  edgepurge hold list
  edgepurge hold list --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, names, end, err := a.openLanes(cmd.Context())
			if err != nil {
				return err
			}
			defer end()
			holds, err := listHolds(cmd.Context(), l, names)
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(holds)
			}
			if len(holds) == 0 {
				a.printf("nothing is held\n")
				return nil
			}
			t, now := newTable(a.stdout), time.Now()
			row(t, "ACCOUNT", "HELD", "REASON", "FOR", "NEXT PROBE", "DETAIL")
			for _, h := range holds {
				row(t, h.Account, h.Scope, h.Reason, brief(now.Sub(h.Since)), when(h.Next, now), h.Detail)
			}
			if err := t.Flush(); err != nil {
				return err
			}
			a.printf("\n")
			for _, h := range holds {
				a.printf("%s: %s\n", plain(h.what()), plain(holdRemedy(h)))
			}
			return nil
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func newHoldReleaseCommand(a *app) *cobra.Command {
	var project string
	var all bool
	cmd := &cobra.Command{
		Use:   "release [account]",
		Short: "Release an account or a project",
		Long: `release ends a hold at once, when its cause is fixed: the worker goes on with
everything that waited. Releasing an account also ends a pause after a 429. To name
a project that is not held is an error.`,
		Example: `  edgepurge hold release acme                    # the account
  edgepurge hold release acme --project prj_abc  # one project of it
  edgepurge hold release acme --all              # the account and its projects
  edgepurge hold release --all                   # everything`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) > 1:
				return usagef(cmd, "unexpected argument %q: name one account", args[1])
			case len(args) == 0 && !all:
				return usagef(cmd, "name the account, or --all for every one: `edgepurge hold list` shows what is held")
			case all && project != "":
				return usagef(cmd, "--all and --project do not go together: --all releases every project too")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			l, names, end, err := a.openLanes(cmd.Context())
			if err != nil {
				return err
			}
			defer end()
			if len(args) == 1 {
				if !slices.Contains(names, args[0]) {
					return fmt.Errorf("account %q is neither in the configuration nor in Redis: it is one of %s", args[0], strings.Join(names, ", "))
				}
				names = args
			}
			scope := lanes.ScopeAccount
			if project != "" {
				scope = lanes.ScopeProject(project)
			}
			return a.release(cmd.Context(), l, names, scope, all)
		},
	}
	cmd.Flags().StringVar(&project, "project", "", "release this `project` of the account only")
	cmd.Flags().BoolVar(&all, "all", false, "release everything (of the account, if one is named)")
	return cmd
}

// openLanes connects and lists the accounts. The caller calls end.
func (a *app) openLanes(ctx context.Context) (l *lanes.Lanes, names []string, end func(), err error) {
	c, err := a.loadConfig()
	if err != nil {
		return nil, nil, nil, err
	}
	rdb, err := a.openRedis(ctx, c)
	if err != nil {
		return nil, nil, nil, err
	}
	l = lanes.New(rdb)
	names, err = overview.AccountNames(ctx, l, settingsOf(c))
	if err != nil {
		_ = rdb.Close()
		return nil, nil, nil, err
	}
	return l, names, func() { _ = rdb.Close() }, nil
}

// listHolds lists the holds of the accounts, the oldest of each first.
func listHolds(ctx context.Context, l *lanes.Lanes, accounts []string) ([]held, error) {
	all := []held{}
	for _, name := range accounts {
		holds, err := l.Holds(ctx, name)
		if err != nil {
			return nil, err
		}
		slices.SortFunc(holds, func(x, y lanes.Hold) int { return x.Since.Compare(y.Since) })
		for _, h := range holds {
			h.Since, h.Next = h.Since.UTC(), h.Next.UTC()
			all = append(all, held{name, h})
		}
	}
	return all, nil
}

// release releases one scope of the accounts, or all of them, and says what was
// held. That nothing was is a failure only of who named a project: a script would
// take a name that is wrong for done.
func (a *app) release(ctx context.Context, l *lanes.Lanes, accounts []string, scope string, all bool) error {
	holds, err := listHolds(ctx, l, accounts)
	if err != nil {
		return err
	}
	released := 0
	var others []string
	for _, h := range holds {
		if !all && h.Scope != scope {
			others = append(others, h.Scope)
			continue
		}
		was, err := l.Release(ctx, h.Account, h.Scope)
		if err != nil {
			return err
		}
		if was {
			released++
			a.printf("released %s, held for %s\n", plain(h.what()), plain(h.Detail))
		}
	}
	if all || scope == lanes.ScopeAccount {
		for _, name := range accounts {
			if err := l.Resume(ctx, name); err != nil {
				return err
			}
		}
	}
	if project, ok := lanes.HeldProject(scope); ok && released == 0 {
		return notHeld(accounts[0], project, others)
	}
	if released == 0 {
		a.printf("nothing of that is held\n")
	}
	if len(others) > 0 {
		a.notef("still held: %s", plain(strings.Join(others, ", ")))
	}
	return nil
}

// notHeld says of what else the account is held: other scopes.
func notHeld(account, project string, others []string) error {
	what := "nothing of it is"
	if len(others) > 0 {
		what = "what is held of it is " + plain(strings.Join(others, ", "))
	}
	return fmt.Errorf("project %s of account %s is not held: %s", project, account, what)
}
