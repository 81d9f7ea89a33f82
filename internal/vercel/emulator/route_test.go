package emulator

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestRoute_Refusals(t *testing.T) {
	b := start(t, Config{})
	for _, tt := range []struct {
		method, path string
		status       int
		code, allow  string
	}{
		{"GET", tagsPath, 405, "method_not_allowed", "POST"},
		{"PUT", imagePath, 405, "method_not_allowed", "POST"},
		{"POST", "/v1/data-cache/purge-all", 405, "method_not_allowed", "DELETE"},
		{"DELETE", "/v1/edge-cache/purge-all", 405, "method_not_allowed", "POST"},
		{"POST", "/v2/user", 405, "method_not_allowed", "GET"},
		{"DELETE", "/v9/projects/p", 405, "method_not_allowed", "GET"},
		{"POST", tagsPath + "/", 404, "not_found", ""},
		{"POST", "/v1/edge-cache/dangerously-delete-by-urls", 404, "not_found", ""},
		{"POST", "/v2/edge-cache/invalidate-by-tags", 404, "not_found", ""},
		{"GET", "/v9/projects/", 404, "not_found", ""},
		{"GET", "/v9/projects/p/domains", 404, "not_found", ""},
		{"GET", "/", 404, "not_found", ""},
		{"GET", "/_emulator", 404, "not_found", ""},
	} {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			b.Reset()
			r := b.send(t, tt.method, tt.path, "{}")
			assert.Equal(t, tt.status, r.StatusCode)
			assert.Equal(t, tt.code, r.problem(t).Code)
			assert.Equal(t, tt.allow, r.Header.Get("Allow"))
			c := b.only(t)
			assert.Equal(t, tt.status, c.Status)
			assert.False(t, c.Counted)
		})
	}
}

func TestBody_TooLarge(t *testing.T) {
	b := start(t, Config{MaxBodyBytes: 100, Limit: Limit{Calls: 5}})
	r := b.send(t, "POST", tagsPath+"?projectIdOrName=p", `{"tags":["`+strings.Repeat("x", 100)+`"]}`)
	assert.Equal(t, 413, r.StatusCode)
	assert.Equal(t, "request_entity_too_large", r.problem(t).Code)
	c := b.only(t)
	assert.False(t, c.Applied)
	assert.True(t, c.Counted)
}

// The largest body that the schema allows must pass, however it is escaped.
func TestBody_LargestValid(t *testing.T) {
	b := start(t, Config{})
	source := `"` + strings.Repeat(`\u00e9`, 8192) + `"`
	r := b.send(t, "POST", imagePath+"?projectIdOrName=p", `{"srcImages":[`+strings.Repeat(source+",", 7)+source+`]}`)
	assert.Equal(t, 200, r.StatusCode, r.text)
}
