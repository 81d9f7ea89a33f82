package configs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseReference(t *testing.T) {
	for in, want := range map[string]reference{
		"env:VERCEL_TOKEN":  {variable: "VERCEL_TOKEN"},
		"env:_x9":           {variable: "_x9"},
		"file:/run/secrets": {path: "/run/secrets"},
		"file:a b":          {path: "a b"},
		"file:../t":         {path: "../t"},
	} {
		got, err := parseReference(in)
		require.NoError(t, err, in)
		assert.Equal(t, want, got, in)
	}
	for _, in := range []string{"", "env:", "env: X", "env:a-b", "env:9", "env:A B", "file:", "ENV:X", "vcp_hunter2", "env", "$X", "${hunter2}"} {
		_, err := parseReference(in)
		require.Error(t, err, in)
		assert.NotContains(t, err.Error(), "hunter2")
	}
}

// A secret's file is found beside the configuration, wherever the program runs.
func TestSecret_File(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "edgepurge.yaml")
	secret := filepath.Join(dir, "token")
	for content, want := range map[string]string{"tok": "tok", "tok\n": "tok", "tok\r\n": "tok"} {
		require.NoError(t, os.WriteFile(secret, []byte(content), 0o600))
		for _, ref := range []string{"file:token", "file:./token", "file:" + secret} {
			require.NoError(t, os.WriteFile(file, []byte("accounts:\n  - token: "+ref+"\n"), 0o600))
			cfg, err := Load(file, noEnv)
			require.NoError(t, err)
			require.NoError(t, cfg.RequireTokens())
			assert.Equal(t, want, cfg.Worker.Accounts[0].Token)
		}
	}
}

// What cannot travel in an Authorization header is refused here: the HTTP
// library would refuse it later, and not as clearly.
func TestSecret_Unusable(t *testing.T) {
	for name, token := range map[string]string{
		"space":         "hunter2 hunter2",
		"leading space": " hunter2",
		"two lines":     "hunter2\nhunter2\n",
		"two breaks":    "hunter2\n\n",
		"tab":           "hunter2\t",
		"NUL":           "hunter2\x00",
		"umlaut":        "hunter2ü",
		"not UTF-8":     "hunter2\xff",
		"DEL":           "hunter2\x7f",
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := Load("", env(map[string]string{"VERCEL_TOKEN": token}))
			require.NoError(t, err, "a command that calls nothing runs all the same")
			assert.Empty(t, cfg.Worker.Accounts[0].Token)
			err = cfg.RequireTokens()
			require.ErrorContains(t, err, "VERCEL_TOKEN: holds a space, a line break or a character beyond ASCII")
			assert.NotContains(t, err.Error(), "hunter2")
		})
	}
	cfg, err := Load("", env(map[string]string{"VERCEL_TOKEN": "\n"}))
	require.NoError(t, err)
	assert.EqualError(t, cfg.RequireTokens(), "VERCEL_TOKEN: is empty")

	cfg, err = Load("", env(map[string]string{"VERCEL_TOKEN": "tok\n"}))
	require.NoError(t, err)
	assert.Equal(t, "tok", cfg.Worker.Accounts[0].Token)
}

func TestSecret_FileTooLarge(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "edgepurge.yaml")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "big"), []byte(strings.Repeat("x", maxSecretBytes+1)), 0o600))
	require.NoError(t, os.WriteFile(file, []byte("accounts:\n  - token: file:big\n"), 0o600))
	cfg, err := Load(file, noEnv)
	require.NoError(t, err)
	assert.ErrorContains(t, cfg.RequireTokens(), "big is larger than 65536 bytes")
}

// A Redis URL holds a password, so it too may be kept elsewhere; every command
// needs it, so that it cannot be had is a fault at once.
func TestSecret_RedisURL(t *testing.T) {
	cfg := loaded(t, "redis: {url: env:REDIS_URL}", env(map[string]string{"REDIS_URL": "redis://:pw@r:6379/0\n"}))
	assert.Equal(t, "redis://:pw@r:6379/0", cfg.Redis.URL)

	_, err := Load(written(t, "redis:\n  url: file:no-such\n"), noEnv)
	require.ErrorContains(t, err, "edgepurge.yaml:2:8: redis.url: open ")
	assert.ErrorContains(t, err, "no-such")
}

func TestRequireTokens_NoFile(t *testing.T) {
	cfg, err := Load("", noEnv)
	require.NoError(t, err)
	assert.EqualError(t, cfg.RequireTokens(), "accounts[0].token: is missing: set VERCEL_TOKEN, or write env:NAME or file:PATH")

	cfg.Worker.Accounts[0].Token = "set by a command, as dev does"
	assert.NoError(t, cfg.RequireTokens())
}

func TestReadBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(path, []byte("12345"), 0o600))
	data, err := readBounded(path, 5)
	require.NoError(t, err)
	assert.Equal(t, "12345", string(data))
	_, err = readBounded(path, 4)
	require.EqualError(t, err, path+" is larger than 4 bytes")
	_, err = readBounded(path+"x", 4)
	assert.ErrorIs(t, err, fs.ErrNotExist)
}

// A pipe without a writer would keep the program from starting, and from
// ending.
func TestSecret_NoRegularFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	for _, path := range []string{pipe, dir, "/dev/zero"} {
		file := written(t, "accounts: [{name: a, token: \"file:"+path+"\"}]\n")
		done := make(chan string, 1)
		go func() {
			c, err := Load(file, func(string) string { return "" })
			done <- fmt.Sprint(err, c.RequireTokens())
		}()
		select {
		case got := <-done:
			assert.Contains(t, got, "is not a regular file")
		case <-time.After(10 * time.Second):
			require.Fail(t, "waits for a pipe", path)
		}
	}
}
