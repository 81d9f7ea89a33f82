package webhook

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// readValue is decodeJSON and checkDepth in one pass, for bodies that hold nothing
// unusual: encoding/json copies a body as it grows its buffer and looks at each byte
// twice, which for a megabyte takes ten times as long. What readValue cannot read is
// not a fault: ok is false, and decodeJSON decides.
func readValue(body []byte, depth int) (value any, ok bool) {
	if !utf8.Valid(body) {
		return nil, false // encoding/json replaces what is not UTF-8
	}
	r := valueReader{text: bytes.TrimPrefix(body, []byte("\ufeff"))}
	value, ok = r.value(min(depth, maxReadDepth))
	r.space()
	return value, ok && r.at == len(r.text)
}

// maxReadDepth bounds the recursion of readValue.
const maxReadDepth = 1000

type valueReader struct {
	text []byte
	at   int
}

func (r *valueReader) space() {
	for r.at < len(r.text) && strings.IndexByte(jsonSpace, r.text[r.at]) >= 0 {
		r.at++
	}
}

// next reports whether c follows, and if so goes past it.
func (r *valueReader) next(c byte) bool {
	r.space()
	if r.at == len(r.text) || r.text[r.at] != c {
		return false
	}
	r.at++
	return true
}

// value reads a value that holds at most depth nested ones.
func (r *valueReader) value(depth int) (any, bool) {
	r.space()
	if r.at == len(r.text) {
		return nil, false
	}
	switch c := r.text[r.at]; {
	case c == '"':
		return r.string()
	case c == '{' && depth > 0:
		return r.object(depth - 1)
	case c == '[' && depth > 0:
		return r.array(depth - 1)
	case c == '-', '0' <= c && c <= '9':
		return r.number()
	case r.word("true"):
		return true, true
	case r.word("false"):
		return false, true
	case r.word("null"):
		return nil, true
	}
	return nil, false
}

func (r *valueReader) word(word string) bool {
	if !bytes.HasPrefix(r.text[r.at:], []byte(word)) {
		return false
	}
	r.at += len(word)
	return true
}

func (r *valueReader) object(depth int) (any, bool) {
	r.at++
	members := map[string]any{}
	if r.next('}') {
		return members, true
	}
	for {
		r.space()
		if r.at == len(r.text) || r.text[r.at] != '"' {
			return nil, false
		}
		key, ok := r.string()
		if !ok || !r.next(':') {
			return nil, false
		}
		if members[key], ok = r.value(depth); !ok {
			return nil, false
		}
		if r.next('}') {
			return members, true
		}
		if !r.next(',') {
			return nil, false
		}
	}
}

func (r *valueReader) array(depth int) (any, bool) {
	r.at++
	elements := []any{}
	if r.next(']') {
		return elements, true
	}
	for {
		element, ok := r.value(depth)
		if !ok {
			return nil, false
		}
		elements = append(elements, element)
		if r.next(']') {
			return elements, true
		}
		if !r.next(',') {
			return nil, false
		}
	}
}

// string reads a text from its opening quote on.
func (r *valueReader) string() (string, bool) {
	start, escaped := r.at, false
	for i := start + 1; i < len(r.text); i++ {
		switch c := r.text[i]; {
		case c == '"':
			r.at = i + 1
			if !escaped {
				return string(r.text[start+1 : i]), true
			}
			var text string
			return text, json.Unmarshal(r.text[start:r.at], &text) == nil
		case c == '\\':
			escaped = true
			i++
		case c < ' ':
			return "", false
		}
	}
	return "", false
}

// number reads a number by the grammar of JSON, and keeps its digits.
func (r *valueReader) number() (any, bool) {
	start := r.at
	if r.text[r.at] == '-' {
		r.at++
	}
	if whole := r.at; r.digits() == 0 || r.text[whole] == '0' && r.at > whole+1 {
		return nil, false
	}
	if r.at < len(r.text) && r.text[r.at] == '.' {
		r.at++
		if r.digits() == 0 {
			return nil, false
		}
	}
	if r.at < len(r.text) && r.text[r.at]|' ' == 'e' {
		r.at++
		if r.at < len(r.text) && (r.text[r.at] == '+' || r.text[r.at] == '-') {
			r.at++
		}
		if r.digits() == 0 {
			return nil, false
		}
	}
	return json.Number(r.text[start:r.at]), true
}

// digits goes past digits and returns how many there were.
func (r *valueReader) digits() int {
	start := r.at
	for r.at < len(r.text) && '0' <= r.text[r.at] && r.text[r.at] <= '9' {
		r.at++
	}
	return r.at - start
}
