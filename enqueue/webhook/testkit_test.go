package webhook

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shipped returns the presets that edgepurge comes with.
func shipped(tb testing.TB) map[string]Preset {
	tb.Helper()
	presets, err := parseShipped()
	require.NoError(tb, err)
	return presets
}

var parseShipped = sync.OnceValues(func() (map[string]Preset, error) {
	const path = "../../configs/presets.yaml"
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return ParsePresets(path, data)
})

// source returns a source of a shipped preset, with a secret that fits it.
func source(tb testing.TB, preset string, changes ...func(*Source)) Source {
	tb.Helper()
	p, ok := shipped(tb)[preset]
	require.True(tb, ok, preset)
	s := Source{Name: "blog", Preset: p, Secrets: []Secret{fitting(tb, p)}, Projects: []string{"prj_abc"}}
	s.Limits.MappingTime = 500 * time.Millisecond // under the race detector, on a busy machine
	for _, change := range changes {
		change(&s)
	}
	return s
}

// fitting returns a secret that the preset's verifier can use.
func fitting(tb testing.TB, p Preset) Secret {
	tb.Helper()
	v := p.Verify[0]
	switch {
	case v.Kind == KindBasic:
		return "dato:p@ss:word"
	case v.Algorithm == RSAPSSSHA256:
		for _, v := range vectors(tb) {
			if v.Preset == "contentstack-rsa" {
				return v.Secret
			}
		}
	case v.Key.Encoding == EncodingBase64:
		return Secret(v.Key.StripPrefix + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
	}
	return "hush-hush-0123456789"
}

func compiled(tb testing.TB, s Source) *Hook {
	tb.Helper()
	h, err := Compile(s)
	require.NoError(tb, err)
	return h
}

// vector is a delivery with its verdict, most of them signed by the senders' own libraries.
type vector struct {
	ID       string            `json:"id"`
	Preset   string            `json:"preset"`
	Variant  string            `json:"variant"`
	Secret   Secret            `json:"secret"`
	Method   string            `json:"method"`
	URL      string            `json:"url"`
	Headers  map[string]string `json:"headers"`
	Body     string            `json:"body"`
	VerifyAt int64             `json:"verify_at"`
	Expect   string            `json:"expect"`
}

func (v vector) delivery() Delivery {
	d := Delivery{Method: v.Method, URL: v.URL, Header: http.Header{}, Body: []byte(v.Body), Now: time.UnixMilli(v.VerifyAt)}
	for name, value := range v.Headers {
		d.Header.Set(name, value)
	}
	return d
}

// source is the vector's preset under our name, with what its own differs in.
func (v vector) source(tb testing.TB) Source {
	tb.Helper()
	name := v.Preset
	if ours, ok := map[string]string{
		"contentstack-hmac": "contentstack", "contentstack-rsa": "contentstack-certificate", "stripe": "stripe-like",
		"datocms-basic": "datocms-cache-tags", "bearer": "strapi", "query-token": "agility", "shared-header": "datocms-cache-tags",
		"standard-webhooks-raw": "standard-webhooks", "svix-raw": "svix", "ghost-legacy": "ghost",
	}[name]; ok {
		name = ours
	}
	s := source(tb, name)
	s.Secrets = []Secret{v.Secret}
	switch own := append([]Verifier(nil), s.Preset.Verify...); v.Preset {
	case "standard-webhooks-raw", "svix-raw":
		own[0].Key = Key{Encoding: EncodingText}
		s.Override.Verify = own
	case "ghost-legacy":
		own[0].Signed, own[0].Timestamp = "{body}", nil
		s.Override.Verify = own
	case "shared-header":
		s.Override.Verify = []Verifier{{Kind: KindToken, From: "header.Webhook-Token"}}
	case "contentful":
		if v.Variant == "stale-timestamp" || v.Variant == "future-timestamp" {
			s.Tolerance = 30 * time.Second // the vendor's, which these vectors assume
		}
	}
	return s
}

func vectors(tb testing.TB) []vector {
	tb.Helper()
	list, err := parseVectors()
	require.NoError(tb, err)
	require.Greater(tb, len(list), 100)
	return list
}

var parseVectors = sync.OnceValues(func() (list []vector, err error) {
	data, err := os.ReadFile(filepath.Join("testdata", "vectors.json"))
	if err != nil {
		return nil, err
	}
	return list, json.Unmarshal(data, &list)
})

func vectorNamed(tb testing.TB, id string) vector {
	tb.Helper()
	for _, v := range vectors(tb) {
		if v.ID == id {
			return v
		}
	}
	require.Fail(tb, "no such vector", id)
	return vector{}
}

func load(tb testing.TB, name string, into any) {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(tb, err)
	require.NoError(tb, json.Unmarshal(data, into))
}
