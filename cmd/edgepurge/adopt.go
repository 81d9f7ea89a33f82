package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/edgepurge/edgepurge/worker"
)

func newAdoptCommand(a *app) *cobra.Command {
	var what worker.Adoption
	cmd := &cobra.Command{
		Use:   "adopt",
		Short: "Move what waits under one account to another",
		Long: `adopt moves what waits for a purge from one account to another: after an account was
renamed or removed, or after a project moved to another account. It moves pending items
with their later purges and receipts, calls that wait for a retry, and the spread's debt.
Calls in flight end first, or their lease does. Dead letters need nothing: a replay asks
again, under the account that the project has by then.

Change the configuration and restart the workers first: new requests must go to the new
account. It may be interrupted and run again; at worst a call is repeated.`,
		Example: `  edgepurge adopt --from old --to acme                      # renamed: all of it
  edgepurge adopt --project prj_abc --from acme --to shop   # one project that moved`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if what.From == "" || what.To == "" {
				return usagef(cmd, "name both accounts: --from OLD --to NEW; `edgepurge status` lists them")
			}
			return a.adopt(cmd.Context(), what)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&what.From, "from", "", "`account` to move from; it need not be in the configuration")
	flags.StringVar(&what.To, "to", "", "`account` of the configuration to move to")
	flags.StringVar(&what.Project, "project", "", "move this `project` alone")
	return cmd
}

func (a *app) adopt(ctx context.Context, what worker.Adoption) error {
	c, err := a.loadConfig()
	if err != nil {
		return err
	}
	rdb, err := a.openRedis(ctx, c)
	if err != nil {
		return err
	}
	defer func() { _ = rdb.Close() }()
	done, err := worker.Adopt(ctx, c.Worker, rdb, what, func(calls int) {
		a.notef("waiting for %s in flight to end", count(calls, "call"))
	})
	if err != nil && done.Items+done.Retries == 0 && !errors.Is(err, context.Canceled) {
		return err
	}
	moved := fmt.Sprintf("moved %s from %s to %s", count(done.Items, "item"), plain(what.From), plain(what.To))
	if done.Retries > 0 {
		moved += fmt.Sprintf(", those of %s that waited for a retry among them", count(done.Retries, "call"))
	}
	a.printf("%s\n", moved)
	if done.Holds > 0 {
		a.printf("released %s of %s\n", count(done.Holds, "hold"), plain(what.From))
	}
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted: run it again for the rest")
	}
	return err
}
