package main

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/edgepurge/edgepurge/internal/deadletter"
	"github.com/edgepurge/edgepurge/internal/overview"
	"github.com/edgepurge/edgepurge/internal/queues"
	"github.com/edgepurge/edgepurge/worker"
)

const (
	// fleetLook is how often a process looks at what all of them share; after looks
	// that failed it waits twice as long each time, up to maxFleetLook. That is well
	// below the two minutes after which edgepurge_redis_up pages somebody: a Redis that
	// is back must be seen before.
	fleetLook    = 10 * time.Second
	maxFleetLook = 30 * time.Second
	// letterRecount is when the reasons of dead letters are counted again although
	// no archive has grown or shrunk: one may have been replayed as another died.
	letterRecount = 10 * time.Minute
)

// fleetMetrics shows asynq's queues and the dead letters, which are those of the
// whole fleet, on the metrics of a process. They are read on a timer and not by a
// scrape, which would fail as a whole while Redis is slow.
type fleetMetrics struct {
	rdb     redis.UniversalClient
	letters *deadletter.Box
	log     zerolog.Logger

	up      prometheus.Gauge
	tasks   *prometheus.GaugeVec
	oldest  *prometheus.GaugeVec
	most    prometheus.Gauge
	reasons *prometheus.GaugeVec
	workers prometheus.Gauge // nil: this process does not count them

	counted  time.Time      // when the reasons of dead letters were
	archived map[string]int // by queue, as of then
}

func newFleetMetrics(rdb redis.UniversalClient, reg prometheus.Registerer, log zerolog.Logger) *fleetMetrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	vec := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	f := &fleetMetrics{
		rdb: rdb, letters: deadletter.New(rdb, nil), log: log,
		up:      gauge("edgepurge_redis_up", "1 if this process could read Redis when it last looked; what it shows of the fleet is old otherwise."),
		tasks:   vec("edgepurge_queue_tasks", "Tasks in asynq's queues, by state.", "queue", "state"),
		oldest:  vec("edgepurge_queue_oldest_seconds", "How long the oldest task of a queue that may run has waited.", "queue"),
		most:    gauge("edgepurge_archive_max_letters", "Dead letters that a queue's archive may hold before the worker holds the account instead."),
		reasons: vec("edgepurge_dead_letters", "Dead letters that lie in the archives, by reason.", "reason"),
	}
	reg.MustRegister(f.up, f.tasks, f.oldest, f.most, f.reasons)
	f.most.Set(worker.MaxLetters)
	for _, queue := range queues.All() {
		f.showQueue(overview.Queue{Queue: queue})
	}
	f.showReasons(nil)
	return f
}

// countWorkers makes the process tell how many workers there are, for which its
// Redis user needs more rights than a worker's has.
func (f *fleetMetrics) countWorkers(reg prometheus.Registerer) {
	f.workers = prometheus.NewGauge(prometheus.GaugeOpts{Name: "edgepurge_workers", Help: "Worker processes that Redis knows."})
	reg.MustRegister(f.workers)
}

// run looks until ctx ends.
//
// away says whether it has been told that Redis does not answer.
func (f *fleetMetrics) run(ctx context.Context, away func() bool) error {
	failures := 0
	for {
		err := f.look(ctx, time.Now())
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			f.up.Set(0)
			if failures == 0 && !away() {
				f.log.Warn().Err(err).Msg("the metrics of the fleet are old: Redis could not be read")
			}
		} else {
			f.up.Set(1)
		}
		if failures++; err == nil {
			failures = 0
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(lookAfter(failures)):
		}
	}
}

// lookAfter is how long to wait after so many failures in a row.
func lookAfter(failures int) time.Duration {
	return min(fleetLook<<min(failures, 8), maxFleetLook)
}

// look reads each part for itself: what cannot be read keeps its last value.
func (f *fleetMetrics) look(ctx context.Context, now time.Time) error {
	return errors.Join(f.lookAtQueues(ctx, now), f.lookForWorkers())
}

func (f *fleetMetrics) lookForWorkers() error {
	if f.workers == nil {
		return nil
	}
	workers, err := overview.ReadWorkers(asynq.NewInspectorFromRedisClient(f.rdb))
	if err == nil {
		f.workers.Set(float64(len(workers)))
	}
	return err
}

func (f *fleetMetrics) lookAtQueues(ctx context.Context, now time.Time) error {
	all, err := overview.ReadQueues(ctx, f.rdb)
	if err != nil {
		return err
	}
	archived := map[string]int{}
	for i := range all {
		f.showQueue(all[i])
		archived[all[i].Queue] = all[i].Archived
	}
	if maps.Equal(archived, f.archived) && now.Sub(f.counted) < letterRecount {
		return nil
	}
	letters, err := f.letters.List(ctx, deadletter.Filter{})
	if err != nil {
		return err
	}
	f.showReasons(letters)
	f.archived, f.counted = archived, now
	return nil
}

func (f *fleetMetrics) showQueue(q overview.Queue) {
	for state, n := range map[string]int{
		"pending": q.Pending, "active": q.Active, "retry": q.Retry, "scheduled": q.Scheduled, "archived": q.Archived,
	} {
		f.tasks.WithLabelValues(q.Queue, state).Set(float64(n))
	}
	f.oldest.WithLabelValues(q.Queue).Set(q.Waited.Seconds())
}

// showReasons counts the letters by reason. What a letter says is not trusted to
// be one of ours.
func (f *fleetMetrics) showReasons(letters []deadletter.Summary) {
	count := map[string]int{deadletter.Unmappable: 0, deadletter.ByHand: 0, deadletter.Unknown: 0}
	for _, reason := range worker.LetterReasons() {
		count[string(reason)] = 0
	}
	for i := range letters {
		reason := letters[i].Reason
		if _, ours := count[reason]; !ours {
			reason = deadletter.Unknown
		}
		count[reason]++
	}
	for reason, n := range count {
		f.reasons.WithLabelValues(reason).Set(float64(n))
	}
}
