package overview

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/internal/queues"
)

// Queue is how many tasks one of our queues holds.
type Queue struct {
	Queue     string `json:"queue"`
	Pending   int    `json:"pending"`
	Active    int    `json:"active"`
	Retry     int    `json:"retry"`
	Scheduled int    `json:"scheduled"`
	Archived  int    `json:"archived"`
	Paused    bool   `json:"paused,omitempty"`
	// NextTry and LastTry are when the first and the last of Retry and Scheduled run
	// again; nil if there is none, or if Redis does not let us see.
	NextTry *time.Time `json:"next_try,omitempty"`
	LastTry *time.Time `json:"last_try,omitempty"`
	// Waited is how long the oldest pending task has waited; 0 if none is pending.
	Waited time.Duration `json:"-"`
}

// Worker is a worker process, which is several servers to asynq.
type Worker struct {
	Host    string    `json:"host"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	Active  int       `json:"active"`
}

// ReadQueues reads our queues, that of the deliveries that no source could map,
// which no worker serves, as the last one.
func ReadQueues(ctx context.Context, rdb redis.UniversalClient) ([]Queue, error) {
	// For the sake of asynq's inspector alone: a Redis that takes no writes can be looked at all the same.
	_ = queues.Register(ctx, rdb)
	states, err := queues.Read(ctx, rdb, queues.All()...)
	if err != nil {
		return nil, err
	}
	all := make([]Queue, len(states))
	for i, s := range states {
		all[i] = Queue{
			Queue: s.Queue, Pending: s.Pending, Active: s.Active, Retry: s.Retry, Scheduled: s.Scheduled,
			Archived: s.Archived, Paused: s.Paused, Waited: s.Waited,
		}
	}
	readTries(ctx, rdb, all)
	return all, nil
}

// readTries fills in when the tasks that wait run again. It serves display alone, so
// that a failure leaves it out.
func readTries(ctx context.Context, rdb redis.UniversalClient, all []Queue) {
	var replies []*redis.ZSliceCmd
	_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, q := range all {
			for _, set := range []string{"retry", "scheduled"} {
				key := queues.Key(q.Queue, set)
				replies = append(replies, p.ZRangeWithScores(ctx, key, 0, 0), p.ZRangeWithScores(ctx, key, -1, -1))
			}
		}
		return nil
	})
	if err != nil {
		return
	}
	for i, reply := range replies {
		q := &all[i/4]
		for _, z := range reply.Val() {
			at := time.Unix(int64(z.Score), 0).UTC()
			if q.NextTry == nil || at.Before(*q.NextTry) {
				q.NextTry = &at
			}
			if q.LastTry == nil || at.After(*q.LastTry) {
				q.LastTry = &at
			}
		}
	}
}

// ReadWorkers lists the processes whose servers serve our queues.
func ReadWorkers(inspector *asynq.Inspector) ([]Worker, error) {
	servers, err := inspector.Servers()
	if err != nil {
		return nil, fmt.Errorf("list the workers: %w", err)
	}
	workers := []Worker{}
	for _, s := range servers {
		ours := slices.ContainsFunc(queues.Served(), func(q string) bool { _, ok := s.Queues[q]; return ok })
		if !ours {
			continue
		}
		i := slices.IndexFunc(workers, func(w Worker) bool { return w.Host == s.Host && w.PID == s.PID })
		if i < 0 {
			i = len(workers)
			workers = append(workers, Worker{Host: s.Host, PID: s.PID, Started: s.Started.UTC()})
		}
		workers[i].Active += len(s.ActiveWorkers)
		if s.Started.Before(workers[i].Started) {
			workers[i].Started = s.Started.UTC()
		}
	}
	slices.SortFunc(workers, func(x, y Worker) int { return x.Started.Compare(y.Started) })
	return workers, nil
}
