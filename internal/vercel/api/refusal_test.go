package api

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// What a refusal says on the wire is tested where it is answered: by the
// emulator and by the gateway.

func TestCode(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{
		400: "bad_request", 401: "unauthorized", 402: "payment_required", 403: "forbidden", 404: "not_found",
		405: "method_not_allowed", 410: "gone", 429: "too_many_requests", 500: "internal_server_error",
		502: "bad_gateway", 503: "service_unavailable", 504: "gateway_timeout", 599: "unknown",
	} {
		assert.Equal(t, want, Code(status))
	}
}

func TestBearer(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"Bearer a": "a", "bearer  a ": "a", "BEARER a": "a",
		"": "", "Bearer": "", "Bearer ": "", "a": "", "Basic a": "", "Bearera": "",
	} {
		token, ok := Bearer(header)
		assert.Equal(t, want != "", ok, header)
		if ok {
			assert.Equal(t, want, token, header)
		}
	}
}

func TestShowsAt(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{
		"/v2/user": true, "/teams/t": true, "/v2/teams/t": true, "/v9/projects/p": true,
		"": false, "/": false, "/v2/user/": false, "/v2/user/x": false, "/teams/": false, "/teams": false,
		"/v9/projects/": false, "/v9/projects/p/": false, "/v9/projects/p/domains": false, "/v1/teams/t": false,
	} {
		assert.Equal(t, want, ShowsAt(path), path)
	}
	assert.Equal(t, "p", ProjectAt("/v9/projects/p"))
	assert.Empty(t, ProjectAt("/teams/p"))
}
