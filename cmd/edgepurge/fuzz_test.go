package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A file of tags: nothing between two line ends is dropped or changed.
func FuzzScanTags(f *testing.F) {
	for _, text := range []string{"", "a", "a\nb\n", "a\r\n\r\nb", "\ufeffa\n", "\n\n", "é\x00\xff\r"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		found, err := scanTags(strings.NewReader(text), "the file")
		require.NoError(t, err)
		lines := strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n")
		next := 0
		for i, line := range lines {
			line = strings.TrimSuffix(line, "\r")
			if line == "" {
				continue
			}
			require.Less(t, next, len(found))
			require.Equal(t, fileTag{line, i + 1}, found[next])
			next++
		}
		require.Len(t, found, next)
	})
}
