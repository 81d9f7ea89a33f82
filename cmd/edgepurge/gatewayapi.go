package main

import (
	"fmt"

	"github.com/edgepurge/edgepurge/enqueue"
	"github.com/edgepurge/edgepurge/enqueue/gateway"
)

// api serves the drop-in for Vercel's API and the JSON API; nothing without keys.
func (p *process) api(requests *enqueue.Client, metrics *gatewayMetrics) ([]part, error) {
	configured := p.config.Gateway.APIKeys
	if len(configured) == 0 {
		return nil, nil
	}
	keys := make([]gateway.Key, len(configured))
	for i, k := range configured {
		keys[i] = gateway.Key{Name: k.Name, Secret: k.Key, Projects: k.Projects}
		metrics.initialiseAPI(k.Name)
	}
	metrics.initialiseAPI(gateway.Anonymous)
	h, err := gateway.New(gateway.Config{
		Enqueue: requests.Purge, Status: requests.Status, Redis: p.rdb, Keys: keys, Count: metrics.exchange, Log: p.log,
		Proxies: p.config.Gateway.Proxies,
	})
	if err != nil {
		return nil, fmt.Errorf("gateway.api_keys: %w", err)
	}
	return []part{{prefixes: gateway.Paths(), handler: h}}, nil
}
