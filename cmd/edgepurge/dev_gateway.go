package main

import (
	"cmp"
	"context"
	"fmt"
	"net"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/edgepurge/edgepurge/configs"
	"github.com/edgepurge/edgepurge/enqueue/webhook"
	"github.com/edgepurge/edgepurge/internal/redisaway"
)

// devSource takes tags from anyone on this machine.
func devSource(project string) webhook.Source {
	return webhook.Source{
		Name: "dev", Projects: []string{project},
		Override: webhook.Preset{
			Verify: []webhook.Verifier{{Kind: webhook.KindNone, IKnow: true}},
			Tags:   "tag(.tags)",
		},
	}
}

// devProject is the project that dev shows in its examples.
func devProject(c configs.Config) string { return cmp.Or(c.DefaultProject, "demo") }

// loopback reports whether only this machine reaches a host.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// gateway serves what the configuration says, or dev's own source where Vercel is
// emulated. It goes on
// until it is closed, which answers what was accepted; if it ends earlier, the
// channel tells.
func (s *devStage) gateway(cmd *cobra.Command, a *app, c configs.Config, f devFlags) (string, <-chan error, error) {
	if err := c.RequireGateway(); err != nil {
		return "", nil, err
	}
	if f.listen != "" {
		c.Gateway.Listen = f.listen
	}
	if c.Gateway.Empty() && s.emulator != nil { // a hook that checks nothing purges nothing real
		if host, _, err := net.SplitHostPort(f.listen); err == nil && f.listen != "" && !loopback(host) {
			return "", nil, usagef(cmd, "--listen %s: dev's own webhook checks nothing: listen at 127.0.0.1, or configure gateway.sources", f.listen)
		}
		s.hook = true
		c.Gateway.Sources = []webhook.Source{devSource(devProject(c))}
		if f.listen == "" {
			c.Gateway.Listen = configs.Default().Gateway.Listen // no check: no other machine
		}
	}
	ctx := cmd.Context()
	rdb, err := s.client(s.redisURL, gatewayConns)
	if err != nil {
		return "", nil, err
	}
	log := c.Log
	if log.Level == configs.LevelInfo {
		log.Level = configs.LevelWarn
	}
	p := newProcess(c, rdb, a.logger(log))
	away := redisaway.New(zerolog.Nop()) // the worker's log says so
	rdb.AddHook(away)
	p.away = away.Away
	run, address, err := p.gateway(ctx)
	if err != nil {
		return "", nil, fmt.Errorf("%w (here: --listen)", err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ended <- together(ctx, append(run, onlyLooks(p.watchFleet))...)
	}()
	s.onClose(func() error {
		stop()
		<-done
		return nil
	})
	return reachable(address.String()), ended, nil
}
