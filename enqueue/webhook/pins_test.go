package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Each of these tests fails if the verifier is weakened in the way it names.

// changed verifies a vector after a change.
func changed(t *testing.T, id string, change func(*Delivery)) Reason {
	t.Helper()
	v := vectorNamed(t, id)
	d := v.delivery()
	change(&d)
	_, reason := compiled(t, v.source(t)).Verify(d)
	return reason
}

// setting changes a header by replacing old by now.
func setting(header, old, now string) func(*Delivery) {
	return func(d *Delivery) { d.Header.Set(header, strings.Replace(d.Header.Get(header), old, now, 1)) }
}

func mac(secret, text string) []byte {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(text))
	return m.Sum(nil)
}

func TestPin_Tolerance(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		away time.Duration
		want Reason
	}{
		{0, Verified},
		{5 * time.Minute, Verified},
		{5*time.Minute + time.Millisecond, ReasonStale},
		{-5 * time.Minute, Verified},
		{-5*time.Minute - time.Millisecond, ReasonFuture},
		{30 * 24 * time.Hour, ReasonStale},
		{-30 * 24 * time.Hour, ReasonFuture},
	} {
		v := vectorNamed(t, "sanity/01-valid")
		assert.Equal(t, test.want, changed(t, v.ID, func(d *Delivery) {
			d.Now = time.UnixMilli(v.VerifyAt - 1000).Add(test.away)
		}), "%s", test.away)
	}
}

// A wrong signature is told as such whatever its time: until then the time is anybody's word.
func TestPin_SignatureBeforeTime(t *testing.T) {
	t.Parallel()
	stale := vectorNamed(t, "sanity/11-stale-timestamp")
	s := stale.source(t)
	_, reason := compiled(t, s).Verify(stale.delivery())
	assert.Equal(t, ReasonStale, reason)
	s.Secrets = []Secret{"another"}
	_, reason = compiled(t, s).Verify(stale.delivery())
	assert.Equal(t, ReasonMismatch, reason)
}

func TestPin_WholeSignature(t *testing.T) {
	t.Parallel()
	const header = "X-Hub-Signature-256"
	for name, change := range map[string]func(string) string{
		"a prefix":             func(s string) string { return s[:len(s)-2] },
		"half of it":           func(s string) string { return s[:len("sha256=")+32] },
		"one byte":             func(s string) string { return s[:len("sha256=")+2] },
		"nothing":              func(string) string { return "sha256=" },
		"something after it":   func(s string) string { return s + "00" },
		"odd digits":           func(s string) string { return s[:len(s)-1] },
		"upper case":           func(s string) string { return "sha256=" + strings.ToUpper(s[7:]) },
		"another label":        func(s string) string { return "sha512=" + s[7:] },
		"label in upper case":  func(s string) string { return "SHA256=" + s[7:] },
		"no label":             func(s string) string { return s[7:] },
		"a null byte after it": func(s string) string { return s + "\x00" },
	} {
		reason := changed(t, "github/01-valid", func(d *Delivery) { d.Header.Set(header, change(d.Header.Get(header))) })
		assert.NotEqual(t, Verified, reason, name)
	}
}

func TestPin_StrictDecoders(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		encoding, text string
		ok             bool
	}{
		{EncodingHex, "00ff", true},
		{EncodingHex, "00FF", false},
		{EncodingHex, "00f", false},
		{EncodingHex, "0x00", false},
		{EncodingHex, " 00ff", false},
		{EncodingHex, "", false},
		{EncodingBase64, "AP8=", true},
		{EncodingBase64, "AP8", false},
		{EncodingBase64, "AP9=", false}, // a stray bit: the same bytes, spelled twice
		{EncodingBase64, "AP8==", false},
		{EncodingBase64, "AP8=\n", false},
		{EncodingBase64, "A\r\nP8=", false},
		{EncodingBase64, "-_8=", false},
		{EncodingBase64, "+/8=", true},
		{EncodingBase64URL, "-_8", true},
		{EncodingBase64URL, "-_8=", false},
		{EncodingBase64URL, "+/8", false},
		{EncodingBase64URL, "-_9", false},
		{EncodingText, "abc", false}, // of keys only
		{"", "abc", false},
	} {
		_, ok := decode(test.encoding, test.text)
		assert.Equal(t, test.ok, ok, "%s %q", test.encoding, test.text)
	}
	assert.Equal(t, ReasonMalformed, changed(t, "sanity/01-valid", func(d *Delivery) {
		d.Header.Set("Sanity-Webhook-Signature", d.Header.Get("Sanity-Webhook-Signature")+"=")
	}), "Sanity does not pad")
}

