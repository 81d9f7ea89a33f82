package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/edgepurge/edgepurge/configs"
	"github.com/edgepurge/edgepurge/internal/redisurl"
	"github.com/edgepurge/edgepurge/worker"
)

func newWorkerCommand(a *app) *cobra.Command {
	var health bool
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Purge what is asked for",
		Long: `worker takes purge requests out of Redis and purges Vercel's edge cache. Any
number of workers share the work. On SIGTERM the calls in hand end and everything
else stays in Redis for the next worker; a second SIGTERM kills at once.

It serves /metrics, /healthz and /readyz at worker.metrics (127.0.0.1:9090). With
OTEL_EXPORTER_OTLP_ENDPOINT set it sends traces there (docs/tracing.md).`,
		Example: `  VERCEL_TOKEN=… edgepurge worker
  edgepurge worker --config /etc/edgepurge.yaml
  EDGEPURGE_LOG=debug,json edgepurge worker`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if health {
				return a.askHealth(cmd.Context(), "worker", func(c configs.Config) (string, string) { return "worker.metrics", c.Metrics })
			}
			return a.work(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&health, "health", false, "ask the worker that runs at worker.metrics whether it lives, and end (for a container without a shell)")
	return cmd
}

// work runs a worker and its metrics until ctx ends.
func (a *app) work(ctx context.Context) error {
	c, err := a.loadConfig()
	if err != nil {
		return err
	}
	if err := c.RequireTokens(); err != nil {
		return err
	}
	p, err := a.openProcess(ctx, "worker", c, workerConns(c))
	if err != nil {
		return err
	}
	defer p.close(ctx)
	w, err := p.worker(ctx)
	if err != nil {
		return err
	}
	p.logStart("worker")
	return together(ctx, append(w, onlyLooks(p.watchFleet))...)
}

// worker returns the parts of a worker. One that nobody can watch does not go
// on by itself, so its metrics are one of them.
func (p *process) worker(ctx context.Context) ([]func(context.Context) error, error) {
	w, err := p.newWorker()
	if err != nil {
		return nil, err
	}
	p.away = w.RedisAway
	metrics, err := listenMetrics(ctx, p.config.Metrics)
	if err != nil {
		return nil, err
	}
	return []func(context.Context) error{
		w.Run,
		func(ctx context.Context) error { return serveMetrics(ctx, metrics, p.registry, p.rdb) },
	}, nil
}

func (p *process) newWorker() (*worker.Worker, error) {
	return worker.New(p.config.Worker, worker.Options{
		Redis: p.rdb, Log: p.log, Registerer: p.registry, Sources: sourcesOf(p.config.Gateway),
		Traces: p.traces.Tracers(),
	})
}

// newRegistry returns a registry that knows the process and the Go runtime.
func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// listenMetrics opens the address of the metrics; nil if there is none.
func listenMetrics(ctx context.Context, address string) (net.Listener, error) {
	if address == "" {
		return nil, nil
	}
	listener, err := listen(ctx, address)
	if err != nil {
		return nil, fmt.Errorf(`serve metrics: %w: set worker.metrics to another address, or to "" for none`, err)
	}
	return listener, nil
}

// logStart says what starts with which configuration.
func (p *process) logStart(command string) {
	c := p.config
	shown := c.Redacted()
	line := p.log.Info().Str("command", command).Str("version", readVersion().Version).Str("config", c.File).
		Str("redis", redisurl.Redact(c.Redis.URL))
	if command == "gateway" { // the rest does not concern it
		line.Msg("starting")
		return
	}
	line.Str("vercel", shown.Worker.VercelURL).Str("metrics", c.Metrics).Msg("starting")
	if emulated(c) {
		p.log.Warn().Str("vercel", shown.Worker.VercelURL).Msg("vercel.url is not Vercel's: nothing is purged there")
	}
}

// emulated reports whether the calls go somewhere else than to Vercel.
func emulated(c configs.Config) bool { return c.Worker.VercelURL != configs.Default().Worker.VercelURL }

// serveMetrics serves until ctx ends; without a listener it only waits.
func serveMetrics(ctx context.Context, listener net.Listener, registry *prometheus.Registry, rdb redis.UniversalClient) error {
	if listener == nil {
		<-ctx.Done()
		return nil
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metricsHandler(registry))
	mux.HandleFunc("GET /healthz", alive)
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if pings(r.Context(), rdb) != nil {
			http.Error(w, "Redis does not answer", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return serve(ctx, listener, mux, func() {})
}

func metricsHandler(registry *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

// alive answers for liveness: whoever can answer lives.
func alive(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }

// pings asks Redis for a sign of life, for a second.
func pings(ctx context.Context, rdb redis.UniversalClient) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return rdb.Ping(ctx).Err()
}
