package main

import (
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
)

// What is too much is refused to every producer, with a remedy or a time to come
// again, and none of it is stored.
func TestFull(t *testing.T) {
	t.Parallel()
	const key = "shop-key-0123456789-0123456789-0123456789"
	keyFile := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(keyFile, []byte(key), 0o600))
	config := "redis: {max_queued: 1}\n" + outageConfig + "  api_keys: [{name: shop, key: \"file:" + keyFile + "\", projects: [\"*\"]}]\n"
	server := redistest.Start(t)
	url, _, log := gatewayProcess(t, config, server.URL())
	first, err := deliver(url, "a")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, first.status)
	refused := answer{}
	require.Eventually(t, func() bool { // the count is up to a second old
		refused, err = deliver(url, "b")
		return err == nil && refused.status != http.StatusOK
	}, 10*time.Second, 100*time.Millisecond)
	assert.Equal(t, http.StatusServiceUnavailable, refused.status)
	assert.Equal(t, "30", refused.retryAfter)
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "redis.max_queued") },
		10*time.Second, 20*time.Millisecond, "the log arrives a moment after the answer")
	waiting := func() int64 {
		n, err := server.Client(t).LLen(t.Context(), "asynq:{"+tasks.QueueIntake+"}:pending").Result()
		require.NoError(t, err)
		return n
	}
	before := waiting()

	for path, body := range map[string]string{
		"/v1/purges": `{"project":"prj_abc","operation":"delete","tags":["c"],"track":true}`,
		"/v1/edge-cache/invalidate-by-tags?projectIdOrName=prj_abc": `{"tags":["c"]}`,
	} {
		r, err := http.NewRequest(http.MethodPost, url+path, strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+key)
		r.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultTransport.RoundTrip(r)
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		require.NoError(t, err)
		assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode, "%s: %s", path, text)
		assert.NotEmpty(t, resp.Header.Get("Retry-After"), path)
		assert.Contains(t, string(text), `"error":{`, path)
		assert.Contains(t, string(text), "Too many purges wait", path)
	}

	file := filepath.Join(t.TempDir(), "edgepurge.yaml")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	purge := exec.Command("edgepurge", "purge", "--config", file, "--project", "prj_abc", "--tag", "d")
	purge.Env = append(os.Environ(), "EDGEPURGE_REDIS_URL="+server.URL(), "TOKEN="+secretToken)
	output, err := purge.CombinedOutput()
	exit, ok := errors.AsType[*exec.ExitError](err)
	require.True(t, ok, "%v: %s", err, output)
	assert.Equal(t, 1, exit.ExitCode())
	for _, part := range []string{"nothing stored", "too many requests wait to be taken in", "the bound is 1", "redis.max_queued"} {
		assert.Contains(t, string(output), part)
	}
	t.Logf("%s", output)
	assert.Equal(t, before, waiting())
}
