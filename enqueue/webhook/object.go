package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
)

var errDepth = errors.New("the JSON is nested too deeply")

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
