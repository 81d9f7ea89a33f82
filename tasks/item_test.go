package tasks_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/tasks"
)

func TestCheckItem(t *testing.T) {
	t.Parallel()
	const ok = ""
	both := []tasks.Kind{tasks.Tag, tasks.SrcImage}
	tag := []tasks.Kind{tasks.Tag}
	image := []tasks.Kind{tasks.SrcImage}
	for _, test := range []struct {
		name  string
		kinds []tasks.Kind
		item  string
		want  string // part of the error
	}{
		{"ordinary", both, "post-1", ok},
		{"path", both, "/img/a.png", ok},
		{"one byte", both, "a", ok},
		{"inner space", both, "summer sale", ok},
		{"inner no-break space", both, "a\u00a0b", ok},
		{"inner line separator is no control character", both, "a\u2028b", ok},
		{"case", both, "Post-1", ok},
		{"percent-encoded", both, "caf%C3%A9", ok},
		{"not ASCII", both, "café/日本語/🎉", ok},
		{"the replacement character itself", both, "a\ufffdb", ok},
		{"quotes and angles", both, `<a href="x">&'\`, ok},
		{"every item of a project", both, "*", ok}, // whether it is wanted is for the request to say

		{"empty", both, "", "is empty"},
		{"comma in a tag", tag, "a,b", "comma"},
		{"only a comma", tag, ",", "comma"},
		{"comma in an image", image, "/_next/image?w=1,2", ok},

		{"longest tag", tag, strings.Repeat("a", 256), ok},
		{"tag too long", tag, strings.Repeat("a", 257), "is 257 bytes long, the limit is 256"},
		{"longest tag in bytes", tag, strings.Repeat("é", 128), ok},
		{"256 characters in 257 bytes", tag, strings.Repeat("a", 255) + "é", "is 257 bytes long"},
		{"129 characters in 258 bytes", tag, strings.Repeat("é", 129), "is 258 bytes long"},
		{"64 characters of 4 bytes", tag, strings.Repeat("🎉", 64), ok},
		{"64 characters of 4 bytes and one more", tag, strings.Repeat("🎉", 64) + "a", "is 257 bytes long"},
		{"image longer than a tag", image, strings.Repeat("a", 257), ok},
		{"longest image", image, strings.Repeat("a", 8192), ok},
		{"image too long", image, strings.Repeat("a", 8193), "is 8193 bytes long, the limit is 8192"},
		{"longest image in bytes", image, strings.Repeat("é", 4096), ok},
		{"image too long in bytes", image, strings.Repeat("é", 4096) + "a", "is 8193 bytes long"},

		{"NUL", both, "a\x00b", "control character"},
		{"inner tab", both, "a\tb", "control character"},
		{"inner newline", both, "a\nb", "control character"},
		{"trailing newline", both, "a\n", "control character"},
		{"escape", both, "a\x1bb", "control character"},
		{"delete", both, "a\x7fb", "control character"},
		{"next line U+0085", both, "a\u0085b", "control character"},
		{"last C1 control U+009F", both, "a\u009fb", "control character"},

		{"leading space", both, " a", "white space"},
		{"trailing space", both, "a ", "white space"},
		{"only a space", both, " ", "white space"},
		{"leading no-break space U+00A0", both, "\u00a0a", "white space"},
		{"trailing no-break space U+00A0", both, "a\u00a0", "white space"},
		{"trailing ideographic space U+3000", both, "a\u3000", "white space"},
		{"trailing line separator U+2028", both, "a\u2028", "white space"},

		{"stray continuation byte", both, "a\x80", "not valid UTF-8"},
		{"cut in a character", both, "caf\xc3", "not valid UTF-8"},
		{"overlong slash", both, "\xc0\xaf", "not valid UTF-8"},
		{"surrogate", both, "\xed\xa0\x80", "not valid UTF-8"},

		{"no kind", []tasks.Kind{""}, "a", `kind "" is unknown`},
		{"unknown kind", []tasks.Kind{"url"}, "a", `kind "url" is unknown: use "tag" or "src-image"`},
	} {
		for _, kind := range test.kinds {
			t.Run(test.name+"/"+string(kind), func(t *testing.T) {
				t.Parallel()
				err := tasks.CheckItem(kind, test.item)
				if test.want == ok {
					assert.NoError(t, err)
					return
				}
				assert.ErrorContains(t, err, test.want)
			})
		}
	}
}

// A refused item may be megabytes of anything; the message goes to logs and
// HTTP answers.
func TestCheckItem_MessageIsShortAndText(t *testing.T) {
	t.Parallel()
	for _, item := range []string{
		strings.Repeat("a", 1<<20),
		strings.Repeat("日", 1<<18),
		strings.Repeat("\x80", 1<<20),
		strings.Repeat("a", 62) + "日" + strings.Repeat("b", 1<<20), // the cut falls into a character
		strings.Repeat("a,", 128),
	} {
		err := tasks.CheckItem(tasks.Tag, item)
		require.Error(t, err)
		assert.Less(t, len(err.Error()), 400)
		assert.True(t, utf8.ValidString(err.Error()), "%q", err.Error())
	}
}

func FuzzCheckItem(f *testing.F) {
	for _, item := range []string{
		"post-1", "", "*", "a,b", " a", "a\u00a0", "a\u0085b", "\xff",
		strings.Repeat("é", 128), strings.Repeat("a", 257), strings.Repeat("a", 8193),
	} {
		f.Add(item)
	}
	f.Fuzz(func(t *testing.T, item string) {
		tagErr, imageErr := tasks.CheckItem(tasks.Tag, item), tasks.CheckItem(tasks.SrcImage, item)
		if tagErr == nil && imageErr != nil {
			t.Fatalf("%q passes as a tag and not as an image: %v", item, imageErr)
		}
		if imageErr == nil && tagErr != nil && len(item) <= tasks.MaxTagBytes && !strings.Contains(item, ",") {
			t.Fatalf("%q passes as an image and not as a tag: %v", item, tagErr)
		}
		if imageErr != nil {
			return
		}
		// What passes reaches Vercel as it was written: through JSON, through
		// the comma-separated form, and through whoever trims on the way.
		p := tasks.Purge{ID: "1", Project: "p", Operation: tasks.Delete, SrcImages: []string{item}}
		if tagErr == nil {
			p.Tags, p.AllowAll = []string{item}, true
			if parts := strings.Split(item, ","); len(parts) != 1 || strings.TrimSpace(item) != item {
				t.Fatalf("%q changes in the string form", item)
			}
		}
		data, err := p.Encode()
		require.NoError(t, err)
		got, err := tasks.DecodePurge(data)
		require.NoError(t, err)
		require.Equal(t, p.Tags, got.Tags)
		require.Equal(t, p.SrcImages, got.SrcImages)
	})
}
