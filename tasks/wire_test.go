package tasks_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/tasks"
)

// A change of a golden file is a change of the wire: payloads of both kinds lie
// in users' Redis while workers are replaced one by one.
var update = flag.Bool("update", false, "write testdata/wire/v1 anew from the values in this test")

func golden(t *testing.T, name string, encoded []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", "wire", "v1", name+".json")
	if *update {
		require.NoError(t, os.WriteFile(path, encoded, 0o600))
	}
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return data
}

func TestWire_PurgeGolden(t *testing.T) {
	t.Parallel()
	minute := 60
	now := 0
	asked := time.Date(2026, 11, 22, 5, 0, 0, 123_000_000, time.UTC)
	for name, want := range map[string]tasks.Purge{
		"purge_minimal": {
			ID: "01JD9X7M0000000000000000AB", Project: "prj_abc", Operation: tasks.Invalidate,
			Tags: []string{"post-1"}, Priority: tasks.Normal, RequestedAt: asked,
		},
		"purge_images": {
			ID: "01JD9X7M0000000000000000AC", Project: "my-shop", Operation: tasks.Delete,
			SrcImages: []string{"/img/a.png", "https://cdn.example/a.png?w=1,2"}, DeadlineSeconds: &now,
			Priority: tasks.Urgent, RequestedAt: asked,
		},
		"purge_part": {
			ID: "01JD9X7M0000000000000000AE-2", Project: "prj_abc", Operation: tasks.Delete,
			Tags: []string{"post-2"}, Priority: tasks.Normal, Track: true, Receipt: "01JD9X7M0000000000000000AE", RequestedAt: asked,
		},
		"purge_full": {
			ID: "01JD9X7M0000000000000000AD", Project: "prj_abc", Operation: tasks.Delete,
			// verbatim: no case folding, no HTML escapes, no normalisation of Unicode
			Tags:            []string{"post-1", "Post-1", "*", "a<b>&\"c\"\\", "café", "cafe\u0301", "🎉", "line\u2028break"},
			AllowAll:        true,
			Target:          tasks.Production,
			DeadlineSeconds: &minute, Priority: tasks.Bulk,
			Settle: 2 * time.Second, Rebound: 90*time.Second + time.Millisecond,
			NotBefore: asked.Add(time.Hour), Track: true, Source: "sanity/blog", RequestedAt: asked,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, want.Validate())
			encoded, err := want.Encode()
			require.NoError(t, err)
			data := golden(t, name, encoded)
			assert.Equal(t, string(data), string(encoded))
			got, err := tasks.DecodePurge(data)
			require.NoError(t, err)
			assert.Equal(t, want, got)
		})
	}
}

func TestWire_CallGolden(t *testing.T) {
	t.Parallel()
	claimed := time.Date(2026, 11, 22, 5, 0, 1, 0, time.UTC)
	for name, want := range map[string]tasks.Call{
		"call_minimal": validCall(),
		"call_images": validCall(func(c *tasks.Call) {
			c.Lane.Kind, c.Lane.Operation, c.Items = tasks.SrcImage, tasks.Invalidate, []string{"/img/a.png"}
		}),
		"call_staggered": validCall(func(c *tasks.Call) { c.DeadlineSeconds = 90 }),
		"call_full": {
			Batch: "01JD9X7M0000000000000000AB.0", Account: "acme",
			Lane: tasks.Lane{
				Project: "prj_abc", Kind: tasks.Tag, Operation: tasks.Delete, Target: tasks.Preview,
				DeadlineSeconds: 0, Priority: tasks.Urgent,
			},
			Items: []string{"post-1", "a<b>&c"}, DeadlineSeconds: 0, ClaimedAt: claimed, Attempt: 3,
			Verdict: &tasks.Verdict{Reason: "unauthorized", Status: 403, Code: "forbidden", Message: "Not authorized", RequestID: "fra1::abc"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, want.Validate())
			encoded, err := want.Encode()
			require.NoError(t, err)
			data := golden(t, name, encoded)
			assert.Equal(t, string(data), string(encoded))
			got, err := tasks.DecodeCall(data)
			require.NoError(t, err)
			assert.Equal(t, want, got)
		})
	}
}

