package configs

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Every file in testdata/bad is refused, in the words of the .txt beside it.
// Lines "# env NAME=value" at its head are its environment.
func TestLoad_Bad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 20)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			cfg, err := Load(file, headEnv(t, file))
			if err == nil {
				err = errors.Join(cfg.RequireTokens(), cfg.RequireGateway())
			}
			require.Error(t, err)
			got := err.Error() + "\n"
			require.NotContains(t, got, "hunter2", "a secret shows in the message")
			require.NotContains(t, got, "8372648236482364", "a secret shows in the message")

			golden := strings.TrimSuffix(file, ".yaml") + ".txt"
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err, "run go test -update, and read what it wrote")
			require.Equal(t, string(want), got)
		})
	}
}

func headEnv(t *testing.T, file string) func(string) string {
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	vars := map[string]string{}
	for line := range strings.Lines(string(data)) {
		setting, ok := strings.CutPrefix(line, "# env ")
		if !ok {
			continue
		}
		name, v, _ := strings.Cut(strings.TrimSpace(setting), "=")
		vars[name] = v
	}
	return env(vars)
}

// A golden file without its configuration would be a promise that nothing tests.
func TestLoad_BadGoldens(t *testing.T) {
	goldens, err := filepath.Glob("testdata/bad/*.txt")
	require.NoError(t, err)
	for _, golden := range goldens {
		require.FileExists(t, strings.TrimSuffix(golden, ".txt")+".yaml")
	}
}

func env(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}
