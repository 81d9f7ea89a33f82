package redisacl

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
)

func TestTry(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		for range 2 {
			refused, err := Try(t.Context(), rdb, "a")
			require.NoError(t, err)
			assert.Empty(t, refused)
		}
		left, err := rdb.Keys(t.Context(), "*").Result()
		require.NoError(t, err)
		assert.Empty(t, left)
	})
}

// A command that Redis does not have, or keeps from this user, is named.
func TestTry_Refused(t *testing.T) {
	s := redistest.Start(t, "--rename-command", "ZMSCORE", "", "--rename-command", "LREM", "")
	refused, err := Try(t.Context(), s.Client(t), "a")
	require.NoError(t, err)
	assert.Len(t, refused, 2)
	assert.Contains(t, strings.ToLower(refused["zmscore"]), "unknown redis command")
	assert.Contains(t, refused, "lrem")

	refused, err = Try(t.Context(), as(t, s, []string{"~edgepurge:*", "+@all", "-hset"}), "a")
	require.NoError(t, err)
	assert.True(t, RefusedText(refused["hset"]), refused["hset"])
	assert.False(t, RefusedText(refused["lrem"]), refused["lrem"])
	_, err = Try(t.Context(), as(t, s, []string{"+hello", "+ping"}), "a")
	require.ErrorContains(t, err, "NOPERM")
}

// Whatever a script of ours calls is tried.
func TestCommands_HoldWhatScriptsCall(t *testing.T) {
	called := regexp.MustCompile(`redis\.p?call\(\s*['"]([A-Za-z]+)['"]`)
	found := 0
	require.NoError(t, filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".lua" {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range called.FindAllStringSubmatch(string(text), -1) {
			found++
			assert.True(t, slices.Contains(Commands(), strings.ToLower(m[1])), "%s calls %s", path, m[1])
		}
		return err
	}))
	assert.Greater(t, found, 50)
}
