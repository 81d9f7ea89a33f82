package main

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redisacl"
	"github.com/edgepurge/edgepurge/internal/redistest"
)

func TestReport_RedisInfo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		look   func(*report, map[string]string)
		info   string
		level  level
		detail string
	}{
		"new enough":      {(*report).version, "redis_version:6.2.0\r\n", fine, "6.2.0"},
		"much newer":      {(*report).version, "redis_version:10.0.1\r\n", fine, "10.0.1"},
		"too old":         {(*report).version, "redis_version:6.0.16\r\n", broken, "6.2 or newer is needed"},
		"much too old":    {(*report).version, "redis_version:5.9.0\r\n", broken, "too old"},
		"says no version": {(*report).version, "", doubtful, "could not look"},

		"a replica": {(*report).role, "role:slave\r\n", broken, "name the primary"},

		"keeps everything": {(*report).memory, "maxmemory_policy:noeviction\r\nmaxmemory:0\r\nused_memory:9\r\n", fine, "noeviction"},
		"evicts":           {(*report).memory, "maxmemory_policy:allkeys-lru\r\n", doubtful, "set it to noeviction"},
		"nearly full":      {(*report).memory, "maxmemory_policy:noeviction\r\nmaxmemory:100\r\nused_memory:71\r\n", doubtful, "71% of maxmemory"},
		"half full":        {(*report).memory, "maxmemory_policy:noeviction\r\nmaxmemory:100\r\nused_memory:50\r\n", fine, "noeviction"},
		"says no policy":   {(*report).memory, "", doubtful, "could not look"},

		"persists":            {(*report).persistence, "aof_enabled:1\r\n", fine, "appendonly yes"},
		"does not persist":    {(*report).persistence, "aof_enabled:0\r\n", doubtful, "set appendonly yes"},
		"says nothing of AOF": {(*report).persistence, "", doubtful, "could not look"},
	} {
		var r report
		c.look(&r, parseInfo(c.info))
		if assert.Len(t, r.findings, 1, name) {
			assert.Equal(t, c.level, r.findings[0].Level, name)
			assert.Contains(t, r.findings[0].Detail, c.detail, name)
			assert.Equal(t, c.level == broken, r.failed, name)
		}
	}
	var r report
	r.role(parseInfo("role:master\r\n"))
	assert.Empty(t, r.findings)
}

// An embedded Redis does not say much: that is doubtful, and no failure.
func TestCheck_Miniredis(t *testing.T) {
	t.Parallel()
	_, mini := redistest.Mini(t)
	got := command(t, map[string]string{"EDGEPURGE_REDIS_URL": "redis://" + mini.Addr(), "VERCEL_TOKEN": "t"}, "check", "--offline")
	assert.Equal(t, exitDone, got.code, got.stdout)
	assert.Contains(t, got.stdout, "ok    redis scripts: Lua works\n")
	assert.Contains(t, got.stdout, "could not look")
	assert.NotContains(t, got.stdout, "FAIL")
}

// A user who lacks a right learns which, and where to get it.
func TestCheck_RedisRights(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	rdb := s.Client(t)
	rules := redisacl.Operator.Rules()
	for user, rights := range map[string][]string{
		"all":  rules,
		"some": slices.DeleteFunc(slices.Clone(rules), func(rule string) bool { return rule == "+hvals" || rule == "+lrem" }),
	} {
		args := []any{"ACL", "SETUSER", user, "on", ">pw"}
		for _, rule := range rights {
			args = append(args, rule)
		}
		require.NoError(t, rdb.Do(t.Context(), args...).Err())
	}
	check := func(user string) string {
		url := strings.Replace(s.URL(), "redis://", "redis://"+user+":pw@", 1)
		return command(t, map[string]string{"EDGEPURGE_REDIS_URL": url, "VERCEL_TOKEN": "t"}, "check", "--offline").stdout
	}
	assert.NotContains(t, check("all"), "redis rights")
	got := check("some")
	assert.Contains(t, got, "warn  redis rights: the user lacks")
	assert.Contains(t, got, "+hvals")
	assert.Contains(t, got, "+lrem")
	assert.NotContains(t, got, "+lpush")
}

// A managed Redis that keeps a command from scripts will not do: the check says so beforehand.
func TestCheck_CommandsOfScripts(t *testing.T) {
	t.Parallel()
	check := func(url string) result {
		return command(t, map[string]string{"EDGEPURGE_REDIS_URL": url, "VERCEL_TOKEN": "t"}, "check", "--offline")
	}
	got := check(redistest.Start(t, "--rename-command", "ZRANGEBYSCORE", "").URL())
	assert.Equal(t, exitFailed, got.code)
	assert.Contains(t, got.stdout, "FAIL  redis commands: scripts cannot run ZRANGEBYSCORE: ERR")
	s := redistest.Start(t, "--rename-command", "MEMORY", "") // which nothing needs
	got = check(s.URL())
	assert.Equal(t, exitDone, got.code, got.stdout)
	assert.Contains(t, got.stdout, "ok    redis commands: scripts may run all that edgepurge and asynq use\n")
	assert.Contains(t, got.stdout, "ok    redis pub/sub: messages arrive\n")
	left, err := s.Client(t).Keys(t.Context(), "*").Result()
	require.NoError(t, err)
	assert.Empty(t, left, "it changes nothing")
}

// What Vercel's trouble says of a token: nothing.
func TestCheck_VercelTrouble(t *testing.T) {
	t.Parallel()
	_, mini := redistest.Mini(t)
	vercel := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	t.Cleanup(vercel.Close)
	got := command(t, map[string]string{
		"EDGEPURGE_REDIS_URL": "redis://" + mini.Addr(), "VERCEL_TOKEN": "t", "EDGEPURGE_VERCEL_URL": vercel.URL,
	}, "check")
	assert.Equal(t, exitDone, got.code, got.stdout)
	assert.Contains(t, got.stdout, "warn  token of default: could not be looked at: vercel answered 502")
}
