package webhook

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func FuzzSignatureHeader(f *testing.F) {
	for _, v := range vectors(f) {
		for _, value := range v.Headers {
			if strings.Contains(value, "v1") || strings.Contains(value, "=") {
				f.Add(value, ",", "=", "v1")
			}
		}
	}
	f.Add("v1,a v1,b  v1a,c", " ", ",", "v1")
	f.Add("sha256=a", "", "=", "sha256")
	f.Add("t=1,t=2,v1=", ",", "=", "v1")
	f.Fuzz(func(t *testing.T, header, split, pair, label string) {
		g := SignatureHeader{Header: "X", Split: split, Pair: pair, Label: []string{label}}
		if pair == "" {
			g.Label = nil
		}
		faults := &faults{}
		if g.check("f", faults); faults.err() != nil {
			return
		}
		e, reason := g.parse(header)
		if reason != Verified {
			require.Empty(t, e.signatures)
			return
		}
		require.NotEmpty(t, e.signatures)
		require.LessOrEqual(t, len(e.signatures)+len(e.params), maxEntries)
		for _, s := range e.signatures {
			require.Contains(t, header, s)
			require.Equal(t, strings.Trim(s, " \t"), s)
		}
		for name := range e.params {
			require.False(t, slices.Contains(g.Label, name), "a signature is no parameter")
			value, reason := e.param(name)
			require.Equal(t, reason == Verified, value != "")
			if pair != "" && strings.Count(header, name+pair) > 1 && e.repeated[name] {
				require.Equal(t, ReasonRepeated, reason)
			}
		}
	})
}

func FuzzTemplate(f *testing.F) {
	for _, p := range shipped(f) {
		f.Add(p.Verify[0].Signed, "body", "1795305600")
	}
	f.Add("{lb}{body}{rb}{{", "{timestamp}", "{body}")
	f.Add("{method}{uri|contentful}{headers:X-List}{param.t|json}{header.X-Id|json}{body|json}", "\xff", "1")
	f.Fuzz(func(t *testing.T, text, body, stamp string) {
		faults := &faults{}
		template := parseTemplate("f", text, true, true, faults)
		if faults.err() != nil {
			return
		}
		r := &request{Delivery: Delivery{Method: "POST", URL: "/a b?c", Header: http.Header{}, Body: []byte(body)}}
		r.Header.Set("X-Id", "id")
		r.Header.Set("X-List", "x-id")
		with := signing{entries: entries{params: map[string]string{"t": "1"}}, timestamp: stamp, stampHeader: "X-Id"}
		got, reason := template.render(r, with)
		if reason != Verified {
			return
		}
		// What was put in is never read as a template again.
		want := strings.NewReplacer("{lb}", "{", "{rb}", "}", "{body}", body, "{timestamp}", stamp, "{method}", "POST", "{uri}", "/a b?c",
			"{uri|contentful}", "/a%20b?c", "{header.X-Id}", "id", "{param.t}", "1", "{headers:X-List}", "x-id:id;x-list:x-id").Replace(text)
		if !strings.Contains(text, "|json}") && !strings.Contains(text, "{header.") && !strings.Contains(text, "{headers:") {
			require.Equal(t, want, string(got))
		}
		if stamp == "" {
			require.NotContains(t, text, "{timestamp", "what is missing fails")
		}
	})
}

// keysTwice is checkKeys by another road: what is read and written again has
// fewer members than the text has keys.
func keysTwice(body []byte) bool {
	keys := 0
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var count func()
	count = func() {
		token, err := d.Token()
		if err != nil {
			return
		}
		switch token {
		case json.Delim('{'):
			for d.More() {
				keys++
				_, _ = d.Token()
				count()
			}
			_, _ = d.Token()
		case json.Delim('['):
			for d.More() {
				count()
			}
			_, _ = d.Token()
		}
	}
	count()
	value, err := decodeJSON(body)
	if err != nil {
		return false
	}
	var members func(any) int
	members = func(v any) int {
		n := 0
		switch v := v.(type) {
		case map[string]any:
			n = len(v)
			for _, inner := range v {
				n += members(inner)
			}
		case []any:
			for _, inner := range v {
				n += members(inner)
			}
		}
		return n
	}
	return members(value) != keys
}

