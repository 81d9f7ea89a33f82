package main

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
)

// A Redis that cannot save refuses writes, and PING too: status shows all the same
// what waits, and the error of a purge does not speak of passwords.
func TestStatus_RedisRefusesWrites(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := redistest.Start(t, "--dir", dir, "--save", "3600 1000000")
	rdb := server.Client(t)
	edgepurge := func(args ...string) (string, error) {
		command := exec.Command("edgepurge", args...)
		command.Env = append(os.Environ(), "EDGEPURGE_REDIS_URL="+server.URL())
		out, err := command.CombinedOutput()
		return string(out), err
	}
	out, err := edgepurge("purge", "--project", "p", "--tag", "a")
	require.NoError(t, err, out)

	letters(t, rdb, 1)

	require.NoError(t, os.RemoveAll(dir))
	require.NoError(t, rdb.BgSave(t.Context()).Err())
	require.Eventually(t, func() bool { return rdb.Ping(t.Context()).Err() != nil }, 10*time.Second, 20*time.Millisecond)
	require.ErrorContains(t, rdb.Ping(t.Context()).Err(), "MISCONF")

	for _, command := range [][]string{{"status"}, {"hold", "list"}, {"dead", "list"}, {"dead", "list", "--json"}, {"dead", "show", "01L00"}} {
		out, err = edgepurge(command...)
		require.NoError(t, err, "%v: %s", command, out)
		if command[0] == "dead" {
			assert.Contains(t, out, "01L00", command)
		}
	}
	out, err = edgepurge("purge", "--project", "p", "--tag", "b")
	require.Error(t, err)
	assert.Contains(t, out, "MISCONF")
	assert.NotContains(t, out, "password")
}
