package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redisacl"
	"github.com/edgepurge/edgepurge/internal/redistest"
)

// A gateway needs no more rights than docs/redis.md grants it.
func TestGateway_LeastRights(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	rdb := server.Client(t)
	rules := []any{"ACL", "SETUSER", "gateway", "on", ">pw", "resetkeys", "resetchannels", "-@all"}
	for _, rule := range redisacl.Gateway.Rules() {
		rules = append(rules, rule)
	}
	require.NoError(t, rdb.Do(t.Context(), rules...).Err())
	url, _, log := gatewayProcess(t, outageConfig, strings.Replace(server.URL(), "://", "://gateway:pw@", 1))
	for body, want := range map[string]string{
		`{"tag":"a"}`: "queued", `{"tag":{}}`: "dead_letter", `{}`: "ignored",
	} {
		r, err := http.NewRequest(http.MethodPost, url+"/hooks/blog", bytes.NewReader([]byte(body)))
		require.NoError(t, err)
		r.Header.Set("X-Token", secretToken)
		resp, err := http.DefaultTransport.RoundTrip(r)
		require.NoError(t, err)
		answer, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		require.NoError(t, err)
		assert.Contains(t, string(answer), `"`+want+`"`, body)
	}
	resp, err := http.Get(url + "/readyz")
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	require.NoError(t, err)
	assert.Contains(t, string(body), "no worker was seen yet", "it may look for workers")
	refused, err := rdb.Do(t.Context(), "ACL", "LOG").Slice()
	require.NoError(t, err)
	assert.Empty(t, refused, "Redis refused it something")
	assert.NotContains(t, log.String(), "NOPERM")
}

// `edgepurge purge` needs no more rights than docs/redis.md grants a producer, with
// those of redis.max_queued, to store a request and to follow it.
func TestPurge_LeastRights(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	rdb := server.Client(t)
	for name, rights := range map[string]redisacl.Rights{
		"producer": redisacl.Producer.With(redisacl.Bounded),
		"old":      redisacl.OldProducer.With(redisacl.Bounded),
	} {
		rules := []any{"ACL", "SETUSER", name, "on", ">pw", "resetkeys", "resetchannels", "-@all"}
		for _, rule := range rights.Rules() {
			rules = append(rules, rule)
		}
		require.NoError(t, rdb.Do(t.Context(), rules...).Err())
		edgepurge := func(args ...string) string {
			command := exec.Command("edgepurge", args...)
			command.Env = append(os.Environ(), "EDGEPURGE_REDIS_URL="+strings.Replace(server.URL(), "://", "://"+name+":pw@", 1))
			out, err := command.CombinedOutput()
			require.NoError(t, err, "%s: %s", name, out)
			return string(out)
		}
		out := edgepurge("purge", "--project", "p", "--tag", "a", "--priority", "urgent", "--track", "--json")
		var receipt struct{ ID string }
		require.NoError(t, json.Unmarshal([]byte(out), &receipt), out)
		assert.Contains(t, edgepurge("purge", "--status", receipt.ID), "1")
	}
	refused, err := rdb.Do(t.Context(), "ACL", "LOG").Slice()
	require.NoError(t, err)
	assert.Empty(t, refused, "Redis refused it something")
}