func TestPin_EverySignatureIsTried(t *testing.T) {
	t.Parallel()
	const wrong = "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	const header = "Webhook-Signature"
	for _, test := range []struct {
		name, before, after string
		want                Reason
	}{
		{"the second", wrong + " ", "", Verified},
		{"the first", "", " " + wrong, Verified},
		{"behind one that cannot be read", "v1,%% ", "", Verified},
		{"between others", "v2,x v1a,y v1a,z ", " junk v1,", Verified},
		{"the sixteenth", strings.Repeat(wrong+" ", 15), "", Verified},
		{"the seventeenth", strings.Repeat(wrong+" ", 16), "", ReasonMalformed},
		{"spaces", "   ", "   ", Verified},
		{"as v1a", "v1a,", "", ReasonMissing},
		{"behind a comma", wrong + ",", "", ReasonMalformed},
	} {
		assert.Equal(t, test.want, changed(t, "standard-webhooks/01-valid", func(d *Delivery) {
			d.Header.Set(header, test.before+d.Header.Get(header)+test.after)
		}), test.name)
	}
}

func TestPin_JavaScriptJSON(t *testing.T) {
	t.Parallel()
	assert.Equal(t, Verified, changed(t, "hygraph/02-valid-escapes", func(*Delivery) {}))
	// The same text as encoding/json would have escaped it.
	const secret, stamp = "s3cret", "1795305600000"
	d := Delivery{Header: http.Header{}, Body: []byte(`{"a":"<&>"}`), Now: time.UnixMilli(1795305600000)}
	h := compiled(t, source(t, "hygraph", func(s *Source) { s.Secrets = []Secret{secret} }))
	for quoted, want := range map[string]bool{`"{\"a\":\"<&>\"}"`: true, `"{\"a\":\"\u003c\u0026\u003e\"}"`: false} {
		signature := base64.StdEncoding.EncodeToString(mac(secret, `{"Body":`+quoted+`,"EnvironmentName":"master","TimeStamp":`+stamp+`}`))
		d.Header.Set("GCMS-Signature", "sign="+signature+", env=master, t="+stamp)
		ok, _ := h.Verify(d)
		assert.Equal(t, want, ok)
	}
}

func TestPin_UnitsAndDigits(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1795305600000)
	const secret = "s3cret"
	for _, test := range []struct {
		unit, text string
		want       Reason
	}{
		{UnitMilliseconds, "1795305600000", Verified},
		{UnitMilliseconds, "1795305600", ReasonStale},
		{UnitSeconds, "1795305600", Verified},
		{UnitSeconds, "1795305600000", ReasonFuture},
		{UnitSeconds, "+1795305600", ReasonTimestamp},
		{UnitSeconds, "-1795305600", ReasonTimestamp},
		{UnitSeconds, "1795305600.0", ReasonTimestamp},
		{UnitSeconds, "1.7953056e9", ReasonTimestamp},
		{UnitSeconds, "0x6B01FC00", ReasonTimestamp},
		{UnitSeconds, "１７９５３０５６００", ReasonTimestamp},
		{UnitMilliseconds, "99999999999999999999", ReasonTimestamp},
		{UnitRFC3339, "2026-11-22T00:00:00.000Z", Verified},
		{UnitRFC3339, "2026-11-22T01:00:00+01:00", Verified},
		{UnitRFC3339, "2026-11-22", ReasonTimestamp},
		{UnitRFC3339, "1795305600", ReasonTimestamp},
	} {
		v := Verifier{
			Kind: KindSignature, Algorithm: HMACSHA256, Encoding: EncodingHex, Signature: SignatureHeader{Header: "Sig"},
			Timestamp: &Timestamp{From: "header.At", Unit: test.unit}, Signed: "{timestamp}.{body}",
		}
		h := compiled(t, Source{Name: "x", Override: Preset{Verify: []Verifier{v}, Tags: `"a"`}, Secrets: []Secret{secret}, Projects: []string{"p"}})
		d := Delivery{Header: http.Header{}, Body: []byte("b"), Now: now}
		d.Header.Set("At", test.text)
		d.Header.Set("Sig", hex.EncodeToString(mac(secret, test.text+".b")))
		_, reason := h.Verify(d)
		assert.Equal(t, test.want, reason, "%s %q", test.unit, test.text)
	}
}

