package webhook

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const (
	maxReasonBytes = 1000
	// minHiddenBytes is the least secret that is looked for: a shorter one is a part
	// of ordinary words.
	minHiddenBytes = 6
)

// forms are the spellings in which a delivery could hold a secret, the longest
// first: as it is, within JSON, in a URL, in base64.
type forms []string

// formsOf returns the spellings of all secrets, of a user:password its password too.
func formsOf(secrets []Secret) forms {
	var list forms
	add := func(s string) {
		if len(s) < minHiddenBytes {
			return
		}
		quoted, _ := json.Marshal(s) // a string always marshals
		plain := string(quoted[1 : len(quoted)-1])
		list = append(list, s, plain, htmlPlain.Replace(plain), strings.ReplaceAll(plain, "/", `\/`), url.QueryEscape(s),
			base64.StdEncoding.EncodeToString([]byte(s)), base64.RawURLEncoding.EncodeToString([]byte(s)))
	}
	for _, secret := range secrets {
		add(string(secret))
		if _, password, ok := strings.Cut(string(secret), ":"); ok {
			add(password)
		}
	}
	slices.SortFunc(list, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(list)
}

// htmlPlain undoes what json.Marshal escapes for HTML and other programs do not.
var htmlPlain = strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&")

// hide replaces every spelling in a text.
func (f forms) hide(text string) string {
	for _, form := range f {
		text = strings.ReplaceAll(text, form, hidden)
	}
	return text
}

// mayBeIn reports whether a body of JSON could hold a spelling: one of them stands
// in it, or an escape that could spell anything, or the slash of one (PHP writes "\/").
func (f forms) mayBeIn(body []byte) bool {
	return bytes.Contains(body, []byte(`\u`)) ||
		bytes.Contains(body, []byte(`\/`)) && slices.ContainsFunc(f, func(form string) bool { return strings.Contains(form, "/") }) ||
		slices.ContainsFunc(f, func(form string) bool { return bytes.Contains(body, []byte(form)) })
}

// hideIn replaces every spelling in the keys and texts of a decoded body, and
// reports whether there was any.
func (f forms) hideIn(value any) (any, bool) {
	changed := false
	switch value := value.(type) {
	case string:
		shown := f.hide(value)
		return shown, shown != value
	case []any:
		for i, v := range value {
			var c bool
			value[i], c = f.hideIn(v)
			changed = changed || c
		}
	case map[string]any:
		for k, v := range value {
			shown, c := f.hideIn(v)
			if key := f.hide(k); key != k {
				delete(value, k)
				k, c = key, true
			}
			if c {
				value[k], changed = shown, true
			}
		}
	}
	return value, changed
}

// conceal takes the secrets out of a decoded body: what stands where a verifier
// looks for one, and every copy elsewhere. It reports whether there was any.
func (h *Hook) conceal(raw []byte, value any) (any, bool) {
	changed := false
	for _, l := range h.bodySecret {
		changed = hideAt(value, l.path) || changed
	}
	if h.forms.mayBeIn(raw) {
		var c bool
		value, c = h.forms.hideIn(value)
		changed = changed || c
	}
	return value, changed
}

// hideAt replaces the value at a path and reports whether there was one.
func hideAt(body any, path []string) bool {
	object, ok := body.(map[string]any)
	if !ok {
		return false
	}
	if _, ok := object[path[0]]; !ok {
		return false
	}
	if len(path) == 1 {
		object[path[0]] = hidden
		return true
	}
	return hideAt(object[path[0]], path[1:])
}

// redact makes a text fit for logs and dead letters: bounded, and without the
// secrets, in case a message quotes what it stumbled over.
func (h *Hook) redact(text string) string { return clip(h.forms.hide(text), maxReasonBytes) }

// redactBody returns the body as a dead letter may show it: as it came, unless it
// holds a secret.
func (h *Hook) redactBody(body []byte) []byte {
	if len(h.bodySecret) == 0 && !h.forms.mayBeIn(body) {
		return body
	}
	value, err := decodeJSON(body)
	if err != nil {
		return []byte(h.forms.hide(string(body)))
	}
	value, changed := h.conceal(body, value)
	if !changed {
		return body
	}
	shown, err := json.Marshal(value)
	if err != nil {
		return nil // cannot happen: it came from JSON
	}
	return shown
}

// redactHeader returns the headers without credentials: neither those that are for
// them nor any that holds a secret, such as a token in another header than the one
// in which it is looked for.
func (h *Hook) redactHeader(header http.Header) http.Header {
	kept := http.Header{}
	for name, values := range header {
		if !h.credential(name) && !slices.ContainsFunc(values, h.holdsSecret) {
			kept[name] = values
		}
	}
	return kept
}

// holdsSecret reports whether a text holds a spelling of a secret.
func (h *Hook) holdsSecret(text string) bool { return h.forms.hide(text) != text }
