package webhook

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/tasks"
)

func TestCompile_Faults(t *testing.T) {
	t.Parallel()
	verifier := func(change func(*Verifier)) func(*Source) {
		return func(s *Source) {
			stamp := Timestamp{From: "param.t", Unit: UnitSeconds}
			v := Verifier{
				Kind: KindSignature, Algorithm: HMACSHA256, Encoding: EncodingHex, Timestamp: &stamp, Signed: "{timestamp}.{body}",
				Signature: SignatureHeader{Header: "X-Sig", Split: ",", Pair: "=", Label: []string{"v1"}},
			}
			change(&v)
			s.Override.Verify = []Verifier{v}
		}
	}
	for _, test := range []struct {
		change func(*Source)
		want   string // all of the error
	}{
		{func(*Source) {}, ""},
		{verifier(func(*Verifier) {}), ""},
		{func(s *Source) { s.Name = "a/b" }, `name: "a/b" must be 1 to 64 letters, digits, '.', '_' or '-'`},
		{func(s *Source) { s.Name = ".." }, `name: ".." must be 1 to 64 letters, digits, '.', '_' or '-'`},
		{func(s *Source) { s.Secrets = nil }, "secrets: is missing: without a secret nothing can be verified"},
		{func(s *Source) { s.Secrets = []Secret{token, ""} }, "secrets[1]: is empty"},
		{func(s *Source) { s.Secrets = []Secret{" \n"} }, "secrets[0]: is empty"},
		{func(s *Source) { s.Secrets = make([]Secret, 11) }, "secrets: 11 are too many, the limit is 10: remove those that are no longer in use"},
		{func(s *Source) { s.Override.Verify = nil }, "verify: is missing: say how a delivery is proved, or name a preset"},
		{func(s *Source) { s.Override.Verify[0].Kind = "hmac" }, `verify[0].kind: "hmac" is unknown: use "signature", "token", "basic", "none"`},
		{func(s *Source) { s.Override.Verify[0].From = "cookie.x" }, `verify[0].from: "cookie.x" is no place in a delivery: use header.Name, query.name, json.a.b`},
		{func(s *Source) { s.Override.Verify[0].From = "json.a..b" }, `verify[0].from: "json.a..b" is no place in a delivery: use header.Name, query.name, json.a.b`},
		{func(s *Source) { s.Override.Verify[0] = Verifier{Kind: KindToken, From: "query.t", Scheme: "Bearer"} }, `verify[0].scheme: "Bearer" is not a word before a token in a header`},
		{func(s *Source) { s.Override.Verify[0].Signed = "{body}" }, "verify[0].signed: has no meaning for kind token: remove it"},
		{func(s *Source) { s.Override.Verify[0] = Verifier{Kind: KindBasic, From: "header.X"} }, "verify[0].from: has no meaning for kind basic: remove it\nsecrets[0]: is not of the form user:password"},
		{func(s *Source) { s.Override.Verify[0] = Verifier{Kind: KindNone} }, "verify[0].i_know: must be true for kind none: whoever reaches the listener may purge"},
		{func(s *Source) { s.Override.Verify[0], s.Secrets = Verifier{Kind: KindNone, IKnow: true}, nil }, ""},
		{func(s *Source) { s.Override.Verify = append(s.Override.Verify, Verifier{Kind: KindBasic}) }, "verify[1]: can use none of the secrets"},

		{verifier(func(v *Verifier) { v.Algorithm = "md5" }), `verify[0].algorithm: "md5" is unknown: use "hmac-sha1", "hmac-sha256", "hmac-sha384", "hmac-sha512", "ed25519", "rsa-pss-sha256"`},
		{verifier(func(v *Verifier) { v.Algorithm = "" }), `verify[0].algorithm: is missing: use "hmac-sha1", "hmac-sha256", "hmac-sha384", "hmac-sha512", "ed25519", "rsa-pss-sha256"`},
		{verifier(func(v *Verifier) { v.Encoding = "base32" }), `verify[0].encoding: "base32" is unknown: use "hex", "base64", "base64url"`},
		{verifier(func(v *Verifier) { v.Key.Encoding = "pem" }), `verify[0].key.encoding: "pem" is unknown: use "text", "base64", "hex"`},
		{verifier(func(v *Verifier) { v.Key.StripPrefix = "whsec_" }), `verify[0].key.strip_prefix: has no meaning for a key that is text: all of the text is the key`},
		{verifier(func(v *Verifier) { v.Key.Encoding = "hex" }), `secrets[0]: is not in hex`},
		{verifier(func(v *Verifier) { v.Signature.Header = "X Sig" }), `verify[0].signature.header: "X Sig" is not the name of a header`},
		{verifier(func(v *Verifier) { v.Signature.Split = "|" }), `verify[0].signature.split: "|" is unknown: use ",", ";", " "`},
		{verifier(func(v *Verifier) { v.Signature.Pair = "," }), `verify[0].signature.pair: is the same as split: no entry would have a label`},
		{verifier(func(v *Verifier) { v.Signature.Label = nil }), `verify[0].signature.label: is missing: name the entries that are signatures`},
		{verifier(func(v *Verifier) { v.Signature.Label = []string{"a=b"} }), `verify[0].signature.label: "a=b" cannot be the label of an entry`},
		{verifier(func(v *Verifier) { v.Timestamp.Unit = "us" }), `verify[0].timestamp.unit: "us" is unknown: use "s", "ms", "rfc3339"`},
		{verifier(func(v *Verifier) { v.Timestamp.From = "query.t" }), `verify[0].timestamp.from: "query.t" is no place in a delivery: use header.Name, json.a.b, param.x`},
		{verifier(func(v *Verifier) { v.Timestamp.Tolerance = 300 }), `verify[0].timestamp.tolerance: 300ns is out of range: use 1s to 96h0m0s`},
		{verifier(func(v *Verifier) { v.Timestamp.Tolerance = -time.Minute }), `verify[0].timestamp.tolerance: -1m0s is out of range: use 1s to 96h0m0s`},
		{verifier(func(v *Verifier) { v.Timestamp = nil }), `verify[0].signed: {timestamp} has no value: timestamp is not set`},
		{verifier(func(v *Verifier) { v.Signed = "" }), `verify[0].signed: holds no {body}: whoever has one signature could send any content`},
		{verifier(func(v *Verifier) { v.Signed = "{timestamp}" }), `verify[0].signed: holds no {body}: whoever has one signature could send any content`},
		{verifier(func(v *Verifier) { v.Signed = "{body}{bdoy}" }), `verify[0].signed: {bdoy} is unknown: use body, timestamp, header.Name, param.x, method, uri, headers:List-Header, lb or rb`},
		{verifier(func(v *Verifier) { v.Signed = "{body|hex}" }), `verify[0].signed: {body|hex} has an unknown function: use |json on a value, |contentful on uri`},
		{verifier(func(v *Verifier) { v.Signed = "{body|contentful}" }), `verify[0].signed: {body|contentful} has an unknown function: use |json on a value, |contentful on uri`},
		{verifier(func(v *Verifier) { v.Signed = "{body}{header.}" }), `verify[0].signed: {header.} does not name a header or entry`},
		{verifier(func(v *Verifier) { v.Signed = "{body}}" }), `verify[0].signed: "}" has a brace without its twin: write {lb} or {rb} for a brace`},
		{verifier(func(v *Verifier) { v.Signed = "{body" }), `verify[0].signed: "{body" has a brace without its twin: write {lb} or {rb} for a brace`},
		{verifier(func(v *Verifier) {
			v.Signature = SignatureHeader{Header: "X"}
			v.Signed, v.Timestamp.From = "{body}{param.x}", "header.T"
		}), `verify[0].signed: {param.x} has no value: signature.pair is not set`},
		{verifier(func(v *Verifier) { v.Scheme, v.IKnow = "x", true }), "verify[0].i_know: has no meaning for kind signature: remove it\nverify[0].scheme: has no meaning for kind signature: remove it"},

		{func(s *Source) { s.Tolerance = time.Hour }, "tolerance: has no meaning: this sender signs no time"},
		{func(s *Source) { s.PublicPath = "/x" }, "public_path: has no meaning: this sender does not sign the path"},
		{func(s *Source) { s.Override.DeliveryID = []string{"body.md5"} }, `delivery_id[0]: "body.md5" is no place in a delivery: use header.Name, json.a.b, body.sha256`},
		{func(s *Source) { s.Override.SameContent = "maybe" }, `same_content: "maybe" is unknown: use "duplicate", "event"`},
		{func(s *Source) { s.DedupeTTL = time.Second }, "dedupe_ttl: 1s is out of range: use 1m to 720h0m0s"},
		{func(s *Source) { s.Override.Tags = "" }, "tags: is missing: say which tags a delivery purges"},
		{func(s *Source) { s.Override.Tags = " \n" }, "tags: holds no expression"},
		{func(s *Source) { s.Override.Tags = ".a,\n  .b[" }, "tags: is not jq: line 2, column 6: unexpected EOF"},
		{func(s *Source) { s.Override.Tags = ".a, )" }, `tags: is not jq: line 1, column 5: unexpected token ")"`},
		{func(s *Source) { s.Override.Tags = ".a,\n tga(.b)" }, "tags: is not jq: line 2, column 2: function not defined: tga/1"},
		{func(s *Source) { s.Override.Accept = "$header" }, "accept: is not jq: line 1, column 1: variable not defined: $header"},
		{func(s *Source) { s.Override.Operation = "purge" }, "operation: is not jq: line 1, column 1: function not defined: purge/0"},
		{func(s *Source) { s.Override.SrcImages = "input" }, "src_images: is not jq: input(s)/0 is not allowed"},
		{func(s *Source) { s.TagPrefix = "a,b" }, `tag_prefix: holds a comma, which Vercel reads as a separator: "a,bx"`},
		{func(s *Source) { s.Override.Tags, s.Override.SrcImages, s.Target = "", ".a", tasks.Preview }, "target: Vercel takes no target for source images: leave it out"},
		{func(s *Source) { s.Projects = nil }, "projects: is missing: name at least one project to purge"},
		{func(s *Source) { s.Projects = []string{"a", "b c", "a"} }, "projects[1]: \"b c\" may hold only letters, digits, '.', '_' and '-'\nprojects[2]: stands twice"},
		{func(s *Source) { s.Projects, s.Settle, s.Priority = []string{"a", "b"}, -time.Second, "now" }, "priority: \"now\" is unknown: use \"urgent\", \"normal\" or \"bulk\"\nsettle: -1s is out of range: use 0 to 720h0m0s"},
		{func(s *Source) { s.OnMappingError = "ignore" }, `on_mapping_error: "ignore" is unknown: use "dead_letter", "reject"`},
		{func(s *Source) { s.Limits = Limits{Body: 1 << 30, Depth: -1, Outputs: 1e6, MappingTime: time.Second} }, "limits.body: 1073741824 is out of range: use 1 to 26214400 bytes\nlimits.depth: -1 is out of range: use 1 to 1000\n" +
			"limits.outputs: 1000000 is out of range: use 1 to 100000\nlimits.mapping_time: 1s is out of range: use 1ms to 500ms"},
	} {
		s := plainSource(test.change)
		_, err := Compile(s)
		if test.want == "" {
			assert.NoError(t, err)
			continue
		}
		require.EqualError(t, err, test.want)
		for _, fault := range err.(interface{ Unwrap() []error }).Unwrap() {
			_, ok := errors.AsType[*Fault](fault)
			assert.True(t, ok)
		}
	}
}

