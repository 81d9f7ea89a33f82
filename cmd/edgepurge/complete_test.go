package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// completions asks as a shell does: the values, and whether files may follow.
func completions(t *testing.T, args ...string) (values []string, files bool) {
	t.Helper()
	got := command(t, nil, append([]string{cobra.ShellCompRequestCmd}, args...)...)
	require.Equal(t, exitDone, got.code, got.stderr)
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	directive := lines[len(lines)-1]
	return lines[:len(lines)-1], directive == ":0"
}

func TestComplete(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		line  string
		want  []string
		files bool
	}{
		{"purge --priority ", []string{"urgent", "normal", "bulk"}, false},
		{"purge --target ", []string{"production", "preview"}, false},
		{"emulator --window ", []string{"sliding", "fixed"}, false},
		{"purge --project ", nil, false},
		{"purge --from-file ", nil, true},
		{"plan --html ", nil, true},
		{"webhook test --file ", nil, true},
		{"worker ", nil, false},
		{"hold release ", nil, false},
		{"dead replay ", nil, false},
	} {
		values, files := completions(t, strings.Split(test.line, " ")...)
		assert.ElementsMatch(t, test.want, values, test.line)
		assert.Equal(t, test.files, files, test.line)
	}
	for _, verb := range []string{"list", "replay", "delete"} {
		reasons, files := completions(t, "dead", verb, "--reason", "")
		assert.Subset(t, reasons, []string{"bad_request", "unauthorized", "unmappable"}, verb)
		assert.False(t, files, verb)
	}
}

func TestComplete_Descriptions(t *testing.T) {
	t.Parallel()
	flags, _ := completions(t, "purge", "--p")
	assert.Contains(t, flags, "--project\tproject id or name (default VERCEL_PROJECT_ID)")
	assert.NotContains(t, strings.Join(flags, "\n"), "`")
	assert.Contains(t, command(t, nil, "purge", "--help").stdout, "--project project", "the help still names the value")
}
