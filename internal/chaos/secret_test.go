package chaos

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
)

// assertSecret looks for token and password, and for a race, in everything that
// every process printed, and in everything that Redis was told.
func (s *site) assertSecret(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.processes {
		text := p.out.String()
		assertNoSecret(t, text, p.name)
		assert.NotContains(t, text, "DATA RACE", p.name)
		assert.NotContains(t, text, "panic", p.name)
	}
	if !s.durable {
		return
	}
	dir, err := s.rdb.ConfigGet(context.Background(), "dir").Result()
	if !assert.NoError(t, err) {
		return
	}
	logs, err := filepath.Glob(filepath.Join(dir["dir"], "appendonlydir", "*.aof"))
	assert.NoError(t, err)
	assert.NotEmpty(t, logs)
	for _, log := range logs {
		text, err := os.ReadFile(log)
		assert.NoError(t, err)
		assertNoSecret(t, string(text), "Redis's AOF")
	}
}

func assertNoSecret(t *testing.T, text, where string) {
	t.Helper()
	assert.NotContains(t, text, token, "the token is in %s", where)
	assert.NotContains(t, text, newcomerToken, "the newcomer's token is in %s", where)
	assert.NotContains(t, text, password, "the password of Redis is in %s", where)
}

// Every command that prints something, and every state that there is something
// to print of; assertSecret reads it all at the end.
func TestSecrets_AreNowhere(t *testing.T) {
	t.Parallel()
	c := usual()
	c.durable = true
	c.metrics = freeAddress(t)
	c.faults = emulator.Faults{Projects: map[string]int{"shop": 403, "blog": 404}, PoisonTags: []string{"poison-0"}, Status: map[int]float64{503: 0.2}}
	s := newSite(t, c)
	w := s.worker(t)
	for i, project := range []string{"docs", "docs", "blog", "docs", "shop"} {
		p := one(many(i).ID, []string{"post-1", "poison-0", "post-2"}[i%3])
		p.Project = project
		require.NoError(t, s.ask(t.Context(), p))
		await(t, 20*time.Second, "the request is served", func() bool { return len(s.api.Journal()) > i })
	}
	await(t, 20*time.Second, "two holds", func() bool { return len(s.holds(t)) == 2 })
	await(t, 20*time.Second, "letters", func() bool { return len(s.letters(t)) >= 2 })
	require.NoError(t, s.ask(t.Context(), tasks.Purge{ID: "waiting", Project: "docs", Operation: tasks.Delete, Tags: []string{"held"}}))
	for _, args := range [][]string{
		{"status"},
		{"status", "--json"},
		{"hold", "list"},
		{"hold", "list", "--json"},
		{"dead", "list"},
		{"dead", "list", "--json"},
		{"dead", "show", s.letters(t)[0].ID},
		{"dead", "show", s.letters(t)[0].ID, "--json"},
		{"purge", "--project", "docs", "--tag", "a", "--json"},
		{"check", "--offline"},
		{"check", "--offline", "--json"},
		{"version", "--json"},
	} {
		assert.NotEmpty(t, s.run(t, args...), args)
	}
	answer, err := http.Get("http://" + s.metrics + "/metrics")
	require.NoError(t, err)
	defer func() { _ = answer.Body.Close() }()
	metrics, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	assert.Contains(t, string(metrics), "edgepurge_calls_total")
	assertNoSecret(t, string(metrics), "the metrics")

	s.redis.Kill(t) // what is said of a Redis that is away holds its address
	failed := s.launch(t, "status", "status")
	assert.Equal(t, 1, failed.exit(t, 20*time.Second))
	assert.NotEmpty(t, failed.out.String())
	await(t, 10*time.Second, "the worker notices", func() bool { return w.out.lines() > 0 })
	s.restartRedis(t)
}
