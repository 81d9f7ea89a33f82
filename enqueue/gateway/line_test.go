package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/enqueue"
)

// lastLine decodes the last line that was logged.
func (d *desk) lastLine(t *testing.T) map[string]any {
	t.Helper()
	lines := bytes.Split(bytes.TrimSpace([]byte(d.logged())), []byte("\n"))
	var line map[string]any
	require.NoError(t, json.Unmarshal(lines[len(lines)-1], &line), "%s", lines)
	return line
}

// A refusal is logged with its first fault, how many there are, and the address.
func TestHandler_RefusalsAreExplained(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(c *Config) { c.Proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
	for name, c := range map[string]struct {
		method, target, body, key, problem string
		faults                             any
	}{
		"no purge":     {"POST", PurgesPath, `{"project":"prj_abc","operation":"purge","tags":["a"],"prio":1}`, "", "prio: is unknown", 2.0},
		"one fault":    {"POST", PurgesPath, `{"project":"prj_abc","operation":"delete"}`, "", "tags: ", nil},
		"the drop-in":  {"POST", deleteTags + toProject, `{"tags":["a,"]}`, "", "tags[0]` holds a comma", nil},
		"no key":       {"POST", PurgesPath, `{}`, "none", "Not authorized", nil},
		"its project":  {"POST", PurgesPath, `{"project":"prj_abc","operation":"delete","tags":["a"]}`, blogSecret, "not for that project", nil},
		"no such path": {"POST", "/v1/edge-cache/no", `{}`, "", "endpoint was not found", nil},
		"wrong method": {"PUT", PurgesPath, `{}`, "", "Method not allowed, use POST", nil},
		"too large":    {"POST", deleteTags + toProject, strings.Repeat("x", 2<<20), "", "too large", nil},
		"quotes a key": {"POST", PurgesPath, `{"` + shopSecret + `":1}`, "", "[key]: is unknown", 4.0},
	} {
		key := c.key
		if key == "" {
			key = shopSecret
		}
		r := httptest.NewRequest(c.method, c.target, strings.NewReader(c.body))
		r.Header.Set("Authorization", "Bearer "+key)
		r.Header.Set("X-Forwarded-For", "192.0.2.66, 203.0.113.7")
		r.RemoteAddr = "10.0.0.1:4321"
		d.ServeHTTP(httptest.NewRecorder(), r)
		line := d.lastLine(t)
		assert.Contains(t, line["problem"], c.problem, name)
		assert.Equal(t, c.faults, line["faults"], name)
		assert.Equal(t, "203.0.113.7", line["client"], name)
		assert.Equal(t, "warn", line["level"], name)
	}
	assert.NotContains(t, d.logged(), shopSecret)
}

// Clients that wait for a purge ask again and again: that is no news.
func TestHandler_PollsAreDebug(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	known := true
	d.Status = func(context.Context, string) (enqueue.Status, error) {
		if known {
			return enqueue.Status{ID: "r", Project: "prj_abc"}, nil
		}
		return enqueue.Status{}, enqueue.ErrUnknownReceipt
	}
	for _, target := range []string{PurgesPath + "/r", "/v2/user", OpenAPIPath} {
		assert.Equal(t, 200, send(d, "GET", target, "").StatusCode)
		assert.Equal(t, "debug", d.lastLine(t)["level"], target)
	}
	known = false
	assert.Equal(t, 404, send(d, "GET", PurgesPath+"/r", "").StatusCode)
	assert.Equal(t, "debug", d.lastLine(t)["level"])
	assert.Equal(t, 403, send(d, "GET", PurgesPath+"/r", "", "Authorization", "Bearer no").StatusCode)
	assert.Equal(t, "warn", d.lastLine(t)["level"], "a client without a key is news")

	before := d.logged()
	d.Log = d.Log.Level(zerolog.InfoLevel)
	send(d, "GET", PurgesPath+"/r", "")
	assert.Equal(t, before, d.logged())
}

// Tags beyond ASCII may purge nothing: the line says so, as that of a webhook does.
func TestHandler_WarnsOfTagsBeyondASCII(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for target, body := range map[string]string{
		deleteTags + toProject: `{"tags":["a","\u00fcber"]}`,
		PurgesPath:             `{"project":"prj_abc","operation":"delete","tags":["a","\u00fcber"]}`,
	} {
		assert.Less(t, send(d, "POST", target, body).StatusCode, 300)
		line := d.lastLine(t)
		assert.Equal(t, "warn", line["level"], target)
		assert.Contains(t, line["warning"], `1 of the tags beyond ASCII, "über" first`, target)
	}
	send(d, "POST", deleteTags+toProject, `{"tags":["a","%C3%BCber"]}`)
	assert.NotContains(t, d.lastLine(t), "warning")
}
