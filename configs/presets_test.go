package configs

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/enqueue/webhook"
)

func TestPresets(t *testing.T) {
	t.Parallel()
	first := Presets()
	presets, err := webhook.ParsePresets("presets.yaml", first)
	require.NoError(t, err)
	assert.Contains(t, presets, "sanity")
	clear(first)
	assert.NotEqual(t, first, Presets(), "each caller has a copy of its own")
}
