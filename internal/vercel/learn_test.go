package vercel

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestLearnMax(t *testing.T) {
	for message, want := range map[string]struct {
		field string
		n     int
	}{
		"Invalid request: `tags` should NOT have more than 16 items.":     {"tags", 16},
		"Invalid request: `srcImages` should NOT have more than 8 items.": {"srcImages", 8},
		"`tags` must NOT have more than 4 items":                          {"tags", 4},
		"body.tags should NOT have more than 4 items":                     {"tags", 4},
		"/tags must NOT have more than 4 items, got 9":                    {"tags", 4},
		"'srcImages' should NOT have more than 1 items.":                  {"srcImages", 1},
		"`tags` should NOT have more than 99999 items":                    {"tags", 99999},
		"":                 {},
		"Invalid request.": {},
		"`tags` should NOT have more than 0 items.":                   {},
		"`tags` should NOT have more than -1 items":                   {},
		"`tags` should NOT have more than 16.5 items":                 {},
		"`tags` should NOT have more than 999999 items":               {},
		"`tags` should NOT have fewer than 1 items.":                  {},
		"`tags` should NOT have more than 256 characters":             {},
		"`tags[3]` should NOT be longer than 256 characters":          {},
		"`tags[3]` should NOT have more than 256 items":               {},
		"`metatags` should NOT have more than 16 items":               {},
		"`cookies` should NOT have more than 16 items":                {},
		"`tags` should NOT have more than 16 itemsets":                {},
		"`tags` is fine; `cookies` should NOT have more than 3 items": {},
		"Too many tags": {},
		"`tags` should NOT have more than " + strings.Repeat("9", 50) + " items": {},
	} {
		t.Run(message, func(t *testing.T) {
			field, n, ok := LearnMax(message)
			assert.Equal(t, want.field, field)
			assert.Equal(t, want.n, n)
			assert.Equal(t, want.n > 0, ok)
		})
	}
}

func FuzzLearnMax(f *testing.F) {
	for _, s := range []string{"`tags` should NOT have more than 16 items.", "srcImages must NOT have more than 0 items", "tags"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, message string) {
		field, n, ok := LearnMax(message)
		if !ok {
			assert.Empty(t, field)
			assert.Zero(t, n)
			return
		}
		assert.Contains(t, []string{"tags", "srcImages"}, field)
		assert.True(t, n >= 1 && n <= 99999)
		assert.Contains(t, message, fmt.Sprint(n))
	})
}
