package local

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestRefuse(t *testing.T) {
	t.Parallel()
	for _, host := range []string{
		"", "localhost", "localhost:8080", "LOCALHOST.", "127.0.0.1:8080", "[::1]:8080", "::1", "192.168.1.5", "gateway:8080",
		"edgepurge.localhost", "laptop.local:80", "gateway.shop.internal", "app.test",
	} {
		assert.NoError(t, Refuse(host, http.Header{}), host)
	}
	for _, host := range []string{"evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "local.evil.dev."} {
		assert.ErrorContains(t, Refuse(host, http.Header{}), "localhost", host)
	}

	const here = "127.0.0.1:8080"
	for _, c := range []struct {
		name    string
		header  http.Header
		refused bool
	}{
		{"curl", http.Header{"User-Agent": {"curl"}}, false},
		{"a form on another site", http.Header{"Sec-Fetch-Site": {"cross-site"}}, true},
		{"another port of this machine", http.Header{"Sec-Fetch-Site": {"same-site"}, "Origin": {"http://127.0.0.1:3000"}}, true},
		{"an old browser", http.Header{"Origin": {"https://evil.example"}}, true},
		{"a sandboxed frame", http.Header{"Origin": {"null"}}, true},
		{"typed into the address bar", http.Header{"Sec-Fetch-Site": {"none"}}, false},
		{"a page of its own", http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {"http://" + here}}, false},
	} {
		assert.Equal(t, c.refused, Refuse(here, c.header) != nil, c.name)
	}
}
