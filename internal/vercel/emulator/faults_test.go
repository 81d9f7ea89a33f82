package emulator

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// full has every field set to something valid.
func full() Faults {
	return Faults{
		Status: map[int]float64{503: 0.02, 500: 0.01}, HTML: 0.5, RetryAfter: 2 * time.Second,
		Latency: 20 * time.Millisecond, LatencyJitter: 1500 * time.Microsecond,
		Reset: 0.03, Hang: 0.04, AfterEffect: 0.25, Outage: true,
		Projects: map[string]int{"prj_gone": 410}, PoisonTags: []string{"x"}, ExpiredTokens: []string{"old"},
	}
}

const fullJSON = `{"status":{"500":0.01,"503":0.02},"html":0.5,"retry_after":"2s","latency":"20ms","latency_jitter":"1.5ms",` +
	`"reset":0.03,"hang":0.04,"after_effect":0.25,"outage":true,"projects":{"prj_gone":410},"poison_tags":["x"],"expired_tokens":["old"]}`

func TestFaults_JSON(t *testing.T) {
	b, err := json.Marshal(full())
	require.NoError(t, err)
	assert.JSONEq(t, fullJSON, string(b))
	var f Faults
	require.NoError(t, json.Unmarshal(b, &f))
	assert.Equal(t, full(), f)

	b, err = json.Marshal(Faults{})
	require.NoError(t, err)
	assert.JSONEq(t, `{}`, string(b))
}

func TestFaults_JSONIsStrict(t *testing.T) {
	for body, want := range map[string]string{
		`{"latncy":"1s"}`:          "latncy",
		`{"latency":1}`:            "1 is no duration",
		`{"latency":"1 second"}`:   "is no duration",
		`{"status":{"5xx":1}}`:     "5xx",
		`{"status":[503]}`:         "array",
		`{"outage":"yes"}`:         "string",
		`{"projects":{"p":"410"}}`: "string",
		`[]`:                       "object",
		`null`:                     "object",
	} {
		var f Faults
		err := json.Unmarshal([]byte(body), &f)
		if body == "null" { // encoding/json asks the method even so
			err = f.UnmarshalJSON([]byte(body))
		}
		require.Error(t, err, body)
		assert.ErrorContains(t, err, want, body)
	}
}

func TestFaults_Validate(t *testing.T) {
	for name, tt := range map[string]struct {
		faults Faults
		want   string // empty: none
	}{
		"none":              {Faults{}, ""},
		"all":               {full(), ""},
		"sum of exactly 1":  {Faults{Status: map[int]float64{500: 0.1, 502: 0.2, 503: 0.3}, Reset: 0.4}, ""},
		"sum above 1":       {Faults{Status: map[int]float64{503: 0.6}, Hang: 0.6}, "add up to 1.2"},
		"status 200":        {Faults{Status: map[int]float64{200: 0.1}}, "status: 200 is out of range"},
		"status 600":        {Faults{Status: map[int]float64{600: 0.1}}, "status: 600 is out of range"},
		"status above 1":    {Faults{Status: map[int]float64{503: 1.1}}, "status[503]: 1.1 is no probability"},
		"html":              {Faults{HTML: -0.1}, "html: -0.1"},
		"reset":             {Faults{Reset: 2}, "reset: 2"},
		"hang":              {Faults{Hang: math.NaN()}, "hang: NaN"},
		"after effect":      {Faults{AfterEffect: math.Inf(1)}, "after_effect: +Inf"},
		"negative latency":  {Faults{Latency: -1}, "latency: -1ns is out of range"},
		"latency, an hour":  {Faults{Latency: time.Hour}, "latency: 1h0m0s is out of range: use 0 to 10m0s"},
		"jitter":            {Faults{LatencyJitter: time.Hour}, "latency_jitter:"},
		"retry after":       {Faults{RetryAfter: -time.Second}, "retry_after:"},
		"project status":    {Faults{Projects: map[string]int{"p": 200}}, "projects[p]: 200 is out of range"},
		"project, unnamed":  {Faults{Projects: map[string]int{"": 404}}, "a name has 1 to 100 bytes"},
		"project, too long": {Faults{Projects: map[string]int{strings.Repeat("p", 101): 404}}, "a name has 1 to 100 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tt.faults.validate()
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, tt.want)
		})
	}
}

func TestFaults_ValidateReportsAllAtOnce(t *testing.T) {
	err := Faults{HTML: 2, Reset: 2, Hang: 2, Latency: -1}.validate()
	for _, part := range []string{"html", "reset", "hang", "latency", "add up"} {
		assert.ErrorContains(t, err, part)
	}
}

// Neither side can change the other's maps and slices.
func TestSetFaults_Copies(t *testing.T) {
	e, err := New(Config{})
	require.NoError(t, err)
	f := full()
	require.NoError(t, e.SetFaults(f))
	f.Status[503], f.Projects["p"], f.PoisonTags[0] = 1, 404, "y"
	assert.Equal(t, full(), e.Faults())
	got := e.Faults()
	got.Status[503], got.ExpiredTokens[0] = 1, "y"
	assert.Equal(t, full(), e.Faults())

	require.Error(t, e.SetFaults(Faults{Reset: 2}))
	assert.Equal(t, full(), e.Faults(), "a refused change changes nothing")
}

func FuzzFaultsJSON(f *testing.F) {
	f.Add([]byte(fullJSON))
	f.Add([]byte(`{"status":{"503":1e309}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var faults Faults
		if faults.UnmarshalJSON(data) != nil || faults.validate() != nil {
			return
		}
		b, err := json.Marshal(faults)
		require.NoError(t, err)
		var again Faults
		require.NoError(t, again.UnmarshalJSON(b))
		assert.Equal(t, compile(faults).statuses, compile(again).statuses)
	})
}
