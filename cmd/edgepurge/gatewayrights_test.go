package main

import (
	"bytes"
	"io"
	"net/http"
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
