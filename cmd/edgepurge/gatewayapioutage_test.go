package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
)

// secretKey is as long as a key of the API must be.
const secretKey = secretToken + "-key"

const apiOutageConfig = `
gateway:
  api_keys: [{name: shop, key: "env:API_KEY", projects: ["*"]}]
`

// apiCall is one way to use the gateway's API. A %s in its body is the tag.
type apiCall struct {
	name, method, path, body string
	idempotent               bool
}

// ask makes the call and tells its answer and what that holds.
func (c apiCall) ask(t *testing.T, url, tag string) (answer, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), c.method, url+c.path, strings.NewReader(strings.ReplaceAll(c.body, "%s", tag)))
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+secretKey)
	if c.idempotent {
		r.Header.Set("Idempotency-Key", tag)
	}
	start := time.Now()
	resp, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return answer{tag, resp.StatusCode, resp.Header.Get("Retry-After"), time.Since(start)}, body
}

// Whether Redis hangs or is gone, every call of the API is told so in time, and
// what was answered as stored is there.
func TestGateway_APIWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	url, _, _ := gatewayProcess(t, apiOutageConfig, server.URL())
	purges := []apiCall{
		{"drop-in", http.MethodPost, "/v1/edge-cache/invalidate-by-tags?projectIdOrName=prj_abc", `{"tags":["%s"]}`, false},
		{"untracked", http.MethodPost, "/v1/purges", `{"project":"prj_abc","operation":"delete","tags":["%s"],"track":false}`, false},
		{"tracked", http.MethodPost, "/v1/purges", `{"project":"prj_abc","operation":"delete","tags":["%s"]}`, false},
		{"idempotent", http.MethodPost, "/v1/purges", `{"project":"prj_abc","operation":"delete","tags":["%s"]}`, true},
	}
	var accepted []string
	all := func(when string, calls []apiCall, status func(answer) bool) {
		for _, c := range calls {
			tag := when + "-" + c.name
			a, body := c.ask(t, url, tag)
			assert.True(t, status(a), "%+v %s", a, body)
			assert.Less(t, a.took, 1500*time.Millisecond, tag)
			if a.status == http.StatusServiceUnavailable {
				assert.NotEmpty(t, a.retryAfter, tag)
			} else if c.method == http.MethodPost {
				accepted = append(accepted, tag)
			}
		}
	}
	stored := func(a answer) bool { return a.status == http.StatusOK || a.status == http.StatusAccepted }
	refused := func(a answer) bool { return a.status == http.StatusServiceUnavailable }

	all("before", purges, stored)
	_, body := purges[2].ask(t, url, "receipt")
	var given struct{ Receipt string }
	require.NoError(t, json.Unmarshal(body, &given))
	calls := append(purges, apiCall{"follow", http.MethodGet, "/v1/purges/" + given.Receipt, "", false})

	server.Pause(t)
	all("hanging", calls, refused)
	server.Resume(t)
	all("back", calls, stored)
	server.Kill(t)
	all("gone", calls, refused)
	server.Restart(t)
	require.Eventually(t, func() bool { a, _ := purges[0].ask(t, url, "probe"); return stored(a) }, 20*time.Second, 50*time.Millisecond)
	all("again", calls, stored)

	waiting := storedTags(t, asynq.NewInspectorFromRedisClient(server.Client(t)))
	require.NotEmpty(t, accepted)
	for _, tag := range accepted {
		assert.True(t, waiting[tag], "%s was answered as stored and is lost", tag)
	}
}
