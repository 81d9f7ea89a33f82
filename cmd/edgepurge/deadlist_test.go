package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/edgepurge/edgepurge/internal/deadletter"
	"github.com/edgepurge/edgepurge/tasks"
)

// What is in a letter comes before what Vercel said, and no line is wider than the terminal.
func TestDeadTable(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	answer := "Vercel said\x1b[2J: " + strings.Repeat("words ", 30) + "end"
	letters := []deadletter.Summary{
		{
			Key: deadletter.Key{Queue: tasks.QueueCalls, ID: "01JCZ8AAAAAAAAAAAAAAAAAAAA"}, Type: tasks.TypeCall, Reason: "bad_request", Message: answer,
			Died: now.Add(-time.Minute), Account: "acme", Project: "prj_" + strings.Repeat("x", 24), Operation: tasks.Delete, Kind: tasks.Tag,
			Items: 5, First: []string{"post-1", "über-" + strings.Repeat("y", 60), "post-3"},
		},
		{Key: deadletter.Key{Queue: tasks.QueueDeliveries, ID: "d1"}, Type: tasks.TypeDelivery, Reason: "unmappable", Message: "tags: no", Source: "blog"},
	}
	full := deadTable(letters, now, 0)
	lines := strings.Split(full, "\n")
	assert.Regexp(t, `^ID +QUEUE +AGE +REASON +ACCOUNT +PROJECT +WHAT +ITEMS +NAMES +ANSWER$`, lines[0])
	assert.Regexp(t, `delete tag +5 +post-1, über-y+, post-3, and 2 more +Vercel said`, lines[1])
	assert.Contains(t, full, "words end", "nothing is cut where no one looks at a terminal")
	assert.NotContains(t, full, "\x1b")

	for _, width := range []int{20, 40, 80, 100, 120, 160, 200, 240} {
		text := deadTable(letters, now, width)
		for line := range strings.Lines(text) {
			assert.LessOrEqual(t, len([]rune(strings.TrimSuffix(line, "\n"))), width, "%d: %s", width, line)
		}
		if width >= 80 {
			assert.Contains(t, text, "post-1", width)
			assert.Contains(t, text, "01JCZ8AAAAAAAAAAAAAAAAAAAA", width)
			assert.Contains(t, text, "tags: no", width)
			assert.NotContains(t, text, "words end", width)
		}
	}
	assert.Len(t, strings.Split(strings.TrimSpace(deadTable(letters, now, 80)), "\n"), 6, "two lines for each where one is too narrow")
	assert.Len(t, strings.Split(strings.TrimSpace(deadTable(letters, now, 200)), "\n"), 3)
}
