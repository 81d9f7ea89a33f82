package configs

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"path"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/enqueue/webhook"
	"github.com/edgepurge/edgepurge/internal/pages"
)

// readerEnv has what a reader would have set: secrets of the forms that their senders give out.
func readerEnv(name string) string {
	switch name {
	case "EDGEPURGE_CONFIG", "EDGEPURGE_LISTEN", "EDGEPURGE_METRICS", "EDGEPURGE_REDIS_URL", "EDGEPURGE_VERCEL_URL", "EDGEPURGE_VERCEL_ALLOW_HTTP",
		"VERCEL_TEAM_ID", "VERCEL_PROJECT_ID", "EDGEPURGE_LOG":
		return ""
	case "CONTENTSTACK_SIGNING_KEY":
		return signingKey()
	case "CRAFT_SECRET", "SVIX_SECRET":
		return "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	case "PARTNER_PUBLIC_KEY":
		return "whpk_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	default:
		return "user:password-of-some-length"
	}
}

// signingKey is a public key of the form that Contentstack publishes.
var signingKey = sync.OnceValue(func() string {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&key.PublicKey)}))
})

// hooksOf loads a snippet as people copy it, and compiles its sources as a gateway would.
func hooksOf(t *testing.T, snippet, where string) (Config, []*webhook.Hook) {
	t.Helper()
	cfg, err := Load(written(t, snippet), readerEnv)
	require.NoError(t, err, where)
	require.NoError(t, cfg.RequireGateway(), where)
	hooks, err := cfg.Gateway.Hooks()
	require.NoError(t, err, where)
	assert.Equal(t, strings.Contains(snippet, "gateway:"), !cfg.Gateway.Empty(), where)
	return cfg, hooks
}

func docs(t *testing.T) []pages.Page {
	t.Helper()
	all, err := pages.Read("..")
	require.NoError(t, err)
	return all
}

// What people copy from README.md and docs/ loads, and a gateway can serve it.
func TestDocs_SnippetsLoad(t *testing.T) {
	t.Parallel()
	loads, not := 0, 0
	for _, p := range docs(t) {
		for _, b := range p.Blocks {
			if b.Language != "yaml" {
				continue
			}
			if reason, marked := strings.CutPrefix(b.Mark, "not loaded: "); marked {
				assert.Greater(t, len(reason), 10, "%s:%d", p.Path, b.Line)
				not++
				continue
			}
			hooksOf(t, b.Text, fmt.Sprintf("%s:%d", p.Path, b.Line))
			loads++
		}
	}
	assert.Greater(t, loads, 25)
	t.Logf("%d snippets load, %d are marked as not loaded", loads, not)
}

// purges writes what a delivery would do as the recipes do: the operation and the items.
func purges(e webhook.Explanation) string {
	switch {
	case e.Problem != "":
		return e.Problem
	case len(e.Tags)+len(e.SrcImages) == 0:
		return "nothing"
	default:
		return strings.Join(append(append([]string{string(e.Operation)}, e.Tags...), e.SrcImages...), "\n")
	}
}

// delivery reads a block of language http: the first line, headers, an empty line, the body.
func delivery(t *testing.T, text string) (hook string, d webhook.Delivery) {
	t.Helper()
	head, body, ok := strings.Cut(text, "\n\n")
	require.True(t, ok, "an empty line stands before the body: %s", text)
	lines := strings.Split(head, "\n")
	words := strings.Fields(lines[0])
	require.Len(t, words, 3, lines[0])
	d = webhook.Delivery{Method: words[0], URL: words[1], Header: http.Header{}, Body: bytes.TrimSpace([]byte(body)), Now: time.Now()}
	for _, line := range lines[1:] {
		name, value, ok := strings.Cut(line, ": ")
		require.True(t, ok, line)
		d.Header.Set(name, value)
	}
	target, _, _ := strings.Cut(words[1], "?")
	return path.Base(target), d
}

// promised is a tag that a recipe promises: `product:<id>`.
var promised = regexp.MustCompile("`([a-z][a-z-]*:)<[^`]*>`")

// Each recipe shows deliveries, as blocks of language http, and below each what it
// purges. That is so; and whatever tag the page promises, one of them makes.
func TestRecipes(t *testing.T) {
	t.Parallel()
	cooked := map[string]string{} // preset → recipe
	for _, p := range docs(t) {
		if path.Dir(p.Path) != "docs/recipes" {
			continue
		}
		t.Run(path.Base(p.Path), func(t *testing.T) {
			hooks, tried := map[string]*webhook.Hook{}, map[string]bool{}
			made := ""
			for i, b := range p.Blocks {
				switch b.Language {
				case "yaml":
					cfg, compiled := hooksOf(t, b.Text, p.Path)
					for j, h := range compiled {
						s := cfg.Gateway.Sources[j]
						hooks[s.Name] = h
						cooked[s.Preset.Name] = p.Path
					}
				case "http":
					name, d := delivery(t, b.Text)
					require.Contains(t, hooks, name, "line %d: no source above it has that name", b.Line)
					require.Less(t, i+1, len(p.Blocks))
					below := p.Blocks[i+1]
					require.Equal(t, "text", below.Language, "line %d: what it purges stands below", b.Line)
					e := hooks[name].Explain(t.Context(), d)
					assert.Equal(t, strings.TrimSpace(below.Text), purges(e), "line %d", b.Line)
					tried[name] = true
					made += below.Text
				}
			}
			for name := range hooks {
				assert.True(t, tried[name], "the recipe shows no delivery to %s", name)
			}
			for _, m := range promised.FindAllStringSubmatch(p.Text, -1) {
				assert.Contains(t, "\n"+made, "\n"+m[1], "the recipe promises such tags and shows none")
			}
		})
	}
	presets, err := webhook.ParsePresets("presets.yaml", Presets())
	require.NoError(t, err)
	for name := range presets {
		assert.Contains(t, cooked, name, "docs/recipes has no recipe with it")
	}
}