func TestPin_NothingStandsTwice(t *testing.T) {
	t.Parallel()
	again := func(header string) func(*Delivery) {
		return func(d *Delivery) { d.Header.Add(header, d.Header.Get(header)) }
	}
	for _, test := range []struct {
		id, what string
		change   func(*Delivery)
		want     Reason
	}{
		{"sanity/01-valid", "t= in the header", setting("Sanity-Webhook-Signature", "t=", "t=1,t="), ReasonRepeated},
		{"hygraph/01-valid", "env= in the header", setting("GCMS-Signature", "env=", "env=x, env="), ReasonRepeated},
		{"stripe/01-valid", "v0=, which nobody uses", setting("Stripe-Signature", "v1=", "v0=a,v0=b,v1="), Verified},
		{"standard-webhooks/01-valid", "the timestamp", again("Webhook-Timestamp"), ReasonRepeated},
		{"standard-webhooks/01-valid", "the id", again("Webhook-Id"), ReasonRepeated},
		{"contentful/01-valid", "a signed header", again("X-Contentful-Topic"), ReasonRepeated},
		{"contentful/01-valid", "the list of headers", again("X-Contentful-Signed-Headers"), ReasonRepeated},
		{"contentful/01-valid", "a header that is not signed", again("User-Agent"), Verified},
		{"bearer/01-valid", "the token", again("Authorization"), ReasonRepeated},
		{"datocms-basic/01-valid", "user and password", again("Authorization"), ReasonRepeated},
		{"query-token/01-valid", "the token, empty", func(d *Delivery) { d.URL += "&token=" }, ReasonRepeated},
		{"query-token/01-valid", "the token, escaped", func(d *Delivery) { d.URL += "&%74oken=x" }, ReasonRepeated},
		{"query-token/01-valid", "a query with a semicolon", func(d *Delivery) { d.URL += ";token=x" }, ReasonMalformed},
		{"query-token/01-valid", "something else", func(d *Delivery) { d.URL += "&a=1&a=2" }, Verified},
		{"prismic/01-valid", "the secret", func(d *Delivery) { d.Body = []byte(`{"secret":"x",` + string(d.Body[1:])) }, ReasonRepeated},
		{"prismic/01-valid", "the secret, escaped", func(d *Delivery) { d.Body = []byte(`{"s\u0065cret":"x",` + string(d.Body[1:])) }, ReasonRepeated},
		{"prismic/01-valid", "an object", func(d *Delivery) { d.Body = append(d.Body, "{}"...) }, ReasonMalformed},
		{"prismic/01-valid", "a byte order mark", func(d *Delivery) { d.Body = append([]byte("\ufeff"), d.Body...) }, Verified},
	} {
		assert.Equal(t, test.want, changed(t, test.id, test.change), "%s: %s", test.id, test.what)
	}
}

