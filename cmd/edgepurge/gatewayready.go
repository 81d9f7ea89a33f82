package main

import (
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/internal/overview"
)

// readiness answers whether a gateway should get requests: if Redis answers, and
// once a worker was seen. A worker that is gone later changes nothing, for what
// is asked for waits in Redis, and a sender that is turned away may not come again.
type readiness struct {
	rdb  redis.UniversalClient
	seen atomic.Bool
}

// ServeHTTP implements http.Handler.
func (s *readiness) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if pings(r.Context(), s.rdb) != nil {
		http.Error(w, "Redis does not answer", http.StatusServiceUnavailable)
		return
	}
	if !s.seen.Load() {
		workers, err := overview.ReadWorkers(asynq.NewInspectorFromRedisClient(s.rdb))
		if err != nil {
			http.Error(w, "Redis does not tell which workers there are", http.StatusServiceUnavailable)
			return
		}
		if len(workers) == 0 {
			http.Error(w, "no worker was seen yet: start `edgepurge worker`", http.StatusServiceUnavailable)
			return
		}
		s.seen.Store(true)
	}
	fmt.Fprintln(w, "ok")
}
