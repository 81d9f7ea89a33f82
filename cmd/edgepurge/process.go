package main

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/edgepurge/edgepurge/configs"
	"github.com/edgepurge/edgepurge/internal/redisurl"
	"github.com/edgepurge/edgepurge/internal/tracing"
)

// process is what the parts of a long-running process share.
type process struct {
	config   configs.Config
	rdb      redis.UniversalClient
	log      zerolog.Logger
	registry *prometheus.Registry
	fleet    *fleetMetrics
	away     func() bool       // whether it has been told that Redis does not answer
	traces   *tracing.Provider // nil: off
}

// openProcess opens a client with at least so many connections; it does not
// connect. The caller closes the process.
func (a *app) openProcess(ctx context.Context, command string, c configs.Config, conns int) (*process, error) {
	log := a.logger(c.Log)
	traces, err := a.traces(ctx, command, log)
	if err != nil {
		return nil, err
	}
	rdb, err := redisurl.Open(c.Redis.URL, conns)
	if err != nil {
		return nil, err
	}
	p := newProcess(c, rdb, log)
	p.traces = traces
	return p, nil
}

// traces begins to send the spans of a command, if OTEL_* asks for that.
func (a *app) traces(ctx context.Context, command string, log zerolog.Logger) (*tracing.Provider, error) {
	return tracing.Start(ctx, tracing.Config{
		Service: "edgepurge-" + command, Version: readVersion().Version, Getenv: a.getenv, Log: log,
	})
}

// close sends the last spans and closes the client.
func (p *process) close(ctx context.Context) {
	p.traces.Stop(ctx)
	_ = p.rdb.Close()
}

func newProcess(c configs.Config, rdb redis.UniversalClient, log zerolog.Logger) *process {
	registry := newRegistry()
	return &process{
		config: c, rdb: rdb, log: log, registry: registry, fleet: newFleetMetrics(rdb, registry, log),
		away: func() bool { return false },
	}
}

// watchFleet keeps the metrics of the fleet new until ctx ends.
func (p *process) watchFleet(ctx context.Context) error { return p.fleet.run(ctx, p.away) }

// workerConns is how many connections a worker needs.
func workerConns(c configs.Config) int { return c.Worker.Concurrency + 10 + 2*c.Worker.Servers }
