package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/edgepurge/edgepurge/configs"
	"github.com/edgepurge/edgepurge/internal/deadletter"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker"
	"github.com/edgepurge/edgepurge/worker/lanes"
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
	for {
		s, err := readStatus(ctx, c, rdb)
		if err != nil {
			return quietEnd(ctx, watch, err)
		}
		switch {
		case asJSON:
			return a.printJSON(s)
		case watch == 0:
			a.printf("%s", s)
			return nil
		}
		if isTerminal(a.stdout) {
			a.printf("\x1b[H\x1b[2J")
		}
		a.printf("%s\n%s", s.Now.Local().Format(time.TimeOnly), s)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watch):
		}
	}
}

// quietEnd is nil for a watch that was ended by hand.
func quietEnd(ctx context.Context, watch time.Duration, err error) error {
	if watch > 0 && ctx.Err() != nil {
		return nil
	}
	return err
}

// status is what `edgepurge status --json` prints.
type status struct {
	Now         time.Time       `json:"now"`
	Accounts    []accountStatus `json:"accounts"`
	Queues      []queueStatus   `json:"queues"`
	DeadLetters map[string]int  `json:"dead_letters"` // by reason
	Workers     []workerStatus  `json:"workers"`
}

type accountStatus struct {
	Account string `json:"account"`
	// Configured is false for an account that Redis knows and the configuration does not.
	Configured  bool         `json:"configured"`
	Lanes       []laneStatus `json:"lanes"`
	Pending     int64        `json:"pending"`
	InFlight    []flight     `json:"in_flight"`
	InFlightMax int          `json:"in_flight_max"`
	Budget      budgetStatus `json:"budget"`
	PausedUntil *time.Time   `json:"paused_until,omitempty"`
	Holds       []lanes.Hold `json:"holds"`
}

// budgetStatus is the running window. Calls 0 is unlimited, and Left then -1.
type budgetStatus struct {
	Calls   int    `json:"calls"`
	Per     string `json:"per"`
	Reserve int    `json:"reserve"`
	Used    int64  `json:"used"`
	Left    int64  `json:"left"`
	Learned int    `json:"learned,omitempty"` // what Vercel taught, if less than Calls
	Slowed  int    `json:"slowed,omitempty"`  // what it may do while the API fails, or after that
	per     time.Duration
}

type laneStatus struct {
	Lane    string    `json:"lane"`
	Pending int64     `json:"pending"`
	Again   int64     `json:"again"`
	Oldest  time.Time `json:"oldest"`
	ReadyAt time.Time `json:"ready_at"`
}

type flight struct {
	Batch string `json:"batch"`
	Lane  string `json:"lane"`
	Items int    `json:"items"`
}

type queueStatus struct {
	Queue     string `json:"queue"`
	Pending   int    `json:"pending"`
	Active    int    `json:"active"`
	Retry     int    `json:"retry"`
	Scheduled int    `json:"scheduled"`
	Archived  int    `json:"archived"`
	Paused    bool   `json:"paused,omitempty"`
}

