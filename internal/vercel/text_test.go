package vercel

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

func TestOneLine(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "",
		" a\r\n\tb  c ":          "a b c",
		"a\x00b\x1b[31mc\x7f":    "ab[31mc",
		"a\u202Eb\u2066c\u200Bd": "abcd",  // bidi marks, zero width
		"a\u2028b\u00A0c":        "a b c", // white space all the same
		"\xff\xfe":               "\uFFFD",
		"é ü 漢字 🙂":               "é ü 漢字 🙂",
	} {
		t.Run(in, func(t *testing.T) {
			assert.Equal(t, want, oneLine(in))
		})
	}
}

func TestTruncate(t *testing.T) {
	for _, tt := range []struct {
		in   string
		most int
		want string
	}{
		{"", 5, ""}, {"12345", 5, "12345"}, {"123456", 5, "12…"}, {"ééé", 5, "é…"}, {"漢字漢字", 8, "漢…"}, {"漢字漢字", 9, "漢字…"},
	} {
		got := truncate(tt.in, tt.most)
		assert.Equal(t, tt.want, got)
		assert.LessOrEqual(t, len(got), tt.most)
	}
}

func TestPlainText_HTML(t *testing.T) {
	for in, want := range map[string]string{
		"<p>a</p><p>b</p>":                      "a b",
		"<!-- <b>no</b> -->yes":                 "yes",
		"<SCRIPT>if (a<b) {}</SCRIPT >x":        "x",
		"<style type='x'>p{}</style>x":          "x",
		"a &lt;b&gt; &amp; &#233;":              "a <b> & é",
		"cut <a href='":                         "cut",
		"<script>never closed":                  "never closed",
		"<title>504: GATEWAY_TIMEOUT</title>\n": "504: GATEWAY_TIMEOUT",
	} {
		t.Run(in, func(t *testing.T) { assert.Equal(t, want, oneLine(plainText([]byte(in), true))) })
	}
	assert.Equal(t, "1 < 2 > 0 &amp;", plainText([]byte("1 < 2 > 0 &amp;"), false), "plain text is left alone")
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "<b>x", "\xff", strings.Repeat("é", 400), "<!--", "\u202e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := truncate(oneLine(plainText([]byte(s), true)), maxMessageBytes)
		assert.LessOrEqual(t, len(got), maxMessageBytes)
		assert.True(t, utf8.ValidString(got))
		assert.False(t, strings.ContainsFunc(got, unicode.IsControl))
	})
}
