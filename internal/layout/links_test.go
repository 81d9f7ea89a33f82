package layout

import (
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/pages"
)

// Every link from page to page leads to something that exists, and where it names
// a heading, to that. Other people's pages are not asked for.
func TestLinks(t *testing.T) {
	t.Parallel()
	all, err := pages.Read(root)
	require.NoError(t, err)
	anchors := map[string][]string{}
	for _, p := range all {
		anchors[p.Path] = p.Anchors
	}
	checked := 0
	for _, p := range all {
		for _, target := range p.Links {
			u, err := url.Parse(target)
			if !assert.NoError(t, err, p.Path) || u.IsAbs() {
				continue
			}
			checked++
			file := p.Path
			if u.Path != "" {
				file = path.Join(path.Dir(p.Path), u.Path)
			}
			_, err = os.Stat(filepath.Join(root, file))
			if assert.NoError(t, err, "%s links to %s", p.Path, target) && u.Fragment != "" {
				assert.True(t, slices.Contains(anchors[file], u.Fragment), "%s links to %s, and %s has no such heading", p.Path, target, file)
			}
		}
	}
	assert.Greater(t, checked, 50)
	t.Logf("%d links within %d pages", checked, len(all))
}

// Whoever opens docs/ finds every page in its index.
func TestDocsIndex(t *testing.T) {
	t.Parallel()
	all, err := pages.Read(root)
	require.NoError(t, err)
	linked := map[string][]string{} // page → pages that it links to
	for _, p := range all {
		for _, target := range p.Links {
			if u, err := url.Parse(target); err == nil && !u.IsAbs() && u.Path != "" {
				linked[p.Path] = append(linked[p.Path], path.Join(path.Dir(p.Path), u.Path))
			}
		}
	}
	for _, p := range all {
		index := "docs/README.md"
		switch dir := path.Dir(p.Path); dir {
		case ".":
			continue
		case "docs/recipes":
			index = dir + "/README.md"
		}
		if p.Path != index {
			assert.Contains(t, linked[index], p.Path, "%s lacks it", index)
		}
	}
	assert.Contains(t, linked["docs/README.md"], "docs/recipes/README.md")
}
