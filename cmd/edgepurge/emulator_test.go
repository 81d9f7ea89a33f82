package main

import (
	"encoding/json"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
)

// The help names every key of the faults.
func TestEmulator_HelpNamesTheFaults(t *testing.T) {
	t.Parallel()
	data, err := json.Marshal(emulator.Faults{
		Status: map[int]float64{503: 0.1}, HTML: 1, RetryAfter: 1, Latency: 1, LatencyJitter: 1, Reset: 1, Hang: 1, AfterEffect: 1,
		Outage: true, Projects: map[string]int{"p": 410}, PoisonTags: []string{"x"}, ExpiredTokens: []string{"y"},
	})
	require.NoError(t, err)
	var keys map[string]any
	require.NoError(t, json.Unmarshal(data, &keys))
	require.Len(t, keys, 12, "all of emulator.Faults")
	help := command(t, nil, "emulator", "--help").stdout
	for key := range keys {
		assert.Regexp(t, `(?m)(^  |, |; )`+regexp.QuoteMeta(key)+`\b`, help)
	}
}
