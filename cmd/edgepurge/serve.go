package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"
)

func newServeCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run a gateway and a worker in one process",
		Long: `serve is "gateway" and "worker" in one process, for a machine where that is enough.
Both are as if they ran apart: any number of further workers and gateways may run
beside it. When one of the two cannot go on, the other ends too.`,
		Example: `  VERCEL_TOKEN=… edgepurge serve --config edgepurge.yaml`,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.serveBoth(cmd.Context()) },
	}
}

// serveBoth runs a gateway and a worker until ctx ends.
func (a *app) serveBoth(ctx context.Context) error {
	c, err := a.gatewayConfig("edgepurge worker is enough")
	if err != nil {
		return err
	}
	if err := c.RequireTokens(); err != nil {
		return err
	}
	p, err := a.openProcess(ctx, "serve", c, workerConns(c)+gatewayConns)
	if err != nil {
		return err
	}
	defer p.close(ctx)
	g, _, err := p.gateway(ctx)
	if err != nil {
		return err
	}
	w, err := p.worker(ctx)
	if err != nil {
		return err
	}
	a.collectLess()
	p.logStart("serve")
	return together(ctx, append(slices.Concat(g, w), onlyLooks(p.watchFleet))...)
}
