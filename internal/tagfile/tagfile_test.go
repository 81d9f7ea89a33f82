package tagfile

import (
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRead(t *testing.T) {
	t.Parallel()
	got, err := Read(strings.NewReader("\ufeffone\r\n\r\n\n# two\n-three\n four "), "tags.txt")
	require.NoError(t, err)
	assert.Equal(t, []Line{{"one", 1}, {"# two", 4}, {"-three", 5}, {" four ", 6}}, got)
}

func TestRead_Faults(t *testing.T) {
	t.Parallel()
	_, err := Read(strings.NewReader(strings.Repeat("x", 2*maxLineBytes)), "tags.txt")
	require.ErrorContains(t, err, "tags.txt has a line of more than")
	_, err = Read(iotest.ErrReader(assert.AnError), "tags.txt")
	require.ErrorIs(t, err, assert.AnError)
}

// Nothing between two line ends is dropped or changed.
func FuzzRead(f *testing.F) {
	for _, text := range []string{"", "a", "a\nb\n", "a\r\n\r\nb", "\ufeffa\n", "\n\n", "é\x00\xff\r"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		found, err := Read(strings.NewReader(text), "the file")
		require.NoError(t, err)
		lines := strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n")
		next := 0
		for i, line := range lines {
			line = strings.TrimSuffix(line, "\r")
			if line == "" {
				continue
			}
			require.Less(t, next, len(found))
			require.Equal(t, Line{line, i + 1}, found[next])
			next++
		}
		require.Len(t, found, next)
	})
}