func TestPin_WhatIsSigned(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		id, what string
		change   func(*Delivery)
		want     Reason
	}{
		{"contentful/01-valid", "method", func(d *Delivery) { d.Method = http.MethodPut }, ReasonMismatch},
		{"contentful/01-valid", "query", func(d *Delivery) { d.URL += "?a" }, ReasonMismatch},
		{"contentful/01-valid", "spelling of the path", func(d *Delivery) { d.URL = strings.Replace(d.URL, "hooks", "%68ooks", 1) }, ReasonMismatch},
		{"contentful/01-valid", "host", func(d *Delivery) { d.URL = strings.Replace(d.URL, "purge.", "other.", 1) }, Verified},
		{"contentful/01-valid", "only the path is known", func(d *Delivery) { d.URL = "/hooks/contentful" }, Verified},
		{"contentful/01-valid", "signed header", func(d *Delivery) { d.Header.Set("X-Contentful-Topic", "x") }, ReasonMismatch},
		{"contentful/01-valid", "signed header gone", func(d *Delivery) { d.Header.Del("X-Contentful-Topic") }, ReasonMissing},
		{"contentful/01-valid", "timestamp not in the list", setting("X-Contentful-Signed-Headers", ",x-contentful-timestamp", ""), ReasonMismatch},
		{"ghost/01-valid", "body and time swapped", func(d *Delivery) { d.Body = append([]byte("1"), d.Body...) }, ReasonMismatch},
		{"bearer/01-valid", "scheme in lower case", setting("Authorization", "Bearer", "bearer"), Verified},
		{"bearer/01-valid", "another scheme", setting("Authorization", "Bearer", "Basic"), ReasonMalformed},
		{"bearer/01-valid", "space after the token", func(d *Delivery) { d.Header.Set("Authorization", d.Header.Get("Authorization")+" ") }, ReasonMismatch},
	} {
		assert.Equal(t, test.want, changed(t, test.id, test.change), "%s: %s", test.id, test.what)
	}
}

func TestPin_PublicPath(t *testing.T) {
	t.Parallel()
	v := vectorNamed(t, "contentful/02-valid-query")
	d := v.delivery()
	d.URL = "/inner?site=main&env=prod"
	s := v.source(t)
	ok, _ := compiled(t, s).Verify(d)
	require.False(t, ok)
	s.PublicPath = "/hooks/contentful"
	ok, reason := compiled(t, s).Verify(d)
	assert.True(t, ok, "%s", reason)
}

func TestPin_AnyVerifierMayPass(t *testing.T) {
	t.Parallel()
	v := vectorNamed(t, "sanity/01-valid")
	s := v.source(t)
	s.Override.Verify = append([]Verifier{{Kind: KindToken, From: "header.X-Token"}, {Kind: KindBasic}}, s.Preset.Verify...)
	s.Secrets = []Secret{"user:password", v.Secret}
	h := compiled(t, s)
	ok, _ := h.Verify(v.delivery())
	assert.True(t, ok)
	d := Delivery{Header: http.Header{"X-Token": {string(v.Secret)}}}
	ok, _ = h.Verify(d)
	assert.True(t, ok)
	d = Delivery{Header: http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte("user:password"))}}}
	ok, _ = h.Verify(d)
	assert.True(t, ok)
	_, reason := h.Verify(Delivery{Header: http.Header{"X-Token": {"x"}}})
	assert.Equal(t, ReasonMismatch, reason, "not that the others were missing")
	_, reason = h.Verify(Delivery{Header: http.Header{}})
	assert.Equal(t, ReasonMissing, reason)
}

// A source that checks nothing takes what programs send, and nothing that a web
// page in a browser on the same machine could send.
func TestPin_NoneRefusesWebPages(t *testing.T) {
	t.Parallel()
	hook := compiled(t, Source{Name: "n", Projects: []string{"p"}, Override: Preset{Tags: ".x", Verify: []Verifier{{Kind: KindNone, IKnow: true}}}})
	for _, c := range []struct {
		host, header, value string
		want                Reason
	}{
		{"127.0.0.1:8080", "User-Agent", "curl", Verified},
		{"gateway:8080", "User-Agent", "curl", Verified},
		{"127.0.0.1:8080", "Sec-Fetch-Site", "cross-site", ReasonForeign},
		{"127.0.0.1:8080", "Origin", "https://evil.example", ReasonForeign},
		{"evil.example", "Sec-Fetch-Site", "same-origin", ReasonForeign}, // DNS rebinding
	} {
		_, reason := hook.Verify(Delivery{Method: "POST", URL: "/hooks/n", Header: http.Header{"Host": {c.host}, c.header: {c.value}}, Body: []byte("{}")})
		assert.Equal(t, c.want, reason, "%s %s: %s", c.host, c.header, c.value)
	}
}
