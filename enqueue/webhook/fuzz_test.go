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

// readText is scanText by another road, which builds objects; twice says whether a
// key of the path stands twice in an object on the way.
func readText(body []byte, path []string) (text string, twice bool) {
	d := json.NewDecoder(bytes.NewReader(body))
	if token, _ := d.Token(); token != json.Delim('{') {
		return "", false
	}
	var value json.RawMessage
	found := 0
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return "", false
		}
		var member json.RawMessage
		if d.Decode(&member) != nil {
			return "", false
		}
		if key == path[0] {
			value = member
			found++
		}
	}
	switch {
	case found != 1:
		return "", found > 1
	case len(path) > 1:
		return readText(value, path[1:])
	}
	_ = json.Unmarshal(value, &text)
	return text, false
}

func FuzzScanText(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add([]byte(v.Body), "secret")
	}
	for _, body := range []string{
		`{"a":"1","a":"2"}`, `{"a":1,"\u0061":"2"}`, `[{"a":"b"}]`, `{"a":{"a":{"a":"1","b":1,"a":1}}}`, `{"":"1","":2}`, `{} {}`, `[[[`, `{"a"`,
		` { "b" : [ { "a" : "]}" } , -1.5e3 , true ] , "a" : "\u00e4\"" } `, `{"a":{"a":"x"},"b":{"a":"y","a":"z"}}`, `{"\ud800":"1","a":null}`,
	} {
		f.Add([]byte(body), "a")
		f.Add([]byte(body), "a.a")
	}
	f.Fuzz(func(t *testing.T, body []byte, dotted string) {
		path := strings.Split(dotted, ".")
		got, reason := scanText(body, path)
		plain := bytes.TrimPrefix(body, []byte("\ufeff"))
		if !json.Valid(plain) || checkDepth(plain, DefaultDepth) != nil {
			require.Equal(t, ReasonMalformed, reason)
			return
		}
		if strings.ContainsRune(dotted, utf8.RuneError) || !utf8.Valid(body) {
			return // a decoder writes U+FFFD for what is not UTF-8
		}
		want, twice := readText(plain, path)
		require.Equal(t, want, got)
		require.Equal(t, twice, reason == ReasonRepeated)
		require.Equal(t, want != "", reason == Verified)
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
