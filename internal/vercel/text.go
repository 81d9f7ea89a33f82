package vercel

import (
	"html"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// htmlNoise is what a browser would not show: comments, scripts, styles, tags.
// The last alternative takes a tag that the read bound cut off.
var htmlNoise = regexp.MustCompile(`(?is)<!--.*?-->|<script\b.*?</script\s*>|<style\b.*?</style\s*>|<[^>]*(?:>|$)`)

// plainText is the readable text of a body that is no JSON envelope, such as
// the HTML page of a 5xx from the edge. It is not yet bounded or on one line.
func plainText(body []byte, isHTML bool) string {
	text := string(body)
	if isHTML {
		text = html.UnescapeString(htmlNoise.ReplaceAllString(text, " "))
	}
	return text
}

// oneLine turns every run of white space into one space and removes control
// characters and all else that does not print, such as marks that reverse the
// direction of a terminal's text.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "\uFFFD")), " ")
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}

// truncate cuts s to at most most bytes between two characters, the ellipsis
// that marks the cut included.
func truncate(s string, most int) string {
	const mark = "…"
	if len(s) <= most {
		return s
	}
	cut := most - len(mark)
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + mark
}
