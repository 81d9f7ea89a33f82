package webhook

import (
	"strings"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// javascriptString returns s as JSON.stringify writes it, which signatures are
// made over. Unlike encoding/json, JavaScript leaves <, >, & and U+2028/9 alone.
// Text that is not UTF-8 was not signed by JavaScript and fails.
func javascriptString(s string) (string, bool) {
	if !utf8.ValidString(s) {
		return "", false
	}
	var b strings.Builder
	b.Grow(len(s) + len(s)/8 + 2)
	b.WriteByte('"')
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c >= ' ':
			b.WriteByte(c)
		default:
			if i := strings.IndexByte("\b\t\n\f\r", c); i >= 0 {
				b.WriteByte('\\')
				b.WriteByte("btnfr"[i])
			} else {
				b.WriteString(`\u00`)
				b.WriteByte(hexDigits[c>>4])
				b.WriteByte(hexDigits[c&15])
			}
		}
	}
	b.WriteByte('"')
	return b.String(), true
}

// contentfulURI returns a request's target as Contentful's toolkit spells it
// before it signs: encodeURI(path + "?" + querystring.escape(query)). What is
// percent-encoded already is encoded again, and a second "?" ends the query.
func contentfulURI(uri string) (string, bool) {
	if !utf8.ValidString(uri) {
		return "", false
	}
	path, rest, _ := strings.Cut(uri, "?")
	query, _, _ := strings.Cut(rest, "?")
	if query != "" {
		path += "?" + percentEncode(query, "-_.!~*'()")
	}
	return percentEncode(path, "-_.!~*'();,/?:@&=+$#"), true
}

// percentEncode encodes every byte but ASCII letters, digits and those in keep.
func percentEncode(s, keep string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte(keep, c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteString(strings.ToUpper(string([]byte{hexDigits[c>>4], hexDigits[c&15]})))
		}
	}
	return b.String()
}
