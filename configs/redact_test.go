package configs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const secret = "hunter2"

func secretive(t *testing.T) Config {
	t.Helper()
	cfg, err := Load("", env(map[string]string{
		"VERCEL_TOKEN":         secret,
		"EDGEPURGE_REDIS_URL":  "rediss://user:" + secret + "@redis.example:6380/1?password=" + secret,
		"EDGEPURGE_VERCEL_URL": "https://me:" + secret + "@proxy.example",
	}))
	require.NoError(t, err)
	return cfg
}

func TestConfig_NeverShowsSecrets(t *testing.T) {
	cfg := secretive(t)
	shown := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T %v"} {
		shown["config "+verb] = fmt.Sprintf(verb, cfg)
		shown["pointer "+verb] = fmt.Sprintf(verb, &cfg)
		shown["redis "+verb] = fmt.Sprintf(verb, cfg.Redis)
		shown["within "+verb] = fmt.Sprintf(verb, struct{ C Config }{cfg})
		shown["redacted worker "+verb] = fmt.Sprintf(verb, cfg.Redacted().Worker)
	}
	for name, v := range map[string]any{"config": cfg, "pointer": &cfg, "redis": cfg.Redis, "within": []Config{cfg}} {
		data, err := json.Marshal(v)
		require.NoError(t, err)
		shown["JSON "+name] = string(data)
		data, err = yaml.Marshal(v)
		require.NoError(t, err)
		shown["YAML "+name] = string(data)
		var text, jsonl bytes.Buffer
		slog.New(slog.NewTextHandler(&text, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&jsonl, nil)).Info("x", "v", v)
		shown["slog text "+name], shown["slog JSON "+name] = text.String(), jsonl.String()
	}
	for how, s := range shown {
		assert.NotContains(t, s, secret, how)
		assert.NotContains(t, s, fmt.Sprintf("%x", secret), how)
	}
	assert.Contains(t, cfg.String(), hidden)
	assert.Contains(t, cfg.String(), "redis.example:6380", "the rest stays readable")
}

func TestConfig_RedactedIsACopy(t *testing.T) {
	cfg := secretive(t)
	_ = cfg.Redacted()
	assert.Equal(t, secret, cfg.Worker.Accounts[0].Token)
	assert.Contains(t, cfg.Redis.URL, secret)

	cfg, err := Load("", noEnv)
	require.NoError(t, err)
	assert.Empty(t, cfg.Redacted().Worker.Accounts[0].Token, "a token that is missing is seen to be missing")
}

func TestRedactURL(t *testing.T) {
	for in, want := range map[string]string{
		"":                                     "",
		"redis://127.0.0.1:6379/0":             "redis://127.0.0.1:6379/0",
		"redis://:pw@h:1/0":                    "redis://REDACTED@h:1/0",
		"redis://pw@h":                         "redis://REDACTED@h",
		"redis://u:p@w@h/0":                    "redis://REDACTED@h/0",
		"redis://u:p/w@h/0":                    "redis://REDACTED@h/0",
		"redis://u:p?w#x@h/0":                  "redis://REDACTED@h/0",
		"redis://h/0?password=pw":              "redis://h/0?REDACTED",
		"redis://h/0#pw":                       "redis://h/0#REDACTED",
		"redis+sentinel://:pw@a:1,b:2/m/0":     "redis+sentinel://REDACTED@a:1,b:2/m/0",
		"redis+cluster://:pw@a:1,b:2?x=y@z#pw": "redis+cluster://REDACTED@z#REDACTED",
		"user:pw@h:6379":                       "REDACTED@h:6379",
		"localhost:6379":                       "localhost:6379",
	} {
		assert.Equal(t, want, redactURL(in), in)
		assert.Equal(t, want, redactURL(redactURL(in)), in)
	}
}