func TestCompile_Relations(t *testing.T) {
	t.Parallel()
	// A delivery is good from tolerance before its time until tolerance after it.
	_, err := Compile(source(t, "sanity", func(s *Source) { s.Tolerance, s.DedupeTTL = time.Hour, 90*time.Minute }))
	require.EqualError(t, err, "dedupe_ttl: 1h30m0s is shorter than twice the tolerance: a delivery could be replayed after it")
	h := compiled(t, source(t, "sanity", func(s *Source) { s.Tolerance = 72 * time.Hour }))
	assert.Equal(t, 144*time.Hour, h.dedupeTTL)
	assert.Equal(t, 5*time.Minute, shipped(t)["sanity"].Verify[0].Timestamp.Tolerance, "the preset is not changed")
	_, err = Compile(source(t, "contentful", func(s *Source) { s.PublicPath = "a?b" }))
	require.EqualError(t, err, `public_path: "a?b" is not a path: it begins with / and holds no query`)
	_, err = Compile(Source{})
	require.Error(t, err)
	assert.Equal(t, 4, strings.Count(err.Error(), "\n")+1, "name, verify, tags, projects: %v", err)
}

func TestParsePresets_Faults(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"presets: {}":              "p.yaml: version is 0, this program reads 1",
		"version: 2\npresets: {}":  "p.yaml: version is 2, this program reads 1",
		"version: 1\nsources: {}":  `p.yaml:2:1: unknown field "sources"`,
		"version: 1\npresets: [a]": "p.yaml:2:10: ",
		"version: 1\npresets:\n  a:\n    verify:\n      - kind: basic\n        hash: x":          `p.yaml:6:9: unknown field "hash"`,
		"version: 1\npresets:\n  a: {tags: .a}\n  a: {tags: .b}":                                 "p.yaml:4:3: ",
		"version: 1\npresets:\n  a: {verify: [{kind: signature, timestamp: {tolerance: soon}}]}": `p.yaml: time: invalid duration "soon"`,
		"version: 1\npresets:\n  a: {extends: b}":                                                `p.yaml: presets.a: extends "b", which is not there`,
		"version: 1\npresets:\n  a: {extends: b}\n  b: {extends: a}":                             "p.yaml: presets.a: extends itself: a → b → a\np.yaml: presets.b: extends itself: b → a → b",
		"version: 1\npresets: {a: {tags: '.a'}, b: {tags: {}}}":                                  "p.yaml:2:",
		"version: 1\npresets:\n\t a: {}":                                                         "p.yaml:",
	} {
		_, err := ParsePresets("p.yaml", []byte(text))
		assert.ErrorContains(t, err, want)
	}
}

func TestParsePresets_Extends(t *testing.T) {
	t.Parallel()
	presets, err := ParsePresets("p.yaml", []byte(`
version: 1
presets:
  base: {verify: [{kind: basic}], accept: "true", tags: .a, same_content: event, delivery_id: [json.id]}
  middle: {extends: base, tags: .b, delivery_id: []}
  top: {extends: middle, verify: [{kind: token, from: query.t}]}
`))
	require.NoError(t, err)
	assert.Equal(t, Preset{
		Name: "top", Verify: []Verifier{{Kind: KindToken, From: "query.t"}}, Accept: "true", Tags: ".b",
		SameContent: SameIsEvent, DeliveryID: []string{},
	}, presets["top"])
}
