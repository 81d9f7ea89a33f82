package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/edgepurge/edgepurge/configs"
	"github.com/edgepurge/edgepurge/internal/redisurl"
)

// process is what the parts of a long-running process share.
type process struct {
	config   configs.Config
	rdb      redis.UniversalClient
	log      zerolog.Logger
	registry *prometheus.Registry
	fleet    *fleetMetrics
}

// openProcess opens a client with at least so many connections; it does not
// connect. The caller closes the client.
func (a *app) openProcess(c configs.Config, conns int) (*process, error) {
	rdb, err := redisurl.Open(c.Redis.URL, conns)
	if err != nil {
		return nil, err
	}
	return newProcess(c, rdb, a.logger(c.Log)), nil
}

func newProcess(c configs.Config, rdb redis.UniversalClient, log zerolog.Logger) *process {
	registry := newRegistry()
	return &process{config: c, rdb: rdb, log: log, registry: registry, fleet: newFleetMetrics(rdb, registry, log)}
}

// workerConns is how many connections a worker needs.
func workerConns(c configs.Config) int { return c.Worker.Concurrency + 10 + 2*c.Worker.Servers }
