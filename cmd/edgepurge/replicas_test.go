package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
)

// With redis.wait_replicas a request that no replica has is not accepted.
func TestPurge_WaitsForReplicas(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	purge := func(config string) result {
		file := filepath.Join(t.TempDir(), "edgepurge.yaml")
		require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
		return command(t, map[string]string{"EDGEPURGE_REDIS_URL": s.URL(), "EDGEPURGE_CONFIG": file}, "purge", "--project", "prj", "--tag", "a")
	}
	got := purge("redis: {wait_replicas: 1, wait_timeout: 20ms}")
	assert.Equal(t, exitFailed, got.code)
	assert.Contains(t, got.stderr, "replica")
	assert.Equal(t, exitDone, purge("redis: {}").code)
}
