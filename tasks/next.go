package tasks

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// EncodeNext returns a tag as Next.js writes it on a page and asks for its purge,
// since May 2026 (vercel/next.js#93601, encodeHeaderSafe): whatever a header
// cannot carry is percent-encoded, all else stays, "%" too. So a tag that is
// encoded already stays as it is. One that is not valid UTF-8 stays too, and
// CheckItem refuses it.
func EncodeNext(tag string) string {
	if isHeaderSafe(tag) || !utf8.ValidString(tag) {
		return tag
	}
	var b strings.Builder
	for _, c := range []byte(tag) {
		if headerSafe(c) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func headerSafe(c byte) bool { return c == '\t' || ' ' <= c && c <= '~' }

func isHeaderSafe(tag string) bool {
	for i := range len(tag) {
		if !headerSafe(tag[i]) {
			return false
		}
	}
	return true
}

// NextWarning says which tags Next.js would write in another way, so that purging
// them as they are may purge nothing; option is what to set against it, such as
// "encode: next". Empty: there is nothing to say.
func NextWarning(tags []string, option string) string {
	count, long, first := 0, 0, ""
	for _, tag := range tags {
		encoded := EncodeNext(tag)
		if encoded == tag {
			continue
		}
		if count++; count == 1 {
			first = tag
		}
		if len(encoded) > MaxTagBytes {
			long++
		}
	}
	if count == 0 {
		return ""
	}
	warning := fmt.Sprintf("%d of the tags beyond ASCII, %q first: Next.js writes it as %q, and purging it as it is may purge nothing. Set %s, or take ids",
		count, abbreviate(first), abbreviate(EncodeNext(first)), option)
	if long > 0 {
		warning += fmt.Sprintf("; %d longer than %d bytes when encoded, which no page can carry", long, MaxTagBytes)
	}
	return warning
}
