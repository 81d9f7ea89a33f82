package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/edgepurge/edgepurge/configs"
	"github.com/edgepurge/edgepurge/internal/redisurl"
	"github.com/edgepurge/edgepurge/worker"
)

func newWorkerCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "worker",
		Short: "Purge what is asked for",
		Long: `worker takes purge requests out of Redis and purges Vercel's edge cache. Any
number of workers share the work. On SIGTERM the calls in hand end and everything
else stays in Redis for the next worker; a second SIGTERM kills at once.

It serves /metrics, /healthz and /readyz at worker.metrics (127.0.0.1:9090).`,
		Example: `  VERCEL_TOKEN=… edgepurge worker
  edgepurge worker --config /etc/edgepurge.yaml
  EDGEPURGE_LOG=debug,json edgepurge worker`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.work(cmd.Context()) },
	}
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
	rdb, err := redisurl.Open(c.Redis.URL, c.Worker.Concurrency+10+2*c.Worker.Servers)
	if err != nil {
		return err
	}
	defer func() { _ = rdb.Close() }()
	log := a.logger(c.Log)
	registry := newRegistry()
	w, err := worker.New(c.Worker, worker.Options{Redis: rdb, Log: log, Registerer: registry})
	if err != nil {
		return err
	}
	metrics, err := listenMetrics(ctx, c.Metrics)
	if err != nil {
		return err
	}
	logStart(log, c)

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	go func() {
		served <- serveMetrics(ctx, metrics, registry, rdb)
		stop() // a worker that nobody can watch does not go on by itself
	}()
	err = w.Run(ctx)
	stop()
	return errors.Join(err, <-served)
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

func logStart(log zerolog.Logger, c configs.Config) {
	shown := c.Redacted()
	log.Info().Str("version", readVersion().Version).Str("config", c.File).Str("redis", redisurl.Redact(c.Redis.URL)).
		Str("vercel", shown.Worker.VercelURL).Str("metrics", c.Metrics).Msg("starting")
	if emulated(c) {
		log.Warn().Str("vercel", shown.Worker.VercelURL).Msg("vercel.url is not Vercel's: nothing is purged there")
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
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		if err := rdb.Ping(ctx).Err(); err != nil {
			http.Error(w, "Redis does not answer", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return serve(ctx, listener, mux, func() {})
}