// The two payloads as the design writes them, with a whole ULID.
func TestWire_DesignExamples(t *testing.T) {
	t.Parallel()
	p, err := tasks.DecodePurge([]byte(`{"v":1,"id":"01JD9X7M0000000000000000AB","project":"prj_abc","operation":"delete","tags":["post-1"],"src_images":["/img/a.png"],"target":"production",
 "deadline_seconds":60,"priority":"normal","settle_ms":2000,"rebound_ms":0,"not_before":"2026-11-22T06:00:00Z","track":true,"source":"sanity/blog","requested_at":"2026-11-22T05:00:00Z"}`))
	require.NoError(t, err)
	assert.Equal(t, "prj_abc:tag:delete:production:60:normal", p.Lane(tasks.Tag).ID())
	assert.Equal(t, "prj_abc:src-image:delete:all:60:normal", p.Lane(tasks.SrcImage).ID(), "the target is the tags'")
	assert.Equal(t, 2*time.Second, p.Settle)

	c, err := tasks.DecodeCall([]byte(`{"v":1,"batch":"01JD9X7M0000000000000000AB","account":"acme","project":"prj_abc","operation":"delete","kind":"tag",
 "items":["post-1","post-2"],"target":"production","deadline_seconds":60,"claimed_at":"2026-11-22T05:00:00Z"}`))
	require.NoError(t, err)
	assert.Equal(t, "prj_abc:tag:delete:production:60:normal", c.Lane.ID(), "an absent priority is normal")
	assert.Equal(t, 60, c.DeadlineSeconds)
}

func TestEncode_TimesInUTC(t *testing.T) {
	t.Parallel()
	berlin := time.FixedZone("CET", 3600)
	p := valid(func(p *tasks.Purge) {
		p.ID, p.RequestedAt, p.NotBefore = "1", time.Date(2026, 11, 22, 6, 0, 0, 0, berlin), time.Date(2026, 11, 22, 7, 0, 0, 0, berlin)
	})
	data, err := p.Encode()
	require.NoError(t, err)
	assert.Contains(t, string(data), `"requested_at":"2026-11-22T05:00:00Z"`)
	assert.Contains(t, string(data), `"not_before":"2026-11-22T06:00:00Z"`)
}

func TestDecode_TimesInUTC(t *testing.T) {
	t.Parallel()
	p, err := tasks.DecodePurge([]byte(`{"v":1,"id":"1","project":"p","operation":"delete","tags":["a"],"requested_at":"2026-11-22T06:00:00+01:00"}`))
	require.NoError(t, err)
	assert.Equal(t, time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC), p.RequestedAt)
}

