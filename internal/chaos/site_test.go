package chaos

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/enqueue"
	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/internal/redisurl"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
)

// site is everything around the workers: Redis, the API, a producer's client
// and the record of what was asked for. What it starts ends with the test.
type site struct {
	settings
	redis  *redistest.Server
	url    string // of Redis, with the password
	rdb    redis.UniversalClient
	api    *emulator.Emulator
	front  front
	client *enqueue.Client
	ledger ledger
	excuses

	mu        sync.Mutex
	processes []*process // all that ever ran
	started   int
}

func newSite(t *testing.T, c settings) *site {
	t.Helper()
	options := append([]string{"--requirepass", password}, c.options...)
	if c.durable {
		options = append(options, "--appendonly", "yes", "--appendfsync", "always")
	}
	s := &site{settings: c, redis: redistest.Start(t, options...)}
	s.meterStalls(t)
	s.url = strings.Replace(s.redis.URL(), "redis://", "redis://:"+password+"@", 1)

	var err error
	s.api, err = emulator.New(emulator.Config{
		Tokens: []emulator.Token{{Name: tokenName, Secret: token}, {Name: newcomerTokenName, Secret: newcomerToken}},
		Limit:  s.limit(), Faults: c.faults,
	})
	require.NoError(t, err)
	s.front = newFront(t, s.api)

	s.rdb, err = redisurl.Open(s.url, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.rdb.Close() })
	s.client, err = enqueue.New(enqueue.Config{Client: s.rdb, Source: "chaos"})
	require.NoError(t, err)
	t.Cleanup(func() { s.assertSecret(t) })
	return s
}

// limit is the one of the API: the very budget of the workers.
func (s *site) limit() emulator.Limit { return emulator.Limit{Calls: s.calls, Per: time.Second} }

// restartRedis starts Redis again after a kill and waits until it has read its
// AOF; without the password it does not say whether it has.
func (s *site) restartRedis(t *testing.T) {
	t.Helper()
	s.redis.Restart(t)
	await(t, 20*time.Second, "Redis reads its AOF", func() bool { return s.rdb.Ping(context.Background()).Err() == nil })
}

// worker starts a worker with the site's settings.
func (s *site) worker(t *testing.T) *process {
	t.Helper()
	s.mu.Lock()
	s.started++
	name := fmt.Sprintf("worker %d", s.started)
	s.mu.Unlock()
	return s.launch(t, name, "worker")
}

// run runs a command of the program to its end, as an operator would, and
// returns what it printed.
func (s *site) run(t *testing.T, args ...string) string {
	t.Helper()
	p := s.launch(t, strings.Join(args, " "), args...)
	code := p.exit(t, 20*time.Second)
	require.Zero(t, code, "edgepurge %s: %s", p.name, p.out.String())
	return p.out.String()
}

func (s *site) launch(t *testing.T, name string, args ...string) *process {
	t.Helper()
	config := filepath.Join(t.TempDir(), "edgepurge.yaml")
	require.NoError(t, os.WriteFile(config, []byte(s.yaml()), 0o600))
	p := launch(t, name, append([]string{
		"EDGEPURGE_REDIS_URL=" + s.url, "VERCEL_TOKEN=" + token, "NEWCOMER_TOKEN=" + newcomerToken,
		"EDGEPURGE_CONFIG=" + config, "EDGEPURGE_LOG=info,json",
	}, s.front.env()...), args...)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.processes = append(s.processes, p)
	return p
}
