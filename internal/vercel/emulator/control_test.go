package emulator

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/tasks"
)

func TestControl_Calls(t *testing.T) {
	b := start(t, Config{JournalCap: 4})
	for i := range 5 {
		_, err := b.purge(fmt.Sprint(i))
		require.NoError(t, err)
	}
	get := func(query string) (body struct {
		Calls         []Call
		Last, Dropped int64
	},
	) {
		r := b.send(t, "GET", "/_emulator/calls"+query, "", "Authorization", "")
		require.Equal(t, 200, r.StatusCode, r.text)
		require.NoError(t, json.Unmarshal([]byte(r.text), &body))
		assert.NotContains(t, r.text, secret)
		return body
	}
	all := get("")
	assert.Equal(t, span(2, 5), seqs(all.Calls))
	assert.Equal(t, int64(5), all.Last)
	assert.Equal(t, int64(1), all.Dropped)
	assert.Equal(t, []string{"4"}, all.Calls[3].Items)
	assert.Equal(t, tasks.NoDeadline, all.Calls[3].DeadlineSeconds)
	assert.WithinDuration(t, time.Now(), all.Calls[3].Start, time.Minute)
	assert.Equal(t, span(5, 5), seqs(get("?since=4").Calls))
	assert.Equal(t, span(3, 4), seqs(get("?since=2&limit=2").Calls))
	assert.NotNil(t, get("?since=5").Calls, "an empty list, not null")

	for _, query := range []string{"?since=x", "?since=-1", "?limit=0", "?limit=100001", "?limit=1.5"} {
		r := b.send(t, "GET", "/_emulator/calls"+query, "")
		assert.Equal(t, 400, r.StatusCode, query)
		assert.Equal(t, "bad_request", r.problem(t).Code)
	}
	assert.Equal(t, 204, b.send(t, "DELETE", "/_emulator/calls", "").StatusCode)
	assert.Empty(t, get("").Calls)
}

// The keys are what people's scripts read.
func TestControl_CallJSON(t *testing.T) {
	at := time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC)
	b, err := json.Marshal(Call{
		Seq: 1, Start: at, End: at, Token: "ci", Team: "team_1", Method: "POST", Path: tagsPath, Project: "p",
		Kind: tasks.Tag, Operation: tasks.Delete, Items: []string{"a"}, StringForm: true, Target: tasks.Preview,
		DeadlineSeconds: 5, Status: 200, Counted: true, Applied: true, Fault: FaultStatus, RequestID: "emu1::1-1",
	})
	require.NoError(t, err)
	assert.JSONEq(t, `{"seq":1,"start":"2026-11-22T05:00:00Z","end":"2026-11-22T05:00:00Z","token":"ci","team":"team_1",
		"method":"POST","path":"/v1/edge-cache/dangerously-delete-by-tags","project":"p","kind":"tag","operation":"delete",
		"items":["a"],"string_form":true,"target":"preview","deadline_seconds":5,"status":200,"counted":true,"applied":true,
		"fault":"status","request_id":"emu1::1-1"}`, string(b))
}

func TestControl_Stats(t *testing.T) {
	b := start(t, Config{Limit: MeasuredLimit()})
	_, err := b.purge("a", "b")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return b.Stats().InFlight == 0 }, 5*time.Second, time.Millisecond)
	assert.JSONEq(t, `{"calls":1,"by_status":{"200":1},"applied_calls":1,"applied_items":2,"in_flight":0,"peak_in_flight":1,
		"per":"1m0s","peak_counted":1,"peak_arrived":1,"kept":1,"dropped":0}`, b.send(t, "GET", "/_emulator/stats", "").text)
}

func TestControl_Faults(t *testing.T) {
	b := start(t, Config{})
	assert.JSONEq(t, `{}`, b.send(t, "GET", "/_emulator/faults", "").text)
	r := b.send(t, "PUT", "/_emulator/faults", fullJSON)
	assert.Equal(t, 200, r.StatusCode)
	assert.JSONEq(t, fullJSON, r.text)
	assert.Equal(t, full(), b.Faults())
	for _, body := range []string{`{"outge":true}`, `{"reset":2}`, `{"latency":"-1s"}`, `{} {}`, ``, `[]`, `null`} {
		r := b.send(t, "PUT", "/_emulator/faults", body)
		assert.Equal(t, 400, r.StatusCode, body)
		assert.NotEmpty(t, r.problem(t).Message)
	}
	assert.Equal(t, full(), b.Faults(), "a refused change changes nothing")
	assert.Equal(t, 503, b.send(t, "GET", "/v2/user", "").StatusCode, "an outage")
	assert.Equal(t, 200, b.send(t, "PUT", "/_emulator/faults", `{}`).StatusCode, "the controls have none")
	assert.Equal(t, 200, b.send(t, "GET", "/v2/user", "").StatusCode)
}

func TestControl_Limit(t *testing.T) {
	b := start(t, Config{})
	assert.JSONEq(t, `{"calls":0,"per":"1m0s","mode":"sliding","body":"alternating"}`, b.send(t, "GET", "/_emulator/limit", "").text)
	r := b.send(t, "PUT", "/_emulator/limit", `{"calls":5,"per":"2s","mode":"fixed","body":"rate_limited"}`)
	assert.Equal(t, 200, r.StatusCode, r.text)
	assert.Equal(t, Limit{5, 2 * time.Second, Fixed, RateLimited}, b.Limit())
	for _, body := range []string{`{"call":5}`, `{"calls":-1}`, `{"per":60}`, `{"mode":"bucket"}`} {
		assert.Equal(t, 400, b.send(t, "PUT", "/_emulator/limit", body).StatusCode, body)
	}
	assert.Equal(t, 200, b.send(t, "PUT", "/_emulator/limit", `{}`).StatusCode)
	assert.Zero(t, b.Limit().Calls)
}

func TestControl_Refusals(t *testing.T) {
	b := start(t, Config{})
	for _, tt := range []struct {
		method, path string
		want         int
	}{
		{"POST", "/_emulator/faults", 405},
		{"PUT", "/_emulator/calls", 405},
		{"DELETE", "/_emulator/stats", 405},
		{"PATCH", "/_emulator/limit", 405},
		{"GET", "/_emulator/", 404},
		{"GET", "/_emulator/nowhere", 404},
	} {
		r := b.send(t, tt.method, tt.path, "")
		assert.Equal(t, tt.want, r.StatusCode, tt.path)
		assert.NotEmpty(t, r.problem(t).Code)
	}
	assert.Empty(t, b.Journal(), "controls are no calls of the API")
}

// No web page that is open in a browser on this machine steers the emulator.
func TestControl_RefusesWebPages(t *testing.T) {
	b := start(t, Config{})
	for _, header := range [][2]string{{"Origin", "https://evil.example"}, {"Sec-Fetch-Site", "cross-site"}} {
		r := b.send(t, "DELETE", "/_emulator/calls", "", header[0], header[1])
		assert.Equal(t, 403, r.StatusCode, header)
		assert.Contains(t, r.text, "a web page of another site")
	}
	assert.Equal(t, 204, b.send(t, "DELETE", "/_emulator/calls", "").StatusCode)
}
