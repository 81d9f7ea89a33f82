package queues

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Reclaimer takes tasks back from workers that are not there any more. asynq v0.26 does so
// after one to two minutes, and never if the task has no lease (hibiken/asynq#1051): its
// recoverer looks through leases only.
//
// A worker renews the lease of what it has in hand every five seconds, and lets go of a
// task whose lease it could not renew for thirty. So a lease that does not change for
// longer than that, or that is not there, is nobody's. That is judged by what one process
// saw and by its own clock: workers' clocks, by which leases are written, do not matter.
// It is for one goroutine.
type Reclaimer struct {
	rdb  redis.UniversalClient
	seen map[activeTask]sighting
	last time.Time // look
}

// activeTask is a task that some worker has, or had, in hand.
type activeTask struct{ queue, id string }

// sighting is since when a task has had the lease that it has.
type sighting struct {
	lease float64 // when it ends, in Unix seconds by its worker's clock; 0: none
	since time.Time
}

const (
	// abandoned is how long a lease may stay as it is: asynq's 30 s, and one renewal.
	abandoned = 35 * time.Second
	// longestGap is how far apart two looks may be: past it leases may have been
	// renewed, or Redis may have been away for workers too.
	longestGap = 15 * time.Second
	// mostActive bounds the tasks of a queue that one look reads, the oldest first.
	mostActive = 1000
)

// NewReclaimer returns one that has seen nothing yet.
func NewReclaimer(rdb redis.UniversalClient) *Reclaimer {
	return &Reclaimer{rdb: rdb, seen: map[activeTask]sighting{}}
}

// Reclaim looks once and puts back what has been abandoned; it returns the tasks' ids. It
// is to be called every few seconds. Other processes may do the same.
func (r *Reclaimer) Reclaim(ctx context.Context) ([]string, error) {
	leases, err := r.active(ctx)
	if err != nil {
		return nil, err
	}
	var reclaimed []string
	for _, t := range r.note(leases, time.Now()) {
		n, err := reclaimScript.Run(ctx, r.rdb, []string{
			Key(t.queue, "active"), Key(t.queue, "lease"), Key(t.queue, "pending"), TaskKey(t.queue, t.id),
		}, t.id, leases[t]).Int()
		if err != nil {
			return reclaimed, fmt.Errorf("take task %s of %s back: %w", t.id, t.queue, err)
		}
		if n == 1 {
			reclaimed = append(reclaimed, t.id)
		}
	}
	return reclaimed, nil
}

// note takes what was seen now into account and returns what is abandoned.
func (r *Reclaimer) note(leases map[activeTask]float64, now time.Time) []activeTask {
	if now.Sub(r.last) > longestGap {
		clear(r.seen)
	}
	r.last = now
	var found []activeTask
	seen := make(map[activeTask]sighting, len(leases))
	for t, lease := range leases {
		s, ok := r.seen[t]
		if !ok || s.lease != lease {
			s = sighting{lease, now}
		}
		seen[t] = s
		if now.Sub(s.since) >= abandoned {
			found = append(found, t)
		}
	}
	r.seen = seen
	return found
}

// active reads the leases of what workers have in hand, 0 for none.
func (r *Reclaimer) active(ctx context.Context) (map[activeTask]float64, error) {
	lists := make([]*redis.StringSliceCmd, 0, len(Served()))
	_, err := r.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, queue := range Served() {
			lists = append(lists, p.LRange(ctx, Key(queue, "active"), -mostActive, -1))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the active tasks: %w", err)
	}
	leases := map[activeTask]float64{}
	for i, queue := range Served() {
		ids := lists[i].Val()
		if len(ids) == 0 {
			continue
		}
		ends, err := r.rdb.ZMScore(ctx, Key(queue, "lease"), ids...).Result()
		if err != nil {
			return nil, fmt.Errorf("read the leases of %s: %w", queue, err)
		}
		for k, id := range ids {
			leases[activeTask{queue, id}] = ends[k]
		}
	}
	return leases, nil
}
