package webhook

import (
	"encoding/json"
	"net/http"
	"strings"
)

const maxReasonBytes = 1000

// redact makes a text fit for logs and dead letters: bounded, and without the
// secrets, in case a message quotes what it stumbled over.
func (h *Hook) redact(text string) string {
	for _, secret := range h.secrets {
		s := string(secret)
		quoted, _ := json.Marshal(s)
		for _, form := range []string{s, strings.Trim(string(quoted), `"`)} {
			text = strings.ReplaceAll(text, form, hidden)
		}
	}
	return clip(text, maxReasonBytes)
}

// redactBody returns the body as a dead letter may show it. Only where the
// secret stands in the body is it changed; such a body is not signed.
func (h *Hook) redactBody(body []byte) []byte {
	if len(h.bodySecret) == 0 {
		return body
	}
	value, err := decodeJSON(body)
	if err != nil {
		text := string(body)
		for _, secret := range h.secrets {
			text = strings.ReplaceAll(text, string(secret), hidden)
		}
		return []byte(text)
	}
	for _, l := range h.bodySecret {
		hide(value, l.path)
	}
	changed, err := json.Marshal(value)
	if err != nil {
		return nil // cannot happen: it came from JSON
	}
	return changed
}

// redactHeader returns the headers without credentials.
func (h *Hook) redactHeader(header http.Header) http.Header {
	kept := http.Header{}
	for name, values := range header {
		if !h.credential(name) {
			kept[name] = values
		}
	}
	return kept
}
