package main

import (
	"fmt"

	"github.com/edgepurge/edgepurge/configs"
	"github.com/edgepurge/edgepurge/internal/deadletter"
	"github.com/edgepurge/edgepurge/internal/monitor"
	"github.com/edgepurge/edgepurge/worker"
)

// monitor serves the web UI, if it has a password.
func (p *process) monitor(letters *deadletter.Box) ([]part, error) {
	login := p.config.Gateway.Monitor
	if login.Password == "" {
		return nil, nil
	}
	m, err := monitor.New(monitor.Config{
		Redis: p.rdb, Letters: letters,
		User: login.User, Password: string(login.Password), ReadOnly: login.ReadOnly,
		Proxies:  p.config.Gateway.Proxies,
		Accounts: settingsOf(p.config), Rest: settings(worker.DefaultAccount()), Spreads: spreadsOf(p.config),
	})
	if err != nil {
		return nil, fmt.Errorf("gateway.monitor: %w", err)
	}
	return []part{{prefixes: []string{monitor.Root}, handler: m}}, nil
}

// spreadsOf are the limited spreads of the configuration.
func spreadsOf(c configs.Config) []monitor.Spread {
	var all []monitor.Spread
	for _, p := range c.Worker.Projects {
		s := p.Spread
		if s.Burst == 0 {
			s.Burst = max(1, s.Rate) // as the worker has it
		}
		all = append(all, monitor.Spread{Account: p.Account, Project: p.Project, Rate: s.Rate, Burst: s.Burst})
	}
	return all
}
