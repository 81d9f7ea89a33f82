package configs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzLoad feeds whole files: none panics, none shows a secret, and what is let
// through is what a worker would take.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(files, "edgepurge.yaml") {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	f.Add("accounts: [{token: env:SECRET}]\nredis: {url: env:SECRET}\n")
	f.Add("accounts:\n  - name: env:SECRET\n    token: env:REDIS\n")
	const marker = "zq7marker7qz"
	getenv := env(map[string]string{
		"SECRET": marker, "VERCEL_TOKEN": marker, "REDIS": "redis://u:" + marker + "@h:1/0",
		"EDGEPURGE_REDIS_URL": "redis://u:" + marker + "@h:1/0?x=" + marker,
	})
	f.Fuzz(func(t *testing.T, data string) {
		if len(data) > 4096 || strings.Contains(data, marker) || strings.Contains(data, "file:") {
			t.Skip("big, given away, or a file that might block")
		}
		cfg, err := build("fuzz.yaml", []byte(data), getenv)
		shown := fmt.Sprintf("%v %+v %#v %v", cfg, cfg, &cfg, cfg.RequireTokens())
		if err != nil {
			shown += err.Error()
		} else if invalid := cfg.Worker.Validate(); invalid != nil && cfg.RequireTokens() == nil {
			t.Errorf("let through: %v", invalid)
		}
		if strings.Contains(shown, marker) {
			t.Errorf("a secret shows: %s", shown)
		}
	})
}

// FuzzToken feeds what people may write where a token belongs, the token itself
// among it.
func FuzzToken(f *testing.F) {
	const marker = "zq7marker7qz"
	for _, s := range []string{
		marker, `"` + marker + `"`, "env: " + marker, "{env: " + marker + "}", "[" + marker + "]", "|\n      " + marker,
		"!" + marker + " x", "&" + marker + " x", "*" + marker, "12 " + marker, "'" + marker, "file:", "@" + marker, marker + ": x",
		"!!int " + marker, "%" + marker, "- " + marker, "? " + marker, "\t" + marker,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		// A name after env: and a path after file: are shown, and a new line is no
		// longer where a token belongs.
		if len(s) > 256 || strings.ContainsAny(s, "\r\n\\") || strings.Contains(s, "env:"+marker[:1]) || strings.Contains(s, "file:") {
			t.Skip()
		}
		cfg, err := build("fuzz.yaml", []byte("accounts:\n  - name: acme\n    token: "+s+"\n"), noEnv)
		shown := fmt.Sprintf("%v %v %v", cfg, err, cfg.RequireTokens())
		if strings.Contains(shown, marker) {
			t.Errorf("a secret shows: %s", shown)
		}
	})
}
