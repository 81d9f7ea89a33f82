package layout

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/pages"
)

// languages are those of the blocks in our pages, and what becomes of each. A block
// of another language, or of none, would pass every test because none reads it.
var languages = map[string]string{
	"sh":      "run by cmd/edgepurge",
	"bash":    "run by cmd/edgepurge",
	"console": "run by cmd/edgepurge, with what it prints",
	"yaml":    "loaded by configs",
	"http":    "mapped by configs, in the recipes",
	"text":    "what is mapped, and pictures",
	"json":    "parsed here",
	"go":      "compiled in the file that its mark names",
	"mermaid": "drawn by GitHub",
	"js":      "shown: driven by `make clients`",
	"ts":      "shown: code of the reader's own application",
	"tsx":     "shown: code of the reader's own application",
	"php":     "shown: code of the reader's own application",
	"acl":     "run by internal/prodredis",
}

func TestBlocks(t *testing.T) {
	t.Parallel()
	all, err := pages.Read(root)
	require.NoError(t, err)
	for _, p := range all {
		for _, b := range p.Blocks {
			assert.Contains(t, languages, b.Language, "%s:%d: write the language behind the fence", p.Path, b.Line)
			switch b.Language {
			case "json":
				assert.True(t, json.Valid([]byte(b.Text)), "%s:%d", p.Path, b.Line)
			case "go":
				file, marked := strings.CutPrefix(b.Mark, "compiled in: ")
				require.True(t, marked, "%s:%d: name the file that holds it: <!-- compiled in: x/example_test.go -->", p.Path, b.Line)
				code, err := os.ReadFile(filepath.Join(root, file))
				require.NoError(t, err)
				assert.Contains(t, trimmed(string(code)), trimmed(b.Text), "%s:%d is not in %s", p.Path, b.Line, file)
			}
		}
	}
}

// trimmed is a text without the indentation of its lines.
func trimmed(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "\n")
}

var (
	namedTest   = regexp.MustCompile("`(Test[A-Z][A-Za-z0-9_]*[A-Za-z0-9])`")
	writtenTest = regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
)

// A page that names a test as its witness names one that there is.
func TestWitnesses(t *testing.T) {
	t.Parallel()
	var written []string
	require.NoError(t, filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(file, "_test.go") {
			return err
		}
		text, err := os.ReadFile(file)
		for _, m := range writtenTest.FindAllStringSubmatch(string(text), -1) {
			written = append(written, m[1])
		}
		return err
	}))
	all, err := pages.Read(root)
	require.NoError(t, err)
	named := 0
	for _, p := range all {
		for _, m := range namedTest.FindAllStringSubmatch(p.Text, -1) {
			named++
			assert.True(t, slices.Contains(written, m[1]), "%s names %s, and there is no such test", p.Path, m[1])
		}
	}
	assert.Greater(t, named, 30)
}
