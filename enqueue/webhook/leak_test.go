package webhook

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// No secret stands in an answer, the log, a dead letter, an explanation or an
// error, whatever the delivery and the mapping do.
func TestNoSecretLeaks(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		for _, mapping := range []string{"", `error(.)`, `error($h | tojson)`, `(., $h) | tojson | ("x", .[:200], error(.))`, `.secret?, $h.authorization?, $h["webhook-token"]?`} {
			s := v.source(t)
			s.LogOnly = true
			if mapping != "" {
				s.Override.Tags, s.Override.Accept = mapping, "true"
			}
			d := newDesk(t, &memory{}, s)
			r := httptest.NewRequest(v.Method, v.URL, strings.NewReader(v.Body))
			r.URL.Path = "/hooks/blog"
			for name, value := range v.Headers {
				r.Header.Set(name, value)
			}
			w := d.serve(r)
			explained, err := json.Marshal(d.hooks["blog"].Explain(t.Context(), v.delivery()))
			require.NoError(t, err)
			letters, err := json.Marshal(d.letters)
			require.NoError(t, err)
			bodies := ""
			for _, l := range d.letters {
				bodies += string(l.Body)
			}
			shown := fmt.Sprint(w.Header(), w.Body, d.log.String(), d.purges, d.letters, string(explained), string(letters), bodies)
			for _, secret := range []string{string(v.Secret), "p@ss:word", "Bearer ", base64Of([]byte(v.Secret))} {
				assert.NotContains(t, shown, secret, "%s %s", v.ID, mapping)
			}
		}
	}
}

func TestSecretsHideThemselves(t *testing.T) {
	t.Parallel()
	s := plainSource()
	for _, shown := range []string{
		printed(s), printed(s.Secrets), printed(s.Secrets[0]), printed(compiled(t, s)), s.Secrets[0].String(),
	} {
		assert.NotContains(t, shown, token)
		assert.NotContains(t, shown, fmt.Sprintf("%x", token))
	}
	data, err := json.Marshal(s)
	require.NoError(t, err)
	assert.NotContains(t, string(data), token)
	assert.Equal(t, "webhook plain", fmt.Sprint(compiled(t, s)))
}

// printed is what all verbs of fmt make of a value.
func printed(v any) string {
	var b strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&b, verb+"\n", v)
	}
	return b.String()
}

// The faults of a source tell which secret is wrong, not what it is.
func TestCompile_FaultsHideSecrets(t *testing.T) {
	t.Parallel()
	for _, preset := range []string{"standard-webhooks", "standard-webhooks-asymmetric", "contentstack-certificate", "datocms-cache-tags"} {
		_, err := Compile(source(t, preset, func(s *Source) { s.Secrets = []Secret{"hunter2 hunter2", " hunter2"} }))
		require.ErrorContains(t, err, "secrets[0]: is not ")
		require.ErrorContains(t, err, "secrets[1]: is not ")
		assert.NotContains(t, err.Error(), "hunter2")
	}
	_, err := Compile(source(t, "sanity", func(s *Source) { s.Secrets = []Secret{"hunter2\n"} }))
	require.EqualError(t, err, "secrets[0]: begins or ends with white space")
}

// A dead letter of a sender whose secret stands in the body shows the rest of it.
func TestRedactBody(t *testing.T) {
	t.Parallel()
	h := compiled(t, source(t, "prismic", func(s *Source) { s.Secrets = []Secret{blogSecret} }))
	assert.JSONEq(t, `{"secret":"REDACTED","n":788032119674292922}`, string(h.redactBody([]byte(`{"secret":"`+blogSecret+`","n":788032119674292922}`))))
	assert.Equal(t, `cut: "REDACTED`, string(h.redactBody([]byte(`cut: "`+blogSecret))))
	assert.Equal(t, `[]`, string(h.redactBody([]byte(`[]`))))
	assert.Empty(t, h.redactHeader(http.Header{"Authorization": {"x"}, "Cookie": {"y"}}))
}

// A secret is hidden wherever a delivery holds it, not only where it is looked for:
// a second copy in the body, in whatever spelling, or another header.
func TestRedact_ByValue(t *testing.T) {
	t.Parallel()
	const secret = "s3cret/\"quoted\"+value"
	h := compiled(t, source(t, "prismic", func(s *Source) { s.Secrets = []Secret{secret} }))
	for name, body := range map[string]string{
		"where it is looked for": `{"secret":%s}`,
		"a second copy":          `{"secret":"x","settings":{"webhook":[{"key":%s}]}}`,
		"amid a text":            `{"url":"https://example.com/?a=1","note":%s}`,
	} {
		quoted, err := json.Marshal(secret)
		require.NoError(t, err)
		spellings := []string{
			string(quoted), `"` + url.QueryEscape(secret) + `"`, `"see ` + base64Of([]byte(secret)) + ` there"`,
			strings.Replace(string(quoted), "s3", `\u0073\u0033`, 1),
		}
		for _, spelling := range spellings {
			raw := fmt.Sprintf(body, spelling)
			var shown, was any
			require.NoError(t, json.Unmarshal(h.redactBody([]byte(raw)), &shown))
			require.NoError(t, json.Unmarshal([]byte(raw), &was))
			for _, hidden := range []string{secret, base64Of([]byte(secret)), url.QueryEscape(secret)} {
				assert.NotContains(t, fmt.Sprint(shown), hidden, "%s: %s", name, raw)
			}
			in, err := h.input(Delivery{Body: []byte(raw), Header: http.Header{"X-Api-Key": {secret}}})
			require.NoError(t, err)
			assert.NotContains(t, fmt.Sprint(in), secret, "what the mapping sees: %s", name)
		}
	}
	// As PHP writes it, and as programs do that escape nothing for HTML.
	plain := compiled(t, source(t, "github", func(s *Source) { s.Secrets = []Secret{`path/of<"secret"`} }))
	for _, body := range []string{
		`{"a":"path\/of<\"secret\""}`, `{"a":"path/of<\"secret\""}`, `{"a":"path/of\u003c\"secret\""}`, `{"path/of<\"secret\"":1}`, `cut: path/of<\"secret\"`,
	} {
		assert.NotContains(t, string(plain.redactBody([]byte(body))), "secret", body)
	}

	kept := h.redactHeader(http.Header{"X-Api-Key": {secret}, "X-Other": {"Token " + base64Of([]byte(secret))}, "X-Request-Id": {"1"}})
	assert.Equal(t, http.Header{"X-Request-Id": {"1"}}, kept)

	same := []byte(`{ "a" : [1, "\u00e9"] }`)
	assert.Equal(t, same, h.redactBody(same), "a body without a secret stays as it came")
	basic := compiled(t, source(t, "datocms-cache-tags", func(s *Source) { s.Secrets = []Secret{"user:pass-word-1"} }))
	assert.JSONEq(t, `{"p":"REDACTED"}`, string(basic.redactBody([]byte(`{"p":"pass-word-1"}`))))
}

// PHP writes "/" as "\/", also into a body that was cut off and is no JSON any more.
func TestRedact_SlashesOfPHP(t *testing.T) {
	t.Parallel()
	h := compiled(t, source(t, "prismic", func(s *Source) { s.Secrets = []Secret{"abc/def+ghi/jkl-mno"} }))
	for _, body := range []string{`{"copy":"abc\/def+ghi\/jkl-mno"}`, `{"copy":"abc\/def+ghi\/jkl-mno"`} {
		assert.NotContains(t, string(h.redactBody([]byte(body))), "def+ghi", body)
	}
}
