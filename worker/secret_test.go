package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
)

// The token of an account is in no log line, error, metric or key of Redis,
// even if the far side repeats it.
func TestToken_NeverLeaks(t *testing.T) {
	t.Parallel()
	echo := func(status int) *reply {
		return &reply{
			status: status,
			header: map[string]string{"X-Vercel-Id": "fra1::" + testToken, "Location": "/" + testToken},
			body:   fmt.Sprintf(`{"error":{"code":%q,"message":"Bearer %s is not welcome"}}`, testToken, testToken),
		}
	}
	for _, c := range []struct {
		name    string
		answer  func(call) *reply
		verdict string
		letters int
	}{
		{"200", func(call) *reply { return echo(200) }, "retry", 1},
		{"302", func(call) *reply { return echo(302) }, "hold_account", 1},
		{"400", func(call) *reply { return echo(400) }, "dead", 1},
		{"401", func(call) *reply { return echo(401) }, "hold_account", 1},
		{"403", func(call) *reply { return echo(403) }, "hold_project", 1},
		{"404", func(call) *reply { return echo(404) }, "hold_project", 1},
		{"429", func(call) *reply { return echo(429) }, "wait", 0},
		{"503", func(call) *reply { return echo(503) }, "retry", 1},
		{"connection broken", func(call) *reply { panic(http.ErrAbortHandler) }, "retry", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rdb, _ := redistest.Mini(t)
			api := newAPI(t, emulator.Config{}, c.answer)
			config := testConfig(api.URL)
			config.Accounts[0].Retry.MaxAttempts = 2
			l := newLab(t, config, rdb).start()
			l.request(tasks.Purge{Tags: []string{"x"}})
			eventually(t, func() bool {
				_, quiet := l.quiet()
				return quiet && l.metric("edgepurge_calls_total", "verdict", c.verdict) > 0 && len(letters(t, rdb)) == c.letters
			}, "the call and its letter")
			l.stop()
			for _, letter := range letters(t, rdb) {
				assert.NotContains(t, letter.LastErr, testToken)
			}
			assert.NotContains(t, l.logs.String(), testToken)
			assert.NotContains(t, dump(t, rdb), testToken)
			families, err := l.reg.Gather()
			require.NoError(t, err)
			assert.NotContains(t, fmt.Sprint(families), testToken)
			assert.True(t, l.logs.has(`"verdict":"`+c.verdict+`"`), "the test looks at something")
			if c.letters > 0 {
				assert.Contains(t, dump(t, rdb), `"x"`)
			}
		})
	}
}

// dump is all that Redis holds, as text.
func dump(t *testing.T, rdb redis.UniversalClient) string {
	t.Helper()
	ctx := context.Background()
	keys, err := rdb.Keys(ctx, "*").Result()
	require.NoError(t, err)
	var b strings.Builder
	for _, key := range keys {
		kind, err := rdb.Type(ctx, key).Result()
		require.NoError(t, err)
		var value any
		switch kind {
		case "string":
			value, err = rdb.Get(ctx, key).Result()
		case "hash":
			value, err = rdb.HGetAll(ctx, key).Result()
		case "zset":
			value, err = rdb.ZRangeWithScores(ctx, key, 0, -1).Result()
		case "set":
			value, err = rdb.SMembers(ctx, key).Result()
		case "list":
			value, err = rdb.LRange(ctx, key, 0, -1).Result()
		default:
			t.Fatalf("key %s is a %s", key, kind)
		}
		require.NoError(t, err)
		_, _ = fmt.Fprintf(&b, "%s %v\n", key, value)
	}
	return b.String()
}

func TestToken_IsNotPrinted(t *testing.T) {
	c := valid()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		for _, value := range []any{c, &c, c.Accounts, c.Accounts[0], &c.Accounts[0]} {
			assert.NotContains(t, fmt.Sprintf(verb, value), testToken, "%s of %T", verb, value)
		}
	}
	text, err := json.Marshal(c)
	require.NoError(t, err)
	assert.NotContains(t, string(text), testToken)
	assert.NotContains(t, fmt.Sprintf("%+v", accountsOf(t, c)["default"].client), testToken)
}

func TestToken_IsNotInAnError(t *testing.T) {
	for _, c := range []string{"with space " + testToken, testToken + "\n"} {
		config := valid()
		config.Accounts[0].Token = c
		_, err := New(config, Options{})
		require.Error(t, err)
		assert.NotContains(t, err.Error(), testToken)
	}
	rdb, _ := redistest.Mini(t)
	config := testConfig(nowhere)
	config.Timeout = time.Second
	l := newLab(t, config, rdb)
	err := l.attempt(callNamed("b", "x"))
	require.Error(t, err)
	assert.NotContains(t, err.Error(), testToken)
	assert.NotContains(t, fmt.Sprintf("%#v", err), testToken)
}
