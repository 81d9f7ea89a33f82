package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/edgepurge/edgepurge/configs"
	"github.com/edgepurge/edgepurge/internal/deadletter"
	"github.com/edgepurge/edgepurge/internal/overview"
	"github.com/edgepurge/edgepurge/worker"
)

func newStatusCommand(a *app) *cobra.Command {
	var asJSON bool
	var watch time.Duration
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what waits, what is held and what is dead",
		Long: `status shows every account of the configuration and of Redis: what waits in its
lanes, the calls under way, the budget of the running window, pauses and holds;
then the queues, the dead letters by reason and the workers.`,
		Example: `  edgepurge status
  edgepurge status --watch 2s
  edgepurge status --json | jq '.accounts[].lanes'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON && watch > 0 {
				return usagef(cmd, "--json and --watch do not go together: ask again for every --json")
			}
			return a.status(cmd.Context(), asJSON, watch)
		},
	}
	jsonFlag(cmd, &asJSON)
	cmd.Flags().Var(&span{&watch, 100 * time.Millisecond}, "watch", "show it again so often, until Ctrl-C")
	return cmd
}

func (a *app) status(ctx context.Context, asJSON bool, watch time.Duration) error {
	c, err := a.loadConfig()
	if err != nil {
		return err
	}
	rdb, err := a.openRedis(ctx, c)
	if err != nil {
		return err
	}
	defer func() { _ = rdb.Close() }()
	if watch > 0 {
		return a.watchStatus(ctx, c, rdb, watch)
	}
	s, err := readStatus(ctx, c, rdb)
	if err != nil {
		return err
	}
	if asJSON {
		return a.printJSON(s)
	}
	a.printf("%s", s)
	return nil
}

// watchStatus shows it again and again until ctx ends. While Redis is away it waits.
func (a *app) watchStatus(ctx context.Context, c configs.Config, rdb redis.UniversalClient, every time.Duration) error {
	redisIs := outage{app: a}
	for {
		s, err := readStatus(ctx, c, rdb)
		if ctx.Err() != nil {
			return nil
		}
		if !redisIs.bridges(err) {
			return err
		}
		if err == nil {
			if isTerminal(a.stdout) {
				a.printf("\x1b[H\x1b[2J")
			}
			if _, err := fmt.Fprintf(a.stdout, "%s\n%s", s.Now.Local().Format(time.TimeOnly), s); err != nil {
				return fmt.Errorf("show the status: %w", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
	}
}

// status is what `edgepurge status --json` prints.
type status struct {
	Now         time.Time          `json:"now"`
	Accounts    []overview.Account `json:"accounts"`
	Queues      []overview.Queue   `json:"queues"`
	DeadLetters map[string]int     `json:"dead_letters"` // by reason
	// UnreadLetters are dead letters that are not among those yet: an older edgepurge
	// kept them, and to read them all would have taken longer than lookWithin.
	UnreadLetters int               `json:"unread_dead_letters,omitempty"`
	Workers       []overview.Worker `json:"workers"`
	// Moved are projects of which something waits under an account that does not cover them.
	Moved []movedProject `json:"moved_projects,omitempty"`
	// WorkersFault is why the workers could not be listed.
	WorkersFault string `json:"workers_fault,omitempty"`
}

// readStatus reads all of it, one part after the other.
func readStatus(ctx context.Context, c configs.Config, rdb redis.UniversalClient) (*status, error) {
	o, err := overview.Read(ctx, rdb, settingsOf(c), settings(worker.DefaultAccount()))
	if err != nil {
		return nil, err
	}
	s := &status{
		Now: o.Now, Accounts: o.Accounts, Queues: o.Queues, Workers: o.Workers, WorkersFault: o.WorkersFault,
		DeadLetters: map[string]int{}, Moved: movedProjects(c, o.Accounts),
	}
	if slices.ContainsFunc(s.Queues, func(q overview.Queue) bool { return q.Archived > 0 }) {
		letters, unread, err := deadletter.New(rdb, nil).Look(ctx, deadletter.Filter{}, lookWithin)
		if err != nil {
			return nil, err
		}
		s.UnreadLetters = unread
		for _, letter := range letters {
			s.DeadLetters[letter.Reason]++
		}
	}
	return s, nil
}

// settingsOf are the accounts of the configuration.
func settingsOf(c configs.Config) []overview.Settings {
	var all []overview.Settings
	for _, a := range c.Worker.Accounts {
		all = append(all, settings(a))
	}
	return all
}

func settings(a worker.Account) overview.Settings {
	b := a.Budget
	return overview.Settings{Account: a.Name, Calls: b.Calls, Per: b.Per, Reserve: b.Reserve, InFlight: b.InFlight}
}
