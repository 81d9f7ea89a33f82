package webhook

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// linesOf decodes what was logged.
func linesOf(t *testing.T, d *desk) (lines []map[string]any) {
	t.Helper()
	for text := range bytes.Lines(d.log.Bytes()) {
		var line map[string]any
		require.NoError(t, json.Unmarshal(text, &line))
		lines = append(lines, line)
	}
	return lines
}

// The line and the answer of a delivery name its requests as the line of the call does.
func TestHandler_RequestIDs(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil, plainSource(func(s *Source) { s.Projects = []string{"prj_a", "prj_b"} }))
	body := d.post(`{"tags":["a"]}`).Body.Bytes()
	var answer struct {
		Status     string
		RequestIDs []string `json:"request_ids"`
	}
	require.NoError(t, json.Unmarshal(body, &answer))
	assert.Equal(t, "queued", answer.Status)
	assert.Equal(t, []string{"request-1", "request-2"}, answer.RequestIDs)
	lines := linesOf(t, d)
	require.Len(t, lines, 1)
	assert.Equal(t, []any{"request-1", "request-2"}, lines[0]["request_ids"])
	assert.NotContains(t, lines[0], "client", "of what is not refused nobody need know")

	assert.NotContains(t, d.post(`{"tags":[]}`).Body.String(), "request_ids", "nothing was stored")
}

// Every refusal names the address that it came from.
func TestHandler_RefusalsNameTheClient(t *testing.T) {
	t.Parallel()
	signed := source(t, "contentful", func(s *Source) { s.Name = "signed" })
	rejecting := plainSource(func(s *Source) { s.OnMappingError = Reject })
	d := newDesk(t, nil, rejecting, signed)
	d.Proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	send := func(method, path, body string, headers ...string) int {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.RemoteAddr = "10.0.0.1:4321"
		r.Header.Set("X-Forwarded-For", "192.0.2.66, 203.0.113.7")
		r.Header.Set("X-Token", token)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		return d.serve(r).Code
	}
	assert.Equal(t, 401, send("POST", "/hooks/plain", `{}`, "X-Token", "wrong"))
	assert.Equal(t, 401, send("POST", "/hooks/signed", `{}`))
	assert.Equal(t, 404, send("POST", "/hooks/typo", `{}`))
	assert.Equal(t, 405, send("GET", "/hooks/plain", ``))
	assert.Equal(t, 413, send("POST", "/hooks/plain", strings.Repeat("x", 2<<20)))
	assert.Equal(t, 415, send("POST", "/hooks/plain", `{}`, "Content-Encoding", "br"))
	assert.Equal(t, 422, send("POST", "/hooks/plain", `{"tags":[1]}`))
	lines := linesOf(t, d)
	require.Len(t, lines, 7)
	for _, line := range lines {
		assert.Equal(t, "203.0.113.7", line["client"], "%v", line)
		assert.Equal(t, "warn", line["level"], "%v", line)
	}
	d.Proxies = nil
	send("POST", "/hooks/typo", ``)
	assert.Equal(t, "10.0.0.1", linesOf(t, d)[7]["client"], "anyone can send the header")
}

// A hook that does not exist is logged a few times a minute and counted under one
// label; neither a long name nor a secret in its place gets into the log.
func TestHandler_UnknownHook(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil, plainSource())
	counts := map[string]int{}
	d.Count = func(source string, o Outcome) { counts[source+" "+string(o)]++ }
	for _, path := range []string{
		"/hooks/typo", "/hooks/plain/not-our-secret?token=not-our-query", "/hooks/" + string(token), "/hooks/" + strings.Repeat("x", 5000),
	} {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(`{}`))
		assert.Equal(t, 404, d.serve(r).Code)
	}
	for range 50 {
		d.serve(httptest.NewRequest(http.MethodPost, "/hooks/typo", http.NoBody))
	}
	assert.Equal(t, map[string]int{"unknown not_found": 54}, counts)
	lines := linesOf(t, d)
	require.Len(t, lines, maxUnknownLines)
	assert.Equal(t, "typo", lines[0]["name"])
	assert.Equal(t, "plain/…", lines[1]["name"])
	for _, hushed := range []string{"not-our", string(token), strings.Repeat("x", maxNameShown+1)} {
		assert.NotContains(t, d.log.String(), hushed)
	}
}

func TestLineLimit(t *testing.T) {
	t.Parallel()
	var l lineLimit
	now := time.Now()
	for i := range 8 {
		ok, dropped := l.allow(now.Add(time.Duration(i) * time.Second))
		assert.Equal(t, i < maxUnknownLines, ok, i)
		assert.Zero(t, dropped)
	}
	ok, dropped := l.allow(now.Add(time.Minute))
	assert.True(t, ok)
	assert.Equal(t, 8-maxUnknownLines, dropped)
	_, dropped = l.allow(now.Add(61 * time.Second))
	assert.Zero(t, dropped)
}
