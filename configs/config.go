package configs

import (
	"errors"
	"fmt"
	"time"

	"github.com/edgepurge/edgepurge/enqueue"
	"github.com/edgepurge/edgepurge/worker"
)

// Config is everything that the file and the environment say. Load fills it;
// printed in whatever way, it hides its secrets.
type Config struct {
	Redis Redis
	// Worker is valid, but for tokens: RequireTokens asks for those.
	Worker worker.Config
	// Metrics is the address at which a worker serves its metrics, host:port.
	// Default 127.0.0.1:9090; empty serves none.
	Metrics string
	// Gateway is valid, but for secrets: RequireGateway asks for those.
	Gateway Gateway
	Log     Log
	// DefaultProject is the project that a command without --project means,
	// from VERCEL_PROJECT_ID. Empty: there is none.
	DefaultProject string
	// File is the file that was read; empty when there was none.
	File string

	origin origin
}

// Redis says where Redis is.
type Redis struct {
	// URL is redis://, rediss://, redis+sentinel:// or redis+cluster://, and may
	// hold a password. It is not checked here. Default redis://127.0.0.1:6379/0.
	URL string
	// WaitReplicas is how many replicas must have a request before `purge` and
	// the gateway accept it, 0 to 100; 0, the default, waits for none.
	WaitReplicas int
	// WaitTimeout bounds that wait, 1 ms to 1 m. Default 1 s.
	WaitTimeout time.Duration
	// MaxQueued is how many requests may wait to be taken in before `purge` and
	// the gateway refuse more, 0 (no bound) to 100,000,000. Default 1,000,000.
	MaxQueued int
}

// DefaultMaxQueued is the default of Redis.MaxQueued: 0.6 GB of small requests.
const DefaultMaxQueued = 1_000_000

// origin is what Load remembers for faults that are not its own to report.
type origin struct {
	places places
	// unresolved says, by YAML path, why a secret could not be had.
	unresolved map[string]string
	// gateway is what RequireGateway reports.
	gateway faults
	// doubts are variables that fit no account in particular.
	doubts []*Fault
}

// Default returns the configuration of a program with neither a file nor variables.
func Default() Config {
	return Config{
		Redis:   Redis{URL: "redis://127.0.0.1:6379/0", WaitTimeout: enqueue.DefaultWaitTimeout, MaxQueued: DefaultMaxQueued},
		Worker:  worker.DefaultConfig(),
		Metrics: "127.0.0.1:9090",
		Gateway: Gateway{Listen: "127.0.0.1:8080", Monitor: Monitor{User: "admin"}},
		Log:     Log{Level: LevelInfo, Format: FormatAuto},
	}
}

// RequireTokens returns nil if every account has a token, so that a worker can
// run. Else it reports all that are missing at once, each a *Fault that says why:
// nothing was written, the variable is not set, the file cannot be read, or
// VERCEL_TOKEN or VERCEL_TEAM_ID could belong to any of several accounts.
func (c Config) RequireTokens() error {
	var missing faults
	for i, a := range c.Worker.Accounts {
		if a.Token != "" {
			continue
		}
		at := fmt.Sprintf("accounts[%d].token", i)
		why, ok := c.origin.unresolved[at]
		if !ok {
			why = "is missing: set VERCEL_TOKEN, or write env:NAME or file:PATH"
		}
		missing = append(missing, c.origin.places.fault(at, why))
	}
	return errors.Join(missing.err(), faults(c.origin.doubts).err())
}
