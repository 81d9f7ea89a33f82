package tasks

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// What Next.js 16's own encodeHeaderSafe makes of them.
func TestEncodeNext(t *testing.T) {
	t.Parallel()
	for tag, want := range map[string]string{
		"post-1":              "post-1",
		"über-uns":            "%C3%BCber-uns",
		"a b,c/[d]%\\\"^{|}~": "a b,c/[d]%\\\"^{|}~",
		"%C3%BCber":           "%C3%BCber",
		"100%ü":               "100%%C3%BC",
		"日本":                  "%E6%97%A5%E6%9C%AC",
		"🎉":                   "%F0%9F%8E%89",
		"tab\there":           "tab\there",
		"line\nbreak\x7f":     "line%0Abreak%7F",
		"non\u00a0breaking":   "non%C2%A0breaking",
		"not UTF-8 \xff":      "not UTF-8 \xff",
		"":                    "",
	} {
		assert.Equal(t, want, EncodeNext(tag), tag)
		assert.Equal(t, EncodeNext(tag), EncodeNext(EncodeNext(tag)), tag)
	}
}

func TestNextWarning(t *testing.T) {
	t.Parallel()
	assert.Empty(t, NextWarning([]string{"a", "%C3%BC", "b c"}, "encode: next"))
	assert.Empty(t, NextWarning(nil, "encode: next"))
	warning := NextWarning([]string{"a", "über", "äöü"}, "encode: next")
	assert.Contains(t, warning, `2 of the tags beyond ASCII, "über" first: Next.js writes it as "%C3%BCber"`)
	assert.Contains(t, warning, "encode: next")
	assert.NotContains(t, warning, "longer")
	assert.Contains(t, NextWarning([]string{strings.Repeat("ü", 100)}, "x"), "1 longer than 256 bytes when encoded")
}

// Vercel's side is JavaScript: what its trim takes away makes another tag of it.
func TestCheckItem_SpaceAsJavaScriptTrims(t *testing.T) {
	t.Parallel()
	for _, space := range "\u0020\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff" {
		for _, item := range []string{string(space) + "*", "*" + string(space), string(space)} {
			assert.ErrorContains(t, CheckItem(Tag, item), "begins or ends with white space", "%q", item)
			assert.Error(t, CheckItem(SrcImage, item), "%q", item)
		}
		assert.NoError(t, CheckItem(Tag, "a"+string(space)+"b"), "%q", space)
	}
	assert.NoError(t, CheckItem(Tag, "\u200b*"), "no space to JavaScript either")
}
