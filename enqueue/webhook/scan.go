package webhook

import (
	"bytes"
	"encoding/json"
)

// scanText returns the text at a path in a body that is one JSON object. It
// builds nothing but that text: it is asked before the delivery is proved, when
// the body may be anything. A key of the path that stands twice in its object is
// refused, however it is escaped, for parsers differ in which they take.
func scanText(body []byte, path []string) (string, Reason) {
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	if checkDepth(body, DefaultDepth) != nil || !json.Valid(body) {
		return "", ReasonMalformed
	}
	value := bytes.Trim(body, jsonSpace)
	for _, key := range path {
		var reason Reason
		if value, reason = member(value, key); reason != Verified {
			return "", reason
		}
	}
	var text string
	if value[0] != '"' || json.Unmarshal(value, &text) != nil || text == "" {
		return "", ReasonMissing
	}
	return text, Verified
}

const jsonSpace = " \t\r\n"

// member returns the value of a key in an object, both of valid JSON without
// space around them.
func member(object []byte, key string) ([]byte, Reason) {
	if object[0] != '{' {
		return nil, ReasonMissing
	}
	var found []byte
	for rest := skipSpace(object[1:]); rest[0] != '}'; {
		name := rest[:valueEnd(rest)]
		rest = skipSpace(rest[len(name):])
		rest = skipSpace(rest[1:]) // the colon
		value := rest[:valueEnd(rest)]
		rest = skipSpace(rest[len(value):])
		if rest[0] == ',' {
			rest = skipSpace(rest[1:])
		}
		if !isKey(name, key) {
			continue
		}
		if found != nil {
			return nil, ReasonRepeated
		}
		found = value
	}
	if found == nil {
		return nil, ReasonMissing
	}
	return found, Verified
}

// isKey reports whether a key, in quotes and as it is escaped, is this one.
func isKey(quoted []byte, key string) bool {
	if len(quoted) == len(key)+2 && string(quoted[1:len(quoted)-1]) == key {
		return true
	}
	const longestEscape = 6 // \u0061, for a character of one byte
	if bytes.IndexByte(quoted, '\\') < 0 || len(quoted) > longestEscape*len(key)+2 {
		return false
	}
	var text string
	return json.Unmarshal(quoted, &text) == nil && text == key
}

func skipSpace(json []byte) []byte { return bytes.TrimLeft(json, jsonSpace) }

// valueEnd returns where the value ends with which valid JSON begins.
func valueEnd(json []byte) int {
	depth, inString := 0, false
	for i := 0; i < len(json); i++ {
		c := json[i]
		switch {
		case inString && c == '\\':
			i++
			continue
		case c == '"':
			inString = !inString
		case inString:
			continue
		case c == '{', c == '[':
			depth++
		case c == '}', c == ']':
			if depth == 0 {
				return i // of what holds the value: it is a number or a word
			}
			depth--
		case depth == 0 && (c == ',' || c == ':' || c <= ' '):
			return i
		default:
			continue
		}
		if depth == 0 && !inString {
			return i + 1
		}
	}
	return len(json)
}
