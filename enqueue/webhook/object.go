package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

var (
	errTwice = errors.New("a key stands twice in the JSON")
	errDepth = errors.New("the JSON is nested too deeply")
)

// strictObject returns a body that is one JSON object without repeated keys.
func strictObject(body []byte) (map[string]any, Reason) {
	if err := checkDepth(body, DefaultDepth); err != nil {
		return nil, ReasonMalformed
	}
	switch err := checkKeys(body); {
	case errors.Is(err, errTwice):
		return nil, ReasonRepeated
	case err != nil:
		return nil, ReasonMalformed
	}
	value, err := decodeJSON(body)
	if err != nil {
		return nil, ReasonMalformed
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, ReasonMissing
	}
	return object, Verified
}

// decodeJSON reads one JSON value; its numbers keep all their digits. A byte
// order mark, which some .NET senders write, is skipped.
func decodeJSON(body []byte) (any, error) {
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, err
	}
	if rest := body[d.InputOffset():]; len(bytes.Trim(rest, " \t\r\n")) > 0 {
		return nil, errors.New("there is more after the JSON value")
	}
	return value, nil
}

// checkKeys returns errTwice if an object anywhere in the body has a key twice,
// however it is escaped.
func checkKeys(body []byte) error {
	d := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(body, []byte("\ufeff"))))
	d.UseNumber()
	type level struct {
		keys  map[string]bool // nil in an array
		isKey bool            // the next token is a key, or ends the object
	}
	var stack []level
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if n := len(stack); n > 0 && stack[n-1].isKey && token != json.Delim('}') {
			key, _ := token.(string)
			if stack[n-1].keys[key] {
				return errTwice
			}
			stack[n-1].keys[key], stack[n-1].isKey = true, false
			continue
		}
		switch token {
		case json.Delim('{'):
			stack = append(stack, level{map[string]bool{}, true})
			continue
		case json.Delim('['):
			stack = append(stack, level{})
			continue
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:len(stack)-1]
		}
		if n := len(stack); n > 0 && stack[n-1].keys != nil { // a value has ended
			stack[n-1].isKey = true
		}
	}
}

// checkDepth returns errDepth if brackets outside of strings are nested deeper
// than most. It looks before anything is built from the body.
func checkDepth(body []byte, most int) error {
	depth, inString := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > most {
				return errDepth
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}
