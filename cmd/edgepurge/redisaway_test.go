package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
)

// longRunning starts a command that runs until it is told to stop, with all parts of the
// gateway, and returns what it logs, in JSON.
func longRunning(t *testing.T, redisURL, command string, more ...string) (cmd *exec.Cmd, health string, log *lockedBuffer) {
	t.Helper()
	listen, err := freeAddress()
	require.NoError(t, err)
	metrics, err := freeAddress()
	require.NoError(t, err)
	config := filepath.Join(t.TempDir(), "edgepurge.yaml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
accounts: [{name: default, token: "env:VERCEL_TOKEN"}]
worker: {metrics: %q}
gateway:
  listen: %q
  api_keys: [{name: shop, key: "env:SHOP_KEY", projects: ["*"]}]
  monitor: {password: "env:MONITOR_PASSWORD"}
`, metrics, listen), 0o600))
	args := []string{command, "--config", config}
	env := []string{
		"EDGEPURGE_REDIS_URL=" + redisURL, "EDGEPURGE_VERCEL_URL=http://127.0.0.1:1", "VERCEL_TOKEN=" + secretToken,
		"SHOP_KEY=secret-of-the-shop", "MONITOR_PASSWORD=secret-of-the-monitor", "EDGEPURGE_LOG=info,json",
	}
	switch command {
	case "worker":
		listen = metrics
	case "dev":
		args = append(args, "--redis", redisURL, "--redis-in-use")
	}
	cmd = program(t, append(env, more...), args...)
	log = &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, "http://" + listen + "/healthz", log
}

func answers200(url string) bool {
	resp, err := http.Get(url)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// asks sends what comes in while Redis is away: deliveries of purges, looks at the monitor,
// and what an orchestrator and Prometheus ask for.
func asks(t *testing.T, base string) {
	t.Helper()
	for path, method := range map[string]string{"/v1/purges": http.MethodPost, "/monitor/purges": http.MethodGet, "/readyz": http.MethodGet, "/metrics": http.MethodGet} {
		r, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(`{"project":"prj","operation":"delete","tags":["a"]}`))
		require.NoError(t, err)
		if method == http.MethodPost {
			r.Header.Set("Authorization", "Bearer secret-of-the-shop")
			r.Header.Set("Content-Type", "application/json")
		} else {
			r.SetBasicAuth("admin", "secret-of-the-monitor")
		}
		if resp, err := http.DefaultClient.Do(r); err == nil { // a worker serves some of them only
			_ = resp.Body.Close()
		}
	}
}

// While Redis is away every long-running command says so in one line, and in one that it
// is back, whatever its parts meet; a purge that is turned away has a line of its own.
// The metrics of the fleet, which are read every 10 s, say nothing either.
func TestRedisAway_OneLine(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendonly", "yes")
	logs := map[string]*lockedBuffer{}
	var bases []string
	for _, command := range []string{"worker", "gateway", "serve", "dev"} {
		_, health, log := longRunning(t, server.URL(), command)
		require.Eventually(t, func() bool { return answers200(health) }, 20*time.Second, 50*time.Millisecond, command)
		logs[command], bases = log, append(bases, strings.TrimSuffix(health, "/healthz"))
	}
	time.Sleep(time.Second) // all parts are at work
	before := map[string]int{}
	for command, log := range logs {
		before[command] = len(log.String())
	}
	all := func(what string) func() bool {
		return func() bool {
			for command, log := range logs {
				if !strings.Contains(log.String()[before[command]:], what) {
					return false
				}
			}
			return true
		}
	}
	server.Kill(t)
	for end := time.Now().Add(11 * time.Second); time.Now().Before(end); time.Sleep(time.Second) {
		for _, base := range bases {
			asks(t, base)
		}
	}
	require.Eventually(t, all("Redis does not answer"), 20*time.Second, 50*time.Millisecond)
	server.Restart(t)
	require.Eventually(t, all("Redis answers again"), 30*time.Second, 50*time.Millisecond)
	time.Sleep(time.Second)
	for command, log := range logs {
		var lines []string
		for line := range strings.Lines(log.String()[before[command]:]) {
			if !strings.Contains(line, "purge by API") {
				lines = append(lines, line)
			}
		}
		assert.Len(t, lines, 2, "%s:\n%s", command, strings.Join(lines, ""))
	}
}

// A command that goes on by itself waits for Redis too, and says so once.
func TestRedisAway_CommandsThatWait(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"status", "--watch", "200ms"},
		{"purge", "--project", "prj", "--tag", "a", "--wait"},
	} {
		t.Run(args[0], func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
			cmd := program(t, []string{"EDGEPURGE_REDIS_URL=" + server.URL(), "VERCEL_TOKEN=" + secretToken}, args...)
			var stdout, stderr lockedBuffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			require.NoError(t, cmd.Start())
			t.Cleanup(func() { _ = cmd.Process.Kill() })
			has := func(what string) func() bool { return func() bool { return strings.Contains(stderr.String(), what) } }
			if args[0] == "status" {
				require.Eventually(t, func() bool { return stdout.String() != "" }, 20*time.Second, 20*time.Millisecond)
			} else {
				require.Eventually(t, has("no worker runs"), 20*time.Second, 20*time.Millisecond)
			}
			server.Kill(t)
			require.Eventually(t, has("Redis does not answer: waiting for it"), 20*time.Second, 20*time.Millisecond, "%s", &stderr)
			time.Sleep(2 * time.Second)
			server.Restart(t)
			require.Eventually(t, has("Redis answers again"), 20*time.Second, 20*time.Millisecond, "%s", &stderr)
			seen := len(stdout.String())
			if args[0] == "status" {
				require.Eventually(t, func() bool { return len(stdout.String()) > seen }, 20*time.Second, 20*time.Millisecond)
			}
			assert.Equal(t, 2, strings.Count(stderr.String(), "Redis "), stderr.String())
			require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
			err := cmd.Wait()
			if args[0] == "status" {
				require.NoError(t, err, stderr.String())
			}
		})
	}
}