// Both decoders are strict in the same way: these payloads are wrong for either.
func TestDecode_Refuses(t *testing.T) {
	t.Parallel()
	const (
		purge = `{"v":1,"id":"01JD","project":"p","operation":"delete","tags":["a"]}`
		call  = `{"v":1,"batch":"01JD","account":"a","project":"p","operation":"delete","kind":"tag","items":["a"],"priority":"normal","claimed_at":"2026-11-22T05:00:00Z"}`
	)
	decoders := map[string]struct {
		payload string
		decode  func([]byte) error
	}{
		"purge": {purge, func(data []byte) error { _, err := tasks.DecodePurge(data); return err }},
		"call":  {call, func(data []byte) error { _, err := tasks.DecodeCall(data); return err }},
	}
	for name, d := range decoders {
		require.NoError(t, d.decode([]byte(d.payload)), name)
	}
	for _, test := range []struct {
		name       string
		old, fresh string // replaced in the payload; old "" replaces all of it
		want       string
	}{
		{"empty", "", "", "not a JSON object of edgepurge: it is empty"},
		{"not JSON", "", "purge", "not a JSON object"},
		{"null", "", "null", "not a JSON object"},
		{"array", "", "[]", "not a JSON object"},
		{"string", "", `"v"`, "not a JSON object"},
		{"cut off", "", `{"v":1,"project":"p`, "it breaks off before its end"},
		{"cut off before the brace", `}`, ``, "it breaks off before its end"},
		{"cut off after a name", "", `{"v":1,"project"`, "it breaks off before its end"},
		{"trailing comma", `}`, `,}`, "not a JSON object"},
		{"data after the object", `}`, `}{}`, "data after the JSON object"},
		{"a word after the object", `}`, `} x`, "data after the JSON object"},
		{"a second brace", `}`, `}}`, "data after the JSON object"},

		{"no version", `"v":1,`, ``, "v: is missing"},
		{"null version", `"v":1`, `"v":null`, "v: is missing"},
		{"version in capitals", `"v":1`, `"V":1`, "v: is missing"},
		{"version 0", `"v":1`, `"v":0`, "unknown wire version 0: versions begin at 1"},
		{"negative version", `"v":1`, `"v":-1`, "versions begin at 1"},
		{"version 2", `"v":1`, `"v":2`, "unknown wire version 2: this edgepurge reads versions up to 1, upgrade the worker"},
		{"version 2 comes before its fields", `"v":1`, `"v":2,"hue":[{}],"Tone":1`, "unknown wire version 2"},
		{"version as text", `"v":1`, `"v":"1"`, `v: "1" is not a version number`},
		{"half a version", `"v":1`, `"v":1.5`, "v: 1.5 is not a version number"},

		{"unknown field", `"v":1`, `"v":1,"hue":"red"`, `unknown field "hue"`},
		{"field in capitals", `"project"`, `"Project"`, "Project: is unknown: the names of fields are lower case"},
		{"field with a letter that folds", `"project"`, `"pro\u017Fect"`, "is unknown"},
		{"field twice", `"v":1`, `"v":1,"project":"q"`, "project: stands twice"},
		{"field twice, once in capitals", `"v":1`, `"v":1,"PROJECT":"q"`, "PROJECT: is unknown"},
		{"field twice, once escaped", `"v":1`, `"v":1,"\u0070roject":"q"`, "project: stands twice"},
		{"version twice", `"v":1`, `"v":1,"v":1`, "v: stands twice"},

		{"item not UTF-8", `["a"]`, "[\"a\xff\"]", "not valid UTF-8"},
		{"item with half a character", `["a"]`, `["a\ud83c"]`, `the escape \ud83c at byte`},
		{"item with the other half", `["a"]`, `["\uDF89 a"]`, `the escape \uDF89 at byte`},
		{"item with the halves in the wrong order", `["a"]`, `["\udf89\ud83c"]`, `the escape \udf89 at byte`},
		{"item with half a character and another escape", `["a"]`, `["\ud83c\u0061"]`, `the escape \ud83c at byte`},
		{"item is a number", `["a"]`, `[1]`, "cannot unmarshal number"},
		{"item is null", `["a"]`, `[null]`, "[0]: is empty"},
		{"item is an escaped control character", `["a"]`, `["a\u0000b"]`, "[0]: holds a control character"},
		{"items are one string", `["a"]`, `"a"`, "cannot unmarshal string"},
		{"items are objects", `["a"]`, `[{"a":1}]`, "cannot unmarshal object"},
		{"project is null", `"project":"p"`, `"project":null`, "project: is missing"},
		{"no project", `"project":"p",`, ``, "project: is missing"},
		{"no operation", `"operation":"delete",`, ``, `operation: is missing`},
		{"priority is a number", `"v":1`, `"v":1,"target":1`, "cannot unmarshal number"},
		{"unknown target", `"v":1`, `"v":1,"target":"staging"`, `target: "staging" is unknown`},
		{"deadline is text", `"v":1`, `"v":1,"deadline_seconds":"60"`, "cannot unmarshal string"},
		{"deadline is a fraction", `"v":1`, `"v":1,"deadline_seconds":1.5`, "cannot unmarshal number"},
		{"deadline -1", `"v":1`, `"v":1,"deadline_seconds":-1`, "deadline_seconds: -1 is out of range"},
		{"deadline past a year", `"v":1`, `"v":1,"deadline_seconds":31536001`, "deadline_seconds: 31536001 is out of range"},
		{"deadline of an invalidate", `"delete"`, `"invalidate","deadline_seconds":0`, "an invalidate takes no deadline"},
	} {
		for name, d := range decoders {
			t.Run(test.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				payload := test.fresh
				if test.old != "" {
					if !strings.Contains(d.payload, test.old) {
						t.Fatalf("the payload of %s does not hold %q", name, test.old)
					}
					payload = strings.Replace(d.payload, test.old, test.fresh, 1)
				}
				err := d.decode([]byte(payload))
				require.ErrorIs(t, err, tasks.ErrInvalid)
				assert.ErrorContains(t, err, test.want)
				if strings.Contains(test.want, "unknown wire version") {
					assert.ErrorIs(t, err, tasks.ErrVersion)
				} else if !strings.Contains(test.want, "versions begin") {
					assert.NotErrorIs(t, err, tasks.ErrVersion)
				}
			})
		}
	}
}

