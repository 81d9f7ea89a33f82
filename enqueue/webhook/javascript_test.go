package webhook

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pair is a text and what Node.js makes of it.
type pair struct{ In, Out string }

// golden is testdata/javascript.json: JSON.stringify(s), and the URI function of
// Contentful's toolkit, encodeURI(path + "?" + querystring.escape(query)).
type golden struct {
	All     string `json:"all_sha256"` // of JSON.stringify of every character below U+10000, and three above
	Strings []pair `json:"strings"`
	URIs    []pair `json:"uris"`
}

func TestJavascriptString(t *testing.T) {
	t.Parallel()
	var g golden
	load(t, "javascript.json", &g)
	for _, p := range g.Strings {
		got, ok := javascriptString(p.In)
		assert.True(t, ok)
		assert.Equal(t, p.Out, got)
	}
	var all strings.Builder
	for r := range rune(0x10000) {
		if utf8.ValidRune(r) {
			all.WriteRune(r)
		}
	}
	got, ok := javascriptString(all.String() + "😀\U00010000\U0010FFFF")
	assert.True(t, ok)
	assert.Equal(t, g.All, sum([]byte(got)))
	_, ok = javascriptString("a\xff")
	assert.False(t, ok, "JavaScript cannot have signed it")
}

func TestContentfulURI(t *testing.T) {
	t.Parallel()
	var g golden
	load(t, "javascript.json", &g)
	for _, p := range g.URIs {
		got, ok := contentfulURI(p.In)
		assert.True(t, ok)
		assert.Equal(t, p.Out, got, "%q", p.In)
	}
}

// JavaScript differs from encoding/json in two characters only.
func FuzzJavascriptString(f *testing.F) {
	for _, s := range []string{"", `"\/`, "<>&\u2028\u2029\\u2028", "\x00\x1f\x7f\b\f\n\r\t", "é😀", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := javascriptString(s)
		require.Equal(t, utf8.ValidString(s), ok)
		if !ok {
			return
		}
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		// Each half is written by encoding/json alone, so nothing has to be unescaped.
		var want strings.Builder
		want.WriteByte('"')
		for rest := s; ; {
			i := strings.IndexAny(rest, "\u2028\u2029")
			part := rest
			if i >= 0 {
				part = rest[:i]
			}
			b.Reset()
			require.NoError(t, e.Encode(part))
			want.Write(b.Bytes()[1 : b.Len()-2])
			if i < 0 {
				break
			}
			want.WriteString(rest[i : i+3])
			rest = rest[i+3:]
		}
		want.WriteByte('"')
		require.Equal(t, want.String(), got)
	})
}

func FuzzContentfulURI(f *testing.F) {
	for _, s := range []string{"/a?b=c", "/%20", "/é?ü", "?", "/a b?c d?e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := contentfulURI(s)
		if !ok {
			return
		}
		decoded, err := url.PathUnescape(got)
		require.NoError(t, err)
		path, query, _ := strings.Cut(decoded, "?")
		wantPath, rest, _ := strings.Cut(s, "?")
		wantQuery, _, _ := strings.Cut(rest, "?")
		require.Equal(t, wantPath, path)
		query, err = url.PathUnescape(query) // it was encoded twice
		require.NoError(t, err)
		require.Equal(t, wantQuery, query)
	})
}
