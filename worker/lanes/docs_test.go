package lanes

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/pages"
	"github.com/edgepurge/edgepurge/internal/receipt"
	"github.com/edgepurge/edgepurge/tasks"
)

var (
	documentedKey = regexp.MustCompile("(?m)^\\| `(edgepurge:[^`]*)` \\|")
	placeholder   = regexp.MustCompile(`<[a-z]+>`)
)

// The table of docs/architecture.md has every key, and none that there is not.
func TestDocs_KeysAreTheRealOnes(t *testing.T) {
	t.Parallel()
	all, err := pages.Read("../..")
	require.NoError(t, err)
	i := slices.IndexFunc(all, func(p pages.Page) bool { return p.Path == "docs/architecture.md" })
	require.GreaterOrEqual(t, i, 0)
	var patterns []string
	for _, m := range documentedKey.FindAllStringSubmatch(all[i].Text, -1) {
		patterns = append(patterns, "^"+placeholder.ReplaceAllString(regexp.QuoteMeta(strings.Replace(m[1], "{a}", "{acme}", 1)), `[a-zA-Z0-9_:/-]+`)+"$")
	}
	lane := tasks.Lane{Project: "prj_abc", Kind: tasks.Tag, Operation: tasks.Delete, Priority: tasks.Normal}
	keys := append(keysOf("acme").all(lane), KeyDue, KeyCalls, KeyLetters(tasks.QueueCalls), KeyKept(tasks.QueueDeliveries), keyUnknown("01JD"), keyRates(0), receipt.Key("r"))
	for _, key := range keys {
		assert.True(t, slices.ContainsFunc(patterns, func(p string) bool { return regexp.MustCompile(p).MatchString(key) }), "the page lacks %s", key)
	}
	for _, p := range patterns {
		assert.True(t, slices.ContainsFunc(keys, regexp.MustCompile(p).MatchString), "the page has %s, which no key is like", p)
	}
}