func TestDecodePurge_Refuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, payload, want string }{
		{"no id", `{"v":1,"project":"p","operation":"delete","tags":["a"]}`, "id: is missing"},
		{"empty id", `{"v":1,"id":"","project":"p","operation":"delete","tags":["a"]}`, "id: is missing"},
		{"no items", `{"v":1,"id":"1","project":"p","operation":"delete"}`, "tags: name at least one"},
		{"tags twice", `{"v":1,"id":"1","project":"p","operation":"delete","tags":["a"],"tags":["b"]}`, "tags: stands twice"},
		{"everything, unasked", `{"v":1,"id":"1","project":"p","operation":"delete","tags":["*"]}`, "tags[0]: \"*\" purges the whole project"},
		{"negative settle", `{"v":1,"id":"1","project":"p","operation":"delete","tags":["a"],"settle_ms":-1}`, "settle_ms: -1 is out of range: use 0 to 2592000000"},
		{"settle past its limit", `{"v":1,"id":"1","project":"p","operation":"delete","tags":["a"],"settle_ms":2592000001}`, "settle_ms: 2592000001 is out of range"},
		{"settle that overflows a Duration", `{"v":1,"id":"1","project":"p","operation":"delete","tags":["a"],"settle_ms":9223372036854775807}`, "settle_ms: 9223372036854775807 is out of range"},
		{"settle that overflows to a small Duration", `{"v":1,"id":"1","project":"p","operation":"delete","tags":["a"],"settle_ms":18446744073710}`, "settle_ms: 18446744073710 is out of range"},
		{"settle that overflows an int64", `{"v":1,"id":"1","project":"p","operation":"delete","tags":["a"],"settle_ms":9223372036854775808}`, "cannot unmarshal number"},
		{"rebound past its limit", `{"v":1,"id":"1","project":"p","operation":"delete","tags":["a"],"rebound_ms":2592000001}`, "rebound_ms: 2592000001 is out of range"},
		{"half a millisecond", `{"v":1,"id":"1","project":"p","operation":"delete","tags":["a"],"settle_ms":0.5}`, "cannot unmarshal number"},
		{"time is a number", `{"v":1,"id":"1","project":"p","operation":"delete","tags":["a"],"not_before":1700000000}`, "invalid"},
		{"time without zone", `{"v":1,"id":"1","project":"p","operation":"delete","tags":["a"],"not_before":"2026-11-22T06:00:00"}`, "parsing time"},
		{"year 10000 in UTC", `{"v":1,"id":"1","project":"p","operation":"delete","tags":["a"],"not_before":"9999-12-31T23:59:59-01:00"}`, "not_before: the year 10000"},
		{"every fault at once", `{"v":1,"project":"","operation":"delete","tags":["a"],"settle_ms":-1,"rebound_ms":-1}`, "settle_ms: -1 is out of range: use 0 to 2592000000\nrebound_ms: -1 is out of range: use 0 to 2592000000\nid: is missing\nproject: is missing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := tasks.DecodePurge([]byte(test.payload))
			require.ErrorIs(t, err, tasks.ErrInvalid)
			assert.ErrorContains(t, err, test.want)
		})
	}
}

