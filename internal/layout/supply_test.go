package layout

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// read is a file of the repository as text.
func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	require.NoError(t, err)
	return string(data)
}

var digest = regexp.MustCompile(`@sha256:[0-9a-f]{64}$`)

// What is downloaded to build or run edgepurge is named by its content, not by a tag
// that somebody can move.
func TestPinned_Images(t *testing.T) {
	t.Parallel()
	for name, s := range documents[compose](t, "docker-compose.yml")[0].Services {
		if s.Image != "" { // else it is built here
			assert.Regexp(t, digest, s.Image, name)
		}
	}
	bases := regexp.MustCompile(`(?m)^FROM (\S+)`).FindAllStringSubmatch(read(t, "Dockerfile"), -1)
	require.NotEmpty(t, bases)
	for _, base := range bases {
		if base[1] != "scratch" {
			assert.Regexp(t, digest, base[1])
		}
	}
}

type workflow struct {
	Permissions map[string]string
	Jobs        map[string]struct {
		Permissions map[string]string
		Steps       []struct {
			Uses string
			Run  string
			With map[string]any
		}
	}
}

// Actions are pinned, no checkout leaves its token behind, and the tests of all
// dependencies' code never run with the right to write to the repository.
func TestPinned_Workflows(t *testing.T) {
	t.Parallel()
	commit := regexp.MustCompile(`^[\w./-]+@[0-9a-f]{40}$`)
	checked := false
	for _, name := range []string{".github/workflows/ci.yml", ".github/workflows/release.yml"} {
		file := documents[workflow](t, name)[0]
		assert.Equal(t, map[string]string{"contents": "read"}, file.Permissions, name)
		for id, job := range file.Jobs {
			for _, step := range job.Steps {
				if step.Uses != "" {
					assert.Regexp(t, commit, step.Uses, "%s, job %s", name, id)
				}
				if strings.HasPrefix(step.Uses, "actions/checkout@") {
					assert.Equal(t, false, step.With["persist-credentials"], "%s, job %s", name, id)
				}
				if strings.Contains(step.Run, ".ci/run") {
					checked = true
					assert.Empty(t, job.Permissions, "%s, job %s", name, id)
				}
			}
		}
	}
	assert.True(t, checked, "no workflow runs .ci/run")
}

// The image and the release are built by the same patched Go: the line `go` of
// go.mod would be taken to the letter, as Go 1.26.0.
func TestPinned_Toolchain(t *testing.T) {
	t.Parallel()
	toolchain := regexp.MustCompile(`(?m)^toolchain go(1\.\d+\.[1-9]\d*)$`).FindStringSubmatch(read(t, "go.mod"))
	require.NotNil(t, toolchain, "go.mod names no patched toolchain")
	assert.Contains(t, read(t, "Dockerfile"), "FROM golang:"+toolchain[1]+"@")
}
