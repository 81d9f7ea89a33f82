package vercel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
)

// accepted tells by the body of a 2xx whether the API has accepted the call: an
// empty body, or a JSON object without an error. A proxy's page, a captive portal
// or an error under 200 is none of that. broke is why the body ended early, or nil.
// A JSON object says itself where it ends, so one that came whole counts whatever
// broke afterwards; of anything less it is not known what it would have said.
func (c *Client) accepted(resp *http.Response, body []byte, broke error) error {
	body = bytes.TrimSpace(body)
	var object map[string]json.RawMessage
	switch {
	case len(body) == 0:
		return broke
	case json.Unmarshal(body, &object) == nil && object != nil:
		if !holdsError(object) {
			return nil
		}
	case broke != nil:
		return broke
	}
	text := plainText(body, isHTML(resp.Header.Get("Content-Type"), body))
	if e := parseEnvelope(body); e.found {
		text = e.code + " " + e.message
	}
	return fmt.Errorf("answered %d, but not as Vercel accepts a call; look for a proxy in between, and at vercel.url: %q",
		resp.StatusCode, c.text(text, maxMessageBytes))
}

// holdsError reports whether an object names an error, as Vercel's envelope does. A
// null is none.
func holdsError(object map[string]json.RawMessage) bool {
	for _, key := range []string{"error", "err"} {
		if raw, ok := object[key]; ok && string(raw) != "null" {
			return true
		}
	}
	return false
}
