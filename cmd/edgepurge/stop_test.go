package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
)

// Package early is for the program, which these tests run by another name of their own
// binary, and not for the tests: an interrupt ends them.
var _ = func() bool {
	if filepath.Base(os.Args[0]) != "edgepurge" {
		signal.Reset(syscall.SIGINT, syscall.SIGTERM)
	}
	return true
}()

// program returns a command that runs this binary as edgepurge.
func program(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	name := filepath.Join(t.TempDir(), "edgepurge")
	require.NoError(t, os.Symlink(self, name))
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), env...)
	return cmd
}

// lockedBuffer is what a process writes while a test reads it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// A SIGTERM is handled from the first moments on: long before main, and before the
// packages that take time to initialize. As the first process of a container, which is
// killed by no signal that it does not handle, it would go on.
func TestSigterm_InTheFirstMoments(t *testing.T) {
	t.Parallel()
	config := filepath.Join(t.TempDir(), "edgepurge.yaml")
	require.NoError(t, os.WriteFile(config, []byte("worker: {metrics: \"\"}\n"), 0o600))
	cmd := program(t, []string{"GODEBUG=inittrace=1", "EDGEPURGE_REDIS_URL=redis://127.0.0.1:1/0", "VERCEL_TOKEN=" + secretToken, "EDGEPURGE_LOG=info,json"}, "worker", "--config", config)
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var before, after []string // packages, by whether they were initialized before the signal
	sent := false
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		name, isInit := strings.CutPrefix(lines.Text(), "init ")
		name, _, _ = strings.Cut(name, " ")
		switch {
		case isInit && name == "github.com/edgepurge/edgepurge/internal/early":
			require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
			sent = true
		case isInit && sent:
			after = append(after, name)
		case isInit:
			before = append(before, name)
		}
	}
	require.NoError(t, cmd.Wait(), "it ends as after any stop")
	require.True(t, sent)
	for _, slow := range []string{
		"github.com/edgepurge/edgepurge/worker/lanes", "github.com/edgepurge/edgepurge/worker",
		"github.com/edgepurge/edgepurge/internal/monitor", "github.com/prometheus/client_golang/prometheus", "github.com/itchyny/gojq",
	} {
		assert.Contains(t, after, slow)
		assert.NotContains(t, before, slow)
	}
}

// A stop while Redis hangs ends by itself, before whoever sent the SIGTERM loses patience.
func TestSigterm_WhileRedisHangs(t *testing.T) {
	t.Parallel()
	for command, most := range map[string]time.Duration{"worker": 20 * time.Second, "gateway": 15 * time.Second, "serve": 20 * time.Second, "dev": 30 * time.Second} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
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
`, metrics, listen), 0o600))
			args, health := []string{command, "--config", config}, "http://"+metrics+"/readyz"
			switch command {
			case "gateway":
				health = "http://" + listen + "/healthz"
			case "dev":
				args, health = append(args, "--redis", server.URL(), "--listen", listen), "http://"+listen+"/healthz"
			}
			cmd := program(t, []string{
				"EDGEPURGE_REDIS_URL=" + server.URL(), "EDGEPURGE_VERCEL_URL=http://127.0.0.1:1", "VERCEL_TOKEN=" + secretToken,
				"SHOP_KEY=secret-of-the-shop", "EDGEPURGE_LOG=info,json",
			}, args...)
			var output lockedBuffer
			cmd.Stdout, cmd.Stderr = io.Discard, &output
			require.NoError(t, cmd.Start())
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			t.Cleanup(func() {
				_ = cmd.Process.Kill()
				if t.Failed() {
					t.Log(output.String())
				}
			})
			require.Eventually(t, func() bool {
				resp, err := http.Get(health)
				if err != nil {
					return false
				}
				_ = resp.Body.Close()
				return resp.StatusCode == http.StatusOK
			}, 20*time.Second, 50*time.Millisecond)
			time.Sleep(time.Second) // all parts are at work
			server.Pause(t)
			defer server.Resume(t)
			time.Sleep(500 * time.Millisecond)

			start := time.Now()
			require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
			select {
			case err := <-ended:
				require.NoError(t, err)
			case <-time.After(most):
				t.Fatal("it does not end")
			}
			t.Logf("it took %s", time.Since(start))
		})
	}
}

// A call that is in hand when the SIGTERM comes is waited for, and its answer cannot be
// written down: that takes as long as a call may, and no longer than 30 s in all.
func TestSigterm_WhileRedisHangsWithACallInHand(t *testing.T) {
	t.Parallel()
	if os.Getenv("EDGEPURGE_STOP") != "full" {
		t.Skip("half a minute of waiting: run it with make stop")
	}
	for _, command := range []string{"worker", "serve", "dev"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			called := make(chan struct{}, 100)
			release := make(chan struct{})
			api := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				called <- struct{}{}
				<-release // after the worker's timeout
			}))
			t.Cleanup(func() { close(release); api.Close() })
			cmd, health, log := longRunning(t, server.URL(), command, "EDGEPURGE_VERCEL_URL="+api.URL)
			require.Eventually(t, func() bool { return answers200(health) }, 20*time.Second, 50*time.Millisecond)
			purge := program(t, []string{"EDGEPURGE_REDIS_URL=" + server.URL()}, "purge", "--project", "prj", "--tag", "a", "--priority", "urgent")
			out, err := purge.CombinedOutput()
			require.NoError(t, err, "%s", out)
			select {
			case <-called:
			case <-time.After(20 * time.Second):
				require.Fail(t, "no call came", log.String())
			}
			server.Pause(t)
			defer server.Resume(t)
			start := time.Now()
			require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			select {
			case err := <-ended:
				require.NoError(t, err, log.String())
			case <-time.After(30 * time.Second):
				require.Fail(t, "it does not end", log.String())
			}
			t.Logf("it took %s\n%s", time.Since(start), log)
		})
	}
}
