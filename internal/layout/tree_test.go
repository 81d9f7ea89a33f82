package layout

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// topLevel is what a reader of the repository meets first; it stays short.
var topLevel = []string{
	"go.mod", "go.sum", "cmd", "worker", "enqueue", "tasks", "configs", "internal", "docs",
	"docker-compose.yml", "Dockerfile", "Makefile", "README.md", "CHANGELOG.md", "LICENSE",
}

const maxLines = 800

func TestTopLevel(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(root)
	require.NoError(t, err)
	ignored := gitignore(t)
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, ".") || slices.Contains(topLevel, name) || ignored(name) {
			continue
		}
		t.Errorf("%s stands at the top level: the layout in internal/layout/tree_test.go has no place for it there", name)
	}
}

// gitignore tells what .gitignore keeps out of the repository at the top level.
// Of its patterns it knows a name and a name with stars.
func gitignore(t *testing.T) func(name string) bool {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, ".gitignore"))
	require.NoError(t, err)
	var patterns []string
	for line := range strings.Lines(string(data)) {
		if pattern := strings.Trim(strings.TrimSpace(line), "/"); pattern != "" && pattern[0] != '#' {
			patterns = append(patterns, pattern)
		}
	}
	return func(name string) bool {
		return slices.ContainsFunc(patterns, func(pattern string) bool {
			matched, err := path.Match(pattern, name)
			return err == nil && matched
		})
	}
}

func TestFilesAreShort(t *testing.T) {
	t.Parallel()
	require.NoError(t, filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); file != root && (name == "testdata" || name[0] == '.') {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		assert.LessOrEqual(t, bytes.Count(data, []byte("\n")), maxLines, "%s: find the second thing it does and give that a file", file)
		return nil
	}))
}
