package pages

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParse_Blocks(t *testing.T) {
	t.Parallel()
	p := Parse("# A\n\n<!-- run: worker -->\n```sh\necho a\n\n# not a heading [x](y)\n```\n\n<!-- too far above -->\n\n```yaml\na: b\n```\n```text\n```\n")
	assert.Equal(t, []Block{
		{Line: 4, Language: "sh", Mark: "run: worker", Text: "echo a\n\n# not a heading [x](y)\n"},
		{Line: 12, Language: "yaml", Text: "a: b\n"},
		{Line: 15, Language: "text"},
	}, p.Blocks)
	assert.Equal(t, []string{"a"}, p.Anchors)
	assert.Empty(t, p.Links)
}

func TestParse_BlockWithoutEnd(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []Block{{Line: 1, Language: "sh", Text: "a\n\n"}}, Parse("```sh\na\n").Blocks)
}

func TestParse_BlockInAList(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []Block{{Line: 3, Language: "sh", Mark: "run: x", Text: "  a\n"}}, Parse("- b\n  <!-- run: x -->\n  ```sh\n  a\n  ```\n").Blocks)
	assert.Equal(t, []Block{{Line: 1, Language: "sh", Text: "a\n"}}, Parse("~~~sh\na\n~~~\n").Blocks)
}

func TestParse_Anchors(t *testing.T) {
	t.Parallel()
	p := Parse("# What happens when…\n## `again`, and [more](more.md)\n### Over HTTP, by a key\n## Traps\n## Traps\n## Traps\n#no\n## 2. The budget\n")
	assert.Equal(t, []string{
		"what-happens-when", "again-and-more", "over-http-by-a-key", "traps", "traps-1", "traps-2", "2-the-budget",
	}, p.Anchors)
}

func TestParse_Links(t *testing.T) {
	t.Parallel()
	p := Parse("A [page](docs/a.md), one [more](b.md#traps); `[no](code)` [`x`](https://example.com/?a=b)\n")
	assert.Equal(t, []string{"docs/a.md", "b.md#traps", "https://example.com/?a=b"}, p.Links)
}

func TestRead(t *testing.T) {
	t.Parallel()
	all, err := Read("../..")
	require.NoError(t, err)
	var names []string
	for _, p := range all {
		names = append(names, p.Path)
		assert.NotEmpty(t, p.Anchors, p.Path)
	}
	assert.Subset(t, names, []string{"README.md", "CHANGELOG.md", "docs/operate.md", "docs/deploy/README.md"})
	_, err = Read("no/such/folder")
	require.Error(t, err)
}
