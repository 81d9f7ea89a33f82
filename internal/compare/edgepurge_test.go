package compare

import (
	"context"
	"io"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/edgepurge/edgepurge/enqueue"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

func askEdgepurge(rdb redis.UniversalClient) (func(context.Context, []string) error, error) {
	client, err := enqueue.New(enqueue.Config{Client: rdb})
	return func(ctx context.Context, tags []string) error {
		_, err := client.Purge(ctx, tasks.Purge{Project: project, Operation: tasks.Delete, Tags: tags})
		return err
	}, err
}

// workEdgepurge runs what `edgepurge worker` runs, less its metrics: the default
// configuration but for the budget and the number of calls at a time.
func workEdgepurge(rdb redis.UniversalClient, r role) error {
	c := worker.DefaultConfig()
	c.VercelURL = r.API
	account := &c.Accounts[0]
	account.Token = token
	account.Budget.Calls, account.Budget.Reserve, account.Budget.InFlight = r.Calls, 0, concurrency
	if r.Calls > 0 {
		account.Budget.Per = time.Duration(r.PerMillis) * time.Millisecond
		account.Budget.Reserve = worker.DefaultAccount().Budget.Reserve
	}
	if r.Alone {
		c.Projects[0].Linger = 0
	}
	if r.Hold {
		c.Projects[0].Linger = time.Hour
		account.Budget = worker.Budget{Calls: 1, Per: 24 * time.Hour, InFlight: 1}
	}
	w, err := worker.New(c, worker.Options{Redis: rdb, Log: zerolog.New(io.Discard)})
	if err != nil {
		return err
	}
	go func() { _ = w.Run(context.Background()) }()
	return nil
}

func pendingEdgepurge(rdb redis.UniversalClient) (int, error) {
	s, err := lanes.New(rdb).Status(context.Background(), worker.DefaultAccount().Name, time.Minute)
	n := 0
	for _, l := range s.Lanes {
		n += int(l.Pending)
	}
	for _, b := range s.InFlight {
		n += len(b.Items)
	}
	return n, err
}
