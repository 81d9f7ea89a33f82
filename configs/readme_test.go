package configs

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What people copy from the README loads, and a gateway can serve it.
func TestReadme_SnippetsLoad(t *testing.T) {
	data, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	snippets := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(data), -1)
	require.GreaterOrEqual(t, len(snippets), 6)
	var presets []string
	for _, m := range snippets {
		cfg := loaded(t, m[1], func(name string) string {
			switch name {
			case "EDGEPURGE_CONFIG", "EDGEPURGE_LISTEN", "EDGEPURGE_METRICS", "EDGEPURGE_REDIS_URL", "EDGEPURGE_VERCEL_URL", "EDGEPURGE_VERCEL_ALLOW_HTTP",
				"VERCEL_TEAM_ID", "VERCEL_PROJECT_ID", "EDGEPURGE_LOG":
				return ""
			}
			return "user:password-of-some-length" // of a form that each sender could have
		})
		require.NoError(t, cfg.RequireGateway(), m[1])
		hooks, err := cfg.Gateway.Hooks()
		require.NoError(t, err, m[1])
		assert.Equal(t, strings.Contains(m[1], "gateway:"), !cfg.Gateway.Empty(), m[1])
		for i := range hooks {
			presets = append(presets, cfg.Gateway.Sources[i].Preset.Name)
		}
	}
	for _, preset := range []string{"sanity", "contentful", "datocms-cache-tags", "shopify", "woocommerce", "bearer"} {
		assert.Contains(t, presets, preset)
	}
}
