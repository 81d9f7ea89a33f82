// Package loglines looks at JSON log lines for tests. It does not write any.
package loglines

import (
	"bytes"
	"encoding/json"
)

// RepeatedKey returns the first key that a JSON object has twice at its top level,
// for most readers keep only the last value; "" if there is none, or if the line is
// no JSON object.
func RepeatedKey(line []byte) string {
	d := json.NewDecoder(bytes.NewReader(line))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return ""
	}
	seen := map[string]bool{}
	for d.More() {
		key, err := d.Token()
		name, ok := key.(string)
		if err != nil || !ok {
			return ""
		}
		if seen[name] {
			return name
		}
		seen[name] = true
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return ""
		}
	}
	return ""
}