func FuzzCheckKeys(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add([]byte(v.Body))
	}
	for _, body := range []string{`{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `[{"a":[{"b":1}]},{"a":1}]`, `{"a":{"a":{"a":1,"b":1,"a":1}}}`, `{"":1,"":2}`, `{} {}`, `[[[`, `{"a"`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if bytes.HasPrefix(body, []byte("\ufeff")) || !json.Valid(body) || checkDepth(body, DefaultDepth) != nil {
			_, reason := strictObject(body)
			if !json.Valid(bytes.TrimPrefix(body, []byte("\ufeff"))) {
				require.NotEqual(t, Verified, reason)
			}
			return
		}
		require.Equal(t, keysTwice(body), checkKeys(body) != nil)
	})
}

func FuzzVerify(f *testing.F) {
	list := vectors(f)
	hooks := make([]*Hook, len(list))
	for i, v := range list {
		hooks[i] = compiled(f, v.source(f))
		header, _ := json.Marshal(v.Headers)
		f.Add(i, v.Method, v.URL, string(header), []byte(v.Body), int64(0))
	}
	f.Fuzz(func(t *testing.T, i int, method, url, header string, body []byte, later int64) {
		if i < 0 || i >= len(list) {
			return
		}
		headers := map[string]string{}
		if json.Unmarshal([]byte(header), &headers) != nil {
			return
		}
		v := list[i]
		d := Delivery{Method: method, URL: url, Header: http.Header{}, Body: body, Now: time.UnixMilli(v.VerifyAt).Add(time.Duration(later))}
		for name, value := range headers {
			d.Header.Add(name, value)
		}
		ok, reason := hooks[i].Verify(d)
		require.Equal(t, ok, reason == Verified)
		s, signed := hooks[i].verifiers[0].(*signatureVerifier)
		if !ok {
			return
		}
		// Nobody can make a signature here, so what passes was signed by the sender:
		// the body of a vector with this secret.
		if signed {
			known := slices.ContainsFunc(list, func(o vector) bool { return o.Body == string(body) })
			require.True(t, known, "%s passes for %q", v.ID, body)
			if s.stamp != nil {
				require.LessOrEqual(t, d.Now.Sub(time.UnixMilli(1795305600000)).Abs(), 24*time.Hour)
			}
			return
		}
		secret := string(v.Secret)
		found := strings.Contains(url, "token=") || bytes.Contains(body, []byte("secret")) || !utf8.Valid(body)
		for _, value := range d.Header {
			found = found || strings.Contains(value[0], secret) || strings.HasPrefix(strings.ToLower(value[0]), "basic ")
		}
		require.True(t, found || bytes.Contains(body, []byte(`\u`)), "%s passes without its secret", v.ID)
	})
}

func FuzzPlan(f *testing.F) {
	presets := shipped(f)
	names := sortedKeys(presets)
	hooks := make([]*Hook, len(names))
	for i, name := range names {
		hooks[i] = compiled(f, source(f, name))
	}
	for _, file := range []string{"payload_samples.json", "more_samples.json"} {
		var samples []sample
		load(f, file, &samples)
		for _, s := range samples {
			header, _ := json.Marshal(s.Headers)
			f.Add(slices.Index(names, s.Preset), string(header), []byte(s.delivery().Body))
		}
	}
	f.Fuzz(func(t *testing.T, i int, header string, body []byte) {
		if i < 0 || i >= len(hooks) {
			return
		}
		headers := map[string]string{}
		_ = json.Unmarshal([]byte(header), &headers)
		d := Delivery{Header: http.Header{}, Body: body}
		for name, value := range headers {
			d.Header.Set(name, value)
		}
		p := hooks[i].plan(t.Context(), d)
		if p.items() == 0 {
			return
		}
		for _, request := range hooks[i].purges(p) {
			require.NoError(t, request.Validate())
		}
	})
}