func TestDecodeCall_Refuses(t *testing.T) {
	t.Parallel()
	const least = `{"v":1,"batch":"01JD","account":"a","project":"p","operation":"delete","kind":"tag","items":["a"]}`
	for _, test := range []struct{ name, old, fresh, want string }{
		{"no batch", `"batch":"01JD",`, ``, `batch: "" must be`},
		{"no account", `"account":"a",`, ``, `account: "" may`},
		{"no kind", `"kind":"tag",`, ``, `kind: "" is unknown`},
		{"no items", `,"items":["a"]`, ``, "items: is empty"},
		{"tags instead of items", `"items"`, `"tags"`, `unknown field "tags"`},
		{"unknown priority", `"v":1`, `"v":1,"priority":"high"`, `priority: "high" is unknown`},
		{"staggered without deadline", `"v":1`, `"v":1,"staggered":true`, "staggered: needs deadline_seconds"},
		{"staggered invalidate", `"delete"`, `"invalidate","staggered":true,"deadline_seconds":60`, "an invalidate takes no deadline"},
		{"attempt is text", `"v":1`, `"v":1,"attempt":"1"`, "cannot unmarshal string"},
		{"negative attempt", `"v":1`, `"v":1,"attempt":-1`, "attempt: -1 is negative"},
		{"verdict is text", `"v":1`, `"v":1,"verdict":"gone"`, "cannot unmarshal string"},
		{"verdict without reason", `"v":1`, `"v":1,"verdict":{}`, "verdict.reason: is missing"},
		{"unknown field in the verdict", `"v":1`, `"v":1,"verdict":{"reason":"gone","hue":1}`, `unknown field`},
		{"field of the verdict in capitals", `"v":1`, `"v":1,"verdict":{"Reason":"gone"}`, "Reason: is unknown"},
		{"field of the verdict twice", `"v":1`, `"v":1,"verdict":{"reason":"gone","reason":"done"}`, "reason: stands twice"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.Contains(t, least, test.old)
			_, err := tasks.DecodeCall([]byte(strings.Replace(least, test.old, test.fresh, 1)))
			require.ErrorIs(t, err, tasks.ErrInvalid)
			assert.ErrorContains(t, err, test.want)
		})
	}
}

// Escapes that are whole are read, whatever stands around them.
func TestDecodePurge_Escapes(t *testing.T) {
	t.Parallel()
	for escaped, want := range map[string]string{
		`\ud83c\udf89`:             "🎉",
		`\uD83C\uDF89\uD83C\uDF89`: "🎉🎉",
		`\\ud83c`:                  `\ud83c`,
		`\\\ud83c\udf89`:           `\🎉`,
		`\u0061\/\"`:               `a/"`,
		`\ufffd`:                   "\ufffd",
	} {
		p, err := tasks.DecodePurge([]byte(`{"v":1,"id":"1","project":"p","operation":"delete","tags":["` + escaped + `"]}`))
		require.NoError(t, err, escaped)
		assert.Equal(t, []string{want}, p.Tags, escaped)
	}
}

func TestDecodePurge_EmptyPriorityIsNormal(t *testing.T) {
	t.Parallel()
	for _, priority := range []string{``, `,"priority":""`, `,"priority":null`} {
		p, err := tasks.DecodePurge([]byte(`{"v":1,"id":"1","project":"p","operation":"delete","tags":["a"]` + priority + `}`))
		require.NoError(t, err)
		assert.Equal(t, tasks.Normal, p.Priority)
	}
}
