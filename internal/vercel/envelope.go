package vercel

import (
	"encoding/json"
	"strconv"
)

// envelope is Vercel's error body: {"error":{"code","message",…}}, with the key
// "err" on some endpoints. Fields of an unexpected type are passed over, so
// that one odd field does not cost the rest.
type envelope struct {
	found         bool
	code, message string
	invalidToken  bool
	missingToken  bool
	limit         bodyLimit
}

// bodyLimit is the limit object of a 429, each number as it is written in the
// JSON; empty: absent.
type bodyLimit struct{ total, remaining, reset, resetMs string }

func parseEnvelope(body []byte) envelope {
	var outer map[string]json.RawMessage
	if json.Unmarshal(body, &outer) != nil {
		return envelope{}
	}
	for _, key := range []string{"error", "err"} {
		raw, ok := outer[key]
		if !ok {
			continue
		}
		var inner map[string]json.RawMessage
		if json.Unmarshal(raw, &inner) == nil && inner != nil {
			return readEnvelope(inner)
		}
		if text := scalar(raw); text != "" {
			return envelope{found: true, message: text, code: scalar(outer["code"])}
		}
	}
	if _, ok := outer["message"]; ok { // a gateway's bare {"message":"…"}
		return readEnvelope(outer)
	}
	return envelope{}
}

func readEnvelope(fields map[string]json.RawMessage) envelope {
	e := envelope{found: true, code: scalar(fields["code"]), message: scalar(fields["message"])}
	_ = json.Unmarshal(fields["invalidToken"], &e.invalidToken)
	_ = json.Unmarshal(fields["missingToken"], &e.missingToken)
	var limit map[string]json.RawMessage
	if json.Unmarshal(fields["limit"], &limit) == nil {
		e.limit = bodyLimit{
			total: scalar(limit["total"]), remaining: scalar(limit["remaining"]),
			reset: scalar(limit["reset"]), resetMs: scalar(limit["resetMs"]),
		}
	}
	return e
}

// scalar returns a JSON string or number as text, anything else as "".
func scalar(raw json.RawMessage) string {
	if len(raw) == 0 {
		return ""
	}
	if raw[0] == '"' {
		s, err := unquote(raw)
		if err != nil {
			return ""
		}
		return s
	}
	if _, err := strconv.ParseFloat(string(raw), 64); err != nil {
		return ""
	}
	return string(raw)
}

func unquote(raw json.RawMessage) (s string, err error) {
	err = json.Unmarshal(raw, &s)
	return s, err
}
