package main

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgepurge/edgepurge/configs"
	"github.com/edgepurge/edgepurge/internal/redisaway"
)

func newGatewayCommand(a *app) *cobra.Command {
	var health bool
	cmd := &cobra.Command{
		Use:   "gateway",
		Short: "Take in purges over HTTP",
		Long: `gateway takes purge requests in over HTTP and stores them in Redis for the workers:
webhooks of CMSs at /hooks/<source>, each as gateway.sources describes it, Vercel's
own purge API for programs with one of gateway.api_keys, and with
gateway.monitor.password the web UI at /monitor/purges and /monitor/. Any number of
gateways may run. It calls Vercel never and needs no token of it.

It serves /metrics, /healthz and /readyz at the same address, gateway.listen
(127.0.0.1:8080). With OTEL_EXPORTER_OTLP_ENDPOINT set it sends traces there
(docs/tracing.md). On SIGTERM it answers what it has accepted and ends.`,
		Example: `  edgepurge gateway --config edgepurge.yaml
  EDGEPURGE_LISTEN=:8080 edgepurge gateway
  edgepurge webhook test --source blog --file delivery.json   # what would it do?`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if health {
				return a.askHealth(cmd.Context(), "gateway", func(c configs.Config) (string, string) { return "gateway.listen", c.Gateway.Listen })
			}
			return a.runGateway(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&health, "health", false, "ask the gateway that runs at gateway.listen whether it lives, and end (for a container without a shell)")
	return cmd
}

// askHealth asks the process at a configured address for its health.
func (a *app) askHealth(ctx context.Context, command string, addressOf func(configs.Config) (field, address string)) error {
	c, err := a.loadConfig()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, redisWait)
	defer cancel()
	field, address := addressOf(c)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	url := "http://" + reachable(net.JoinHostPort(host, port)) + "/healthz"
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return fmt.Errorf("ask for the gateway's health: %w", err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("no %s answers: %w", command, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, resp.Status)
	}
	a.printf("ok\n")
	return nil
}

// gatewayConns is how many connections to Redis a gateway needs: each delivery
// holds one while it is stored.
const gatewayConns = 64

// runGateway runs a gateway until ctx ends.
func (a *app) runGateway(ctx context.Context) error {
	c, err := a.gatewayConfig("see README.md")
	if err != nil {
		return err
	}
	p, err := a.openProcess(ctx, "gateway", c, gatewayConns)
	if err != nil {
		return err
	}
	defer p.close(ctx)
	away := redisaway.New(p.log)
	p.rdb.AddHook(away)
	p.away = away.Away
	g, _, err := p.gateway(ctx)
	if err != nil {
		return err
	}
	a.collectLess()
	p.logStart("gateway")
	return together(ctx, append(g, onlyLooks(p.watchFleet))...)
}

// gatewayConfig loads a configuration that a gateway can run with.
func (a *app) gatewayConfig(otherwise string) (configs.Config, error) {
	c, err := a.loadConfig()
	if err != nil {
		return c, err
	}
	if err := c.RequireGateway(); err != nil {
		return c, err
	}
	if c.Gateway.Empty() {
		return c, fmt.Errorf("the gateway has nothing to serve: add gateway.sources, gateway.api_keys or gateway.monitor.password to the configuration (%s)", otherwise)
	}
	return c, nil
}

// Limits of the gateway's connections. A webhook's body has a bound of its own,
// a second.
const (
	gatewayRead   = 30 * time.Second
	gatewayWrite  = 60 * time.Second
	gatewayIdle   = 2 * time.Minute
	gatewayHeader = 64 << 10 // bytes of headers
)

// gateway returns the parts of a gateway, listening, and its address.
func (p *process) gateway(ctx context.Context) ([]func(context.Context) error, net.Addr, error) {
	front, err := p.front()
	if err != nil {
		return nil, nil, err
	}
	listener, err := listen(ctx, p.config.Gateway.Listen)
	if err != nil {
		return nil, nil, fmt.Errorf("serve the gateway: %w: set gateway.listen or EDGEPURGE_LISTEN to another address", err)
	}
	p.tellFront(listener.Addr())
	server := &http.Server{
		Handler:           p.traces.Handler(front, asksForPurges),
		ReadHeaderTimeout: headerWait, ReadTimeout: gatewayRead, WriteTimeout: gatewayWrite, IdleTimeout: gatewayIdle,
		MaxHeaderBytes: gatewayHeader,
		ErrorLog:       stdlog.New(p.log.With().Str("part", "http").Logger(), "", 0), //nolint:forbidigo // net/http takes no other
	}
	return []func(context.Context) error{
		func(ctx context.Context) error {
			return errors.Join(serveOn(ctx, listener, server, func() {
				p.log.Info().Msg("gateway stopping: what was accepted is answered")
			}), front.flush(ctx))
		},
		onlyLooks(func(ctx context.Context) error { p.tidy(ctx, front.letters); return nil }),
	}, listener.Addr(), nil
}

// tellFront logs what is served, and why the rest is not.
func (p *process) tellFront(address net.Addr) {
	g := p.config.Gateway
	var sources []string
	for _, s := range g.Sources {
		sources = append(sources, s.Name)
		if s.LogOnly {
			p.log.Warn().Str("source", s.Name).Msg("enforce is false: whoever reaches the gateway may purge by this source")
		}
	}
	p.log.Info().Stringer("listen", address).Strs("hooks", sources).Bool("monitor", g.Monitor.Password != "").Msg("gateway listening")
	if len(g.APIKeys) == 0 {
		p.log.Info().Msg("neither the drop-in for Vercel's API nor the JSON API is served: gateway.api_keys is empty")
	}
	if len(sources) == 0 {
		p.log.Info().Msg("no webhooks are served: gateway.sources is empty")
	}
}
