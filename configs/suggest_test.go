package configs

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

func TestNearest(t *testing.T) {
	known := []string{"account", "budget", "cap", "max_attempts", "max_src_images", "max_tags", "name", "per", "team_id", "url"}
	for unknown, want := range map[string]string{
		"max_tag":       "max_tags",
		"maxTags":       "max_tags",
		"max-tags":      "max_tags",
		"MAX_TAGS":      "max_tags",
		"acount":        "account",
		"accounts":      "account",
		"teamID":        "team_id",
		"naem":          "name",
		"pre":           "per",
		"maxSrcImage":   "max_src_images",
		"attempts":      "",
		"max":           "",
		"colour":        "",
		"":              "",
		"x":             "",
		"unrelated_key": "",
	} {
		assert.Equal(t, want, nearest(unknown, known), unknown)
	}
	assert.Empty(t, nearest(strings.Repeat("a", 1<<20), known), "a long key costs no time")
}

func TestDistance(t *testing.T) {
	word := rapid.StringMatching(`[ab_é]{0,6}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		d := distance(a, b)
		if (d == 0) != (a == b) || d != distance(b, a) || d > max(len(a), len(b)) {
			t.Fatalf("distance(%q, %q) = %d", a, b, d)
		}
	})
}
