package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
)

// fullDisk is a stdout that takes no more.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) {
	return 0, &os.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.ENOSPC}
}

// What cannot be printed is an error of every command that prints.
func TestOutput_Full(t *testing.T) {
	t.Parallel()
	rdb, mini := redistest.Mini(t)
	letters(t, rdb, 1)
	dir := t.TempDir()
	config, delivery := filepath.Join(dir, "edgepurge.yaml"), filepath.Join(dir, "delivery.json")
	require.NoError(t, os.WriteFile(config, []byte(`{gateway: {sources: [{name: blog, secrets: ["env:HOOK"],
		projects: [prj_abc], verify: [{kind: token, from: header.X-Token}], tags: ".tags[]"}]}}`), 0o600))
	require.NoError(t, os.WriteFile(delivery, []byte(`{"tags":["a"]}`), 0o600))
	env := map[string]string{"EDGEPURGE_REDIS_URL": "redis://" + mini.Addr(), "HOOK": "let-me-in-0123456789"}
	commands := [][]string{
		{"version"},
		{"version", "--json"},
		{"--version"},
		{"completion", "bash"},
		{"help", "purge"},
		{"status"},
		{"status", "--json"},
		{"status", "--watch=1s"},
		{"hold", "list"},
		{"hold", "list", "--json"},
		{"dead", "list"},
		{"dead", "list", "--json"},
		{"dead", "show", "01L00"},
		{"dead", "show", "01L00", "--json"},
		{"check", "--config-only"},
		{"check", "--config-only", "--json"},
		{"purge", "--project", "p", "--tag", "a"},
		{"purge", "--project", "p", "--tag", "a", "--json"},
		{"purge", "--project", "p", "--tag", "a", "--dry-run"},
		{"purge", "--project", "p", "--tag", "a", "--dry-run", "--json"},
		{"webhook", "test", "--config", config, "--source", "blog", "--file", delivery},
		{"webhook", "test", "--config", config, "--source", "blog", "--file", delivery, "--json"},
		{"dead", "replay", "--all", "--yes"},
	}
	walk(newRoot(&app{getenv: func(string) string { return "" }}), func(cmd *cobra.Command) {
		commands = append(commands, append(strings.Fields(cmd.CommandPath())[1:], "--help"))
	})
	for _, args := range commands {
		var stderr bytes.Buffer
		code := run(t.Context(), args, strings.NewReader(""), fullDisk{}, &stderr, func(name string) string { return env[name] })
		assert.Equal(t, exitFailed, code, "%v: %s", args, stderr.String())
		assert.Contains(t, stderr.String(), "edgepurge: write to stdout: no space left on device: the output is incomplete\n", args)
		assert.Equal(t, 1, strings.Count(stderr.String(), "no space left"), "%v: once: %s", args, stderr.String())
	}
	got := command(t, env, "version")
	assert.Equal(t, exitDone, got.code, got.stderr)
}
