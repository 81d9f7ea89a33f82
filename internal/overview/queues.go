package overview

import (
	"fmt"
	"slices"
	"time"

	"github.com/hibiken/asynq"

	"github.com/edgepurge/edgepurge/tasks"
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

// OurQueues are the queues in the order of a purge's way through them.
func OurQueues() []string { return []string{tasks.QueueIntake, tasks.QueueUrgent, tasks.QueueCalls} }

// ReadQueues reads our queues; one that nothing was ever stored in is empty. The
// queue of deliveries that no source could map is among them once there was one:
// no worker serves it.
func ReadQueues(inspector *asynq.Inspector) ([]Queue, error) {
	exist, err := inspector.Queues()
	if err != nil {
		return nil, fmt.Errorf("list the queues: %w", err)
	}
	var queues []Queue
	names := OurQueues()
	if slices.Contains(exist, tasks.QueueDeliveries) {
		names = append(names, tasks.QueueDeliveries)
	}
	for _, name := range names {
		q := Queue{Queue: name}
		if slices.Contains(exist, name) {
			info, err := inspector.GetQueueInfo(name)
			if err != nil {
				return nil, fmt.Errorf("look at queue %s: %w", name, err)
			}
			q.Pending, q.Active, q.Retry = info.Pending, info.Active, info.Retry
			q.Scheduled, q.Archived, q.Paused = info.Scheduled, info.Archived, info.Paused
			q.Waited = info.Latency
		}
		queues = append(queues, q)
	}
	return queues, nil
}

// ReadWorkers lists the processes whose servers serve our queues.
func ReadWorkers(inspector *asynq.Inspector) ([]Worker, error) {
	servers, err := inspector.Servers()
	if err != nil {
		return nil, fmt.Errorf("list the workers: %w", err)
	}
	workers := []Worker{}
	for _, s := range servers {
		ours := slices.ContainsFunc(OurQueues(), func(q string) bool { _, ok := s.Queues[q]; return ok })
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
