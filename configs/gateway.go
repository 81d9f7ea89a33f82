package configs

import (
	"errors"
	"fmt"
	"strings"

	"github.com/edgepurge/edgepurge/enqueue/webhook"
	"github.com/edgepurge/edgepurge/internal/proxies"
)

// Secret is a key or a password. Printed in whatever way, it hides itself.
type Secret = webhook.Secret

// AnyProject stands for every project among those of an APIKey.
const AnyProject = "*"

// Gateway is what `edgepurge gateway` serves, and where.
type Gateway struct {
	// Listen is the address, host:port. Default 127.0.0.1:8080.
	Listen string
	// Proxies are the proxies in front of the gateway, whose X-Forwarded-For is
	// believed; none is by default.
	Proxies proxies.Trusted
	// APIKeys are the keys of the drop-in and the JSON API; without any, neither
	// is served.
	APIKeys []APIKey
	Monitor Monitor
	// Sources are the webhooks. Compile takes them once RequireGateway is content.
	Sources []webhook.Source
}

// APIKey lets a program in.
type APIKey struct {
	// Name stands in logs and metrics.
	Name string
	// Key is the bearer token; empty until RequireGateway is content.
	Key Secret
	// Projects that may be purged with it, at least one; AnyProject is all of them.
	Projects []string
}

// Monitor is the login of the web UI. Without a password it is not served.
type Monitor struct {
	// User is the name to log in with. Default admin.
	User string
	// Password is a secret of 12 characters or more.
	Password Secret
	// ReadOnly takes the buttons away that change something.
	ReadOnly bool
}

// Empty reports whether there is nothing that a gateway could serve.
func (g Gateway) Empty() bool {
	return len(g.Sources) == 0 && len(g.APIKeys) == 0 && g.Monitor.Password == ""
}

// RequireGateway returns nil if every secret of the gateway's section can be had
// and is of the form that its user needs. Else it reports all that cannot, each
// a *Fault. Load does not: a worker with the same file needs none of them.
func (c Config) RequireGateway() error { return c.origin.gateway.err() }

// Source returns the source of that name, if its secrets can be had. The error
// names those that there are, or joins the faults of its secrets.
func (c Config) Source(name string) (webhook.Source, error) {
	var names []string
	for i, s := range c.Gateway.Sources {
		names = append(names, s.Name)
		if s.Name != name {
			continue
		}
		var own faults
		for _, f := range c.origin.gateway {
			if strings.HasPrefix(f.Field, fmt.Sprintf("gateway.sources[%d].", i)) {
				own = append(own, f)
			}
		}
		return s, own.err()
	}
	if len(names) == 0 {
		return webhook.Source{}, errors.New("the configuration has no gateway.sources: add the webhook there")
	}
	if near := nearest(name, names); near != "" {
		return webhook.Source{}, fmt.Errorf("no source has the name %s: did you mean %s?", quote(name), near)
	}
	return webhook.Source{}, fmt.Errorf("no source has the name %s: there is %s", quote(name), strings.Join(names, ", "))
}

// Hooks compiles the sources.
func (g Gateway) Hooks() ([]*webhook.Hook, error) {
	hooks := make([]*webhook.Hook, len(g.Sources))
	for i, s := range g.Sources {
		var err error
		if hooks[i], err = webhook.Compile(s); err != nil {
			return nil, fmt.Errorf("gateway.sources[%d]: %w", i, err)
		}
	}
	return hooks, nil
}
