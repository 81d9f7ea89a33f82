package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/edgepurge/edgepurge/enqueue"
	"github.com/edgepurge/edgepurge/enqueue/webhook"
	"github.com/edgepurge/edgepurge/internal/deadletter"
	"github.com/edgepurge/edgepurge/internal/redisgroup"
	"github.com/edgepurge/edgepurge/tasks"
)

// front builds what the gateway serves.
func (p *process) front() (*front, error) {
	rdb := p.rdb
	if p.config.Redis.WaitReplicas == 0 { // WAIT concerns the one who asks
		rdb = redisgroup.New(rdb)
	}
	requests, err := enqueue.New(enqueue.Config{
		Client: rdb, WaitReplicas: p.config.Redis.WaitReplicas, WaitTimeout: p.config.Redis.WaitTimeout,
		MaxQueued: p.config.Redis.MaxQueued,
	})
	if err != nil {
		return nil, err
	}
	metrics := newGatewayMetrics(p.config.Gateway, p.registry)
	p.fleet.countWorkers(p.registry)
	letters := deadletter.New(p.rdb, requests)
	letters.Remap = func(ctx context.Context, d deadletter.Delivery) ([]tasks.Purge, error) {
		return remap(ctx, p.config, d)
	}
	dedupe := webhook.NewRedisDedupe(p.rdb, p.log)
	hooks, err := p.hooks(requests, letters, metrics, dedupe)
	if err != nil {
		return nil, err
	}
	parts, err := p.api(requests, metrics)
	if err != nil {
		return nil, err
	}
	watch, err := p.monitor(letters)
	if err != nil {
		return nil, err
	}
	return &front{
		hooks:   hooks,
		metrics: metricsHandler(p.registry),
		ready:   &readiness{rdb: p.rdb},
		parts:   append(parts, watch...),
		letters: letters,
		dedupe:  dedupe,
	}, nil
}

// hooks serves the webhooks.
func (p *process) hooks(requests *enqueue.Client, letters *deadletter.Box, metrics *gatewayMetrics, dedupe webhook.Dedupe) (*webhook.Handler, error) {
	hooks, err := p.config.Gateway.Hooks()
	if err != nil {
		return nil, err
	}
	h, err := webhook.NewHandler(webhook.Config{
		Enqueue: func(ctx context.Context, purge tasks.Purge) (string, error) {
			receipt, err := requests.Purge(ctx, purge)
			metrics.request(purge.Source, err)
			return receipt.ID, err
		},
		Dead: func(ctx context.Context, l webhook.Letter) error {
			return noRoom(letters.Keep(ctx, l.ID, deadletter.Delivery{
				Source: l.Source, ReceivedAt: l.ReceivedAt, Reason: l.Reason, Header: l.Header, Body: l.Body, Unverified: l.Unverified,
			}))
		},
		Room: func(ctx context.Context, l webhook.Letter, bytes int) error {
			return noRoom(letters.Room(ctx, l.ID, deadletter.Delivery{Source: l.Source, Unverified: l.Unverified}, bytes))
		},
		Dedupe:  dedupe,
		Proxies: p.config.Gateway.Proxies,
		Count:   metrics.webhook,
		Log:     p.log,
	}, hooks...)
	if err != nil {
		return nil, fmt.Errorf("gateway.sources: %w", err)
	}
	return h, nil
}

// noRoom tells the webhooks that the error means so.
func noRoom(err error) error {
	if errors.Is(err, deadletter.ErrFull) {
		return fmt.Errorf("%w: %w", webhook.ErrNoRoom, err)
	}
	return err
}

// requestOutcome is how a request is counted.
func requestOutcome(err error) string {
	switch {
	case err == nil:
		return requestStored
	case errors.Is(err, tasks.ErrInvalid):
		return requestInvalid
	}
	return requestFailed
}
