package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
)

// result is what a command did.
type result struct {
	code           int
	stdout, stderr string
}

// command runs the program in this process, with this environment and no other.
func command(t *testing.T, env map[string]string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), args, strings.NewReader(""), &stdout, &stderr, func(name string) string { return env[name] })
	return result{code, stdout.String(), stderr.String()}
}

func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, c := range cmd.Commands() {
		walk(c, visit)
	}
}

// Every command explains itself, and refuses arguments that it does not take.
func TestCommands(t *testing.T) {
	t.Parallel()
	walk(newRoot(&app{getenv: func(string) string { return "" }}), func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		if cmd.Hidden {
			return
		}
		assert.NotEmpty(t, cmd.Short, path)
		assert.NotEmpty(t, cmd.Example, "%s: an example says more than the list of flags", path)
		for line := range strings.Lines(cmd.Example) {
			assert.True(t, strings.HasPrefix(line, "  "), "%s: %q: examples are indented by two", path, line)
		}
		if cmd.Name() != "help" {
			assert.NotNil(t, cmd.Args, "%s: say what arguments it takes; cobra's errors are not usage errors", path)
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			assert.NotEmpty(t, f.Usage, "%s --%s", path, f.Name)
			assert.Empty(t, f.Annotations[cobra.BashCompOneRequiredFlag],
				"%s --%s: cobra's error for a missing flag is not a usage error", path, f.Name)
		})

		args := append(strings.Fields(path)[1:], "--help")
		got := command(t, nil, args...)
		assert.Equal(t, exitDone, got.code, path)
		assert.Contains(t, got.stdout, "Examples:", path)
		assert.Empty(t, got.stderr, path)

		got = command(t, nil, append(args[:len(args)-1], "--no-such-flag")...)
		assert.Equal(t, exitUsage, got.code, path)
		assert.Contains(t, got.stderr, "unknown flag: --no-such-flag\n", path)
		assert.Contains(t, got.stderr, "see `"+path+" --help`", path)
		assert.Empty(t, got.stdout, path)
	})
}

// Ctrl-C ends what waits for Redis at once.
func TestRun_Interrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	env := map[string]string{"EDGEPURGE_REDIS_URL": "redis://127.0.0.1:1/0"}
	code := run(ctx, []string{"status"}, strings.NewReader(""), &stdout, &stderr, func(name string) string { return env[name] })
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, stderr.String(), "interrupted")
}

func TestPlain(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "a�[31mb�c", plain("a\x1b[31mb\nc"))
	assert.Equal(t, "grün", plain("grün"))
}

func TestReadVersion(t *testing.T) {
	t.Parallel()
	v := readVersion()
	assert.NotEmpty(t, v.Version)
	require.True(t, strings.HasPrefix(v.Go, "go"), v.Go)
}

// A watch that is ended by hand has done what it was asked for.
func TestStatus_Watch(t *testing.T) {
	t.Parallel()
	_, mini := redistest.Mini(t)
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	var stdout, stderr bytes.Buffer
	env := map[string]string{"EDGEPURGE_REDIS_URL": "redis://" + mini.Addr()}
	code := run(ctx, []string{"status", "--watch", "100ms"}, strings.NewReader(""), &stdout, &stderr, func(name string) string { return env[name] })
	assert.Equal(t, exitDone, code, stderr.String())
	assert.GreaterOrEqual(t, strings.Count(stdout.String(), "account default"), 2)
	assert.NotContains(t, stdout.String(), "\x1b", "this is no terminal")
}
