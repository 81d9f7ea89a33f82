package configs

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/enqueue/webhook"
	"github.com/edgepurge/edgepurge/tasks"
)

// sentByPHP is a request that the recipe's lines send.
type sentByPHP struct {
	Doing   string            `json:"doing"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

func playWordPress(t *testing.T, lines string) []sentByPHP {
	t.Helper()
	php, err := exec.LookPath("php")
	if err != nil {
		t.Skip("php is not installed")
	}
	file := filepath.Join(t.TempDir(), "edgepurge.php")
	require.NoError(t, os.WriteFile(file, []byte(lines), 0o600))
	out, err := exec.CommandContext(t.Context(), php, "-d", "display_errors=stderr", "testdata/wordpress/site.php", file).CombinedOutput()
	require.NoError(t, err, "%s", out)
	var sent []sentByPHP
	scanner := bufio.NewScanner(bytes.NewReader(out))
	for scanner.Scan() {
		var s sentByPHP
		require.NoError(t, json.Unmarshal(scanner.Bytes(), &s), "%s", scanner.Text())
		sent = append(sent, s)
	}
	require.NoError(t, scanner.Err())
	return sent
}

// The lines that the recipe gives for WordPress purge what is published and what
// is taken down, by whatever way, and nothing that no visitor sees.
func TestDocs_WordPressLines(t *testing.T) {
	t.Parallel()
	tried := 0
	for _, p := range docs(t) {
		for _, b := range p.Blocks {
			if b.Language != "php" {
				continue
			}
			tried++
			got := map[string]string{}
			for _, s := range playWordPress(t, b.Text) {
				hook, err := webhook.Compile(webhook.Source{
					Name: "posts", Preset: bearerPreset(t), Secrets: []Secret{"token-of-some-length"}, Projects: []string{"prj_abc"},
				})
				require.NoError(t, err)
				d := webhook.Delivery{Method: http.MethodPost, URL: s.URL, Header: http.Header{}, Body: []byte(s.Body), Now: time.Now()}
				for name, value := range s.Headers {
					d.Header.Set(name, value)
				}
				e := hook.Explain(t.Context(), d)
				assert.True(t, e.Verified, "%s: %s", s.Doing, e.Reason)
				assert.Equal(t, webhook.Queued, e.Outcome, "%s: %s", s.Doing, e.Problem)
				assert.NotContains(t, got, s.Doing, "once is enough")
				got[s.Doing] = string(e.Operation) + " " + strings.Join(e.Tags, " ")
			}
			want := map[string]string{}
			for id, doing := range map[int]string{4: "published", 5: "published on time", 6: "changed"} {
				want[doing] = fmt.Sprintf("%s post-%d post-list", tasks.Invalidate, id)
			}
			for id, doing := range map[int]string{7: "taken back", 8: "made private", 9: "put into the trash", 12: "deleted without the trash"} {
				want[doing] = fmt.Sprintf("%s post-%d post-list", tasks.Delete, id)
			}
			assert.Equal(t, want, got, "%s:%d", p.Path, b.Line)
		}
	}
	assert.Positive(t, tried, "no page has such lines")
}

func bearerPreset(t *testing.T) webhook.Preset {
	t.Helper()
	presets, err := webhook.ParsePresets("presets.yaml", Presets())
	require.NoError(t, err)
	return presets["bearer"]
}
