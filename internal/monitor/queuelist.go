package monitor

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/internal/queues"
)

// queueList answers asynqmon's list of queues in its place. asynqmon's own is
// empty as soon as one queue cannot be read, also one of another program that
// shares this Redis: here such a queue is left out, and ours are always in it.
type queueList struct {
	rdb       redis.UniversalClient
	inspector *asynq.Inspector
}

// listedQueue is a queue as asynqmon's page wants it.
type listedQueue struct {
	Queue           string    `json:"queue"`
	MemoryUsage     int64     `json:"memory_usage_bytes"`
	Size            int       `json:"size"`
	Groups          int       `json:"groups"`
	LatencyMillisec int64     `json:"latency_msec"`
	DisplayLatency  string    `json:"display_latency"`
	Active          int       `json:"active"`
	Pending         int       `json:"pending"`
	Aggregating     int       `json:"aggregating"`
	Scheduled       int       `json:"scheduled"`
	Retry           int       `json:"retry"`
	Archived        int       `json:"archived"`
	Completed       int       `json:"completed"`
	Processed       int       `json:"processed"`
	Succeeded       int       `json:"succeeded"`
	Failed          int       `json:"failed"`
	Paused          bool      `json:"paused"`
	Timestamp       time.Time `json:"timestamp"`
}

func (l *queueList) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = queues.Register(r.Context(), l.rdb) // a Redis that takes no writes can be looked at all the same
	names, err := l.inspector.Queues()
	if err != nil {
		http.Error(w, "Redis does not answer as it should", http.StatusInternalServerError)
		return
	}
	for _, name := range queues.All() {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	list := []listedQueue{}
	var fault error
	for _, name := range names {
		info, err := l.inspector.GetQueueInfo(name)
		switch {
		case errors.Is(err, asynq.ErrQueueNotFound): // ours, and not registered
			info = &asynq.QueueInfo{Queue: name, Timestamp: time.Now()}
		case err != nil && ours(name):
			fault = err
			continue
		case err != nil:
			continue
		}
		list = append(list, listedOf(info))
	}
	if fault != nil && len(list) == 0 {
		http.Error(w, "Redis does not answer as it should", http.StatusInternalServerError)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string][]listedQueue{"queues": list}) // to a browser that may have left
}

func listedOf(q *asynq.QueueInfo) listedQueue {
	return listedQueue{
		Queue: q.Queue, Size: q.Size, Groups: q.Groups,
		LatencyMillisec: q.Latency.Milliseconds(), DisplayLatency: q.Latency.Round(10 * time.Millisecond).String(),
		Active: q.Active, Pending: q.Pending, Aggregating: q.Aggregating, Scheduled: q.Scheduled, Retry: q.Retry,
		Archived: q.Archived, Completed: q.Completed, Processed: q.Processed, Succeeded: q.Processed - q.Failed, Failed: q.Failed,
		Paused: q.Paused, Timestamp: q.Timestamp,
	}
}