// workerStatus is a worker process, which is several servers to asynq.
type workerStatus struct {
	Host    string    `json:"host"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	Active  int       `json:"active"`
}

// readStatus reads all of it, one part after the other.
func readStatus(ctx context.Context, c configs.Config, rdb redis.UniversalClient) (*status, error) {
	s := &status{DeadLetters: map[string]int{}}
	l := lanes.New(rdb)
	names, err := accountNames(ctx, c, l)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		a, now, err := readAccount(ctx, c, l, name)
		if err != nil {
			return nil, err
		}
		s.Now = now
		s.Accounts = append(s.Accounts, a)
	}
	inspector := asynq.NewInspectorFromRedisClient(rdb)
	if s.Queues, err = readQueues(inspector); err != nil {
		return nil, err
	}
	if s.Workers, err = readWorkers(inspector); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(s.Queues, func(q queueStatus) bool { return q.Archived > 0 }) {
		letters, err := deadletter.New(rdb, nil).List(ctx, deadletter.Filter{})
		if err != nil {
			return nil, err
		}
		for _, letter := range letters {
			s.DeadLetters[letter.Reason]++
		}
	}
	return s, nil
}

// accountNames lists the accounts of the configuration and then those that only
// Redis knows: of an older configuration, or another worker's.
func accountNames(ctx context.Context, c configs.Config, l *lanes.Lanes) ([]string, error) {
	var names []string
	for _, a := range c.Worker.Accounts {
		names = append(names, a.Name)
	}
	known, err := l.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	slices.Sort(known)
	for _, name := range known {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

func readAccount(ctx context.Context, c configs.Config, l *lanes.Lanes, name string) (accountStatus, time.Time, error) {
	settings := worker.DefaultAccount()
	i := slices.IndexFunc(c.Worker.Accounts, func(a worker.Account) bool { return a.Name == name })
	if i >= 0 {
		settings = c.Worker.Accounts[i]
	}
	b := settings.Budget
	s, err := l.Status(ctx, name, b.Per)
	if err != nil {
		return accountStatus{}, time.Time{}, err
	}
	a := accountStatus{
		Account: name, Configured: i >= 0, InFlightMax: b.InFlight,
		Lanes: []laneStatus{}, InFlight: []flight{}, Holds: s.Holds,
		Budget: budgetOf(b, s),
	}
	for _, lane := range s.Lanes {
		a.Pending += lane.Pending
		a.Lanes = append(a.Lanes, laneStatus{
			Lane: lane.Lane.ID(), Pending: lane.Pending, Again: lane.Again, Oldest: lane.Oldest.UTC(), ReadyAt: lane.ReadyAt.UTC(),
		})
	}
	for _, batch := range s.InFlight {
		a.InFlight = append(a.InFlight, flight{Batch: batch.ID, Lane: batch.Lane.ID(), Items: len(batch.Items)})
	}
	slices.SortFunc(a.Holds, func(x, y lanes.Hold) int { return x.Since.Compare(y.Since) })
	if !s.PausedUntil.IsZero() {
		a.PausedUntil = &s.PausedUntil
	}
	return a, s.Now.UTC(), nil
}

// budgetOf is what the running window has left, by the budget or by what Vercel
// taught, whichever is less.
func budgetOf(b worker.Budget, s lanes.Status) budgetStatus {
	out := budgetStatus{Calls: b.Calls, Per: b.Per.String(), per: b.Per, Reserve: b.Reserve, Used: s.Used, Left: -1}
	most := b.Calls
	if s.Learned > 0 && (most == 0 || s.Learned < most) {
		out.Learned, most = s.Learned, s.Learned
	}
	if s.Slowed > 0 && most > 0 && s.Slowed < most {
		out.Slowed, most = s.Slowed, s.Slowed
	}
	if most > 0 {
		out.Left = max(0, int64(most)-s.Used)
	}
	return out
}

// ourQueues are the queues in the order of a purge's way through them.
func ourQueues() []string { return []string{tasks.QueueIntake, tasks.QueueUrgent, tasks.QueueCalls} }

// readQueues reads our queues; one that nothing was ever stored in is empty.
func readQueues(inspector *asynq.Inspector) ([]queueStatus, error) {
	exist, err := inspector.Queues()
	if err != nil {
		return nil, fmt.Errorf("list the queues: %w", err)
	}
	var queues []queueStatus
	for _, name := range ourQueues() {
		q := queueStatus{Queue: name}
		if slices.Contains(exist, name) {
			info, err := inspector.GetQueueInfo(name)
			if err != nil {
				return nil, fmt.Errorf("look at queue %s: %w", name, err)
			}
			q.Pending, q.Active, q.Retry = info.Pending, info.Active, info.Retry
			q.Scheduled, q.Archived, q.Paused = info.Scheduled, info.Archived, info.Paused
		}
		queues = append(queues, q)
	}
	return queues, nil
}

// readWorkers lists the processes whose servers serve our queues.
func readWorkers(inspector *asynq.Inspector) ([]workerStatus, error) {
	servers, err := inspector.Servers()
	if err != nil {
		return nil, fmt.Errorf("list the workers: %w", err)
	}
	workers := []workerStatus{}
	for _, s := range servers {
		ours := slices.ContainsFunc(ourQueues(), func(q string) bool { _, ok := s.Queues[q]; return ok })
		if !ours {
			continue
		}
		i := slices.IndexFunc(workers, func(w workerStatus) bool { return w.Host == s.Host && w.PID == s.PID })
		if i < 0 {
			i = len(workers)
			workers = append(workers, workerStatus{Host: s.Host, PID: s.PID, Started: s.Started.UTC()})
		}
		workers[i].Active += len(s.ActiveWorkers)
		if s.Started.Before(workers[i].Started) {
			workers[i].Started = s.Started.UTC()
		}
	}
	slices.SortFunc(workers, func(x, y workerStatus) int { return x.Started.Compare(y.Started) })
	return workers, nil
}
