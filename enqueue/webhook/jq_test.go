package webhook

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// mapped maps a body by an expression of tags.
func mapped(t *testing.T, tags, body string, headers ...string) plan {
	t.Helper()
	h := compiled(t, plainSource(func(s *Source) { s.Override.Tags = tags }))
	d := Delivery{Header: http.Header{}, Body: []byte(body)}
	for i := 0; i < len(headers); i += 2 {
		d.Header.Add(headers[i], headers[i+1])
	}
	return h.plan(t.Context(), d)
}

func TestTag(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		tags, body string
		want       []string
		problem    string
	}{
		{`tag("a"; .x)`, `{"x":"y"}`, []string{"a:y"}, ""},
		{`tag(.x)`, `{"x":"y"}`, []string{"y"}, ""},
		{`tag("a"; .x)`, `{}`, nil, ""},
		{`tag("a"; .x)`, `{"x":""}`, nil, ""},
		{`tag("a"; .x)`, `{"x":["b",null,"",["c",[7]]]}`, []string{"a:b", "a:c", "a:7"}, ""},
		{`tag("a"; .x)`, `{"x":788032119674292922}`, []string{"a:788032119674292922"}, ""},
		{`tag("a"; .x)`, `{"x":123456789012345678901234567890}`, []string{"a:123456789012345678901234567890"}, ""},
		{`tag("a"; .x)`, `{"x":1.50}`, []string{"a:1.50"}, ""},
		{`tag("a"; .x + 1)`, `{"x":41}`, []string{"a:42"}, ""},
		{`tag("a"; .x / 2)`, `{"x":3}`, []string{"a:1.5"}, ""},
		{`tag("a"; .x + 1)`, `{"x":123456789012345678901234567890}`, []string{"a:123456789012345678901234567891"}, ""},
		{`tag("a"; .x)`, `{"x":false}`, []string{"a:false"}, ""},
		{`tag("a"; infinite)`, `{}`, nil, "no digits to write"},
		{`tag("a"; .x)`, `{"x":{"id":1}}`, nil, "tag() was given an object"},
		{`tag("a"; .x)`, `{"x":["b",{}]}`, nil, "tag() was given an object"},
		{`tag(.t; .x)`, `{"x":"b"}`, nil, "the prefix of tag() is not a text"},
		{`tag(""; .x)`, `{"x":"b"}`, nil, "the prefix of tag() is not a text, or empty"},
		{`tag(("a", "b"); (.x, .y))`, `{"x":1,"y":2}`, []string{"a:1", "b:1", "a:2", "b:2"}, ""},
		{`tag("a"; .x), tag("a"; .x)`, `{"x":1}`, []string{"a:1"}, ""},
		{`"id-\(.x)"`, `{"x":788032119674292922}`, []string{"id-788032119674292922"}, ""},
		{`try tag({}) catch "caught"`, `{}`, []string{"caught"}, ""},
	} {
		p := mapped(t, test.tags, test.body)
		assert.ElementsMatch(t, test.want, p.tags, "%s %s", test.tags, test.body)
		if test.problem == "" {
			assert.NoError(t, p.problem, "%s %s", test.tags, test.body)
		} else {
			assert.ErrorContains(t, p.problem, test.problem)
		}
	}
}

func TestHeadersOfAMapping(t *testing.T) {
	t.Parallel()
	p := mapped(t, `$h["x-topic"], ($h | keys[])`, `{}`, "X-Topic", "first", "X-Topic", "second",
		"X-Token", token, "Authorization", "Bearer x", "Cookie", "a=b", "Proxy-Authorization", "y")
	assert.Equal(t, []string{"first", "x-topic"}, p.tags)
	assert.NoError(t, p.problem)
}

// An expression sees its delivery and nothing else.
func TestSandbox(t *testing.T) {
	t.Setenv("EDGEPURGE_TEST_LEAK", "leaked")
	for _, expression := range []string{
		`env | tojson`, `$ENV | tojson`, `$ENV.EDGEPURGE_TEST_LEAK // "none"`, `env.EDGEPURGE_TEST_LEAK // "none"`,
		`input_filename // "none"`, `[debug] | length | tostring`, `halt`, `"a" | halt_error`, `"a" | stderr`, `get_search_list | tojson`,
	} {
		h, err := Compile(plainSource(func(s *Source) { s.Override.Tags = expression }))
		if err != nil {
			continue
		}
		p := h.plan(t.Context(), Delivery{Header: http.Header{}, Body: []byte(`{}`)})
		assert.NotContains(t, p.tags, "leaked")
		for _, tag := range p.tags {
			assert.Contains(t, []string{"{}", "none", "1", "a", "[]"}, tag, expression)
		}
	}
	for _, expression := range []string{`input`, `[inputs]`, `import "a" as a; .`, `include "a"; .`, `import "/etc/passwd" as $p; $p`} {
		_, err := Compile(plainSource(func(s *Source) { s.Override.Tags = expression }))
		assert.Error(t, err, expression)
	}
}

// What is named is purged: a detail that is not as expected keeps the rest of
// the expression from nothing.
func TestList_AFaultInOnePart(t *testing.T) {
	t.Parallel()
	const body = `{"id":1,"type":"post","entry":"null","list":["a"]}`
	for tags, want := range map[string][]string{
		`tag(.entry.id), tag(.type)`:                                {"post"},
		`tag(.id), tag(.entry.id), tag(.type)`:                      {"1", "post"},
		`tag(.entry.id), tag(.id), tag(.list.x), tag(.type)`:        {"1", "post"},
		`.type as $t | tag(.entry.id), tag($t)`:                     {"post"},
		`(tag(.entry.id), tag(.id)), ((tag(.type)))`:                {"1", "post"},
		`def t: tag("t"; .type); tag(.entry.id), t`:                 {"t:post"},
		`def e: .entry.id; (def t: tag(.type); tag(e), t), e`:       {"post"},
		`. as $b | .list[] | tag(.), tag($b.entry.id)`:              {"a"},
		`. as {$id, $type} | (tag($id.x), tag($type)) | ., . + "2"`: {"post", "post2"},
	} {
		p := mapped(t, tags, body)
		assert.ElementsMatch(t, want, p.tags, tags)
		assert.Error(t, p.problem, "%s: and the fault is told", tags)
		assert.NotContains(t, p.problem.Error(), "\n\n")
	}
	p := mapped(t, `.entry.id as $x | tag($x), tag(.type)`, body)
	assert.Empty(t, p.tags)
	assert.Equal(t, 1, strings.Count(p.problem.Error(), "tags:"), "a fault before the commas is told once: %s", p.problem)
}

// The parts of an expression yield what it yields as a whole.
func TestParts(t *testing.T) {
	t.Parallel()
	for name, p := range shipped(t) {
		f := &faults{}
		whole := compileProgram("tags", p.Tags, f)
		assert.NoError(t, f.err())
		var samples []sample
		load(t, "payload_samples.json", &samples)
		for _, s := range samples {
			if s.Preset != name {
				continue
			}
			h := compiled(t, source(t, name))
			in, err := h.input(s.delivery())
			assert.NoError(t, err)
			var want, got []any
			assert.NoError(t, whole.run(t.Context(), in, func(v any) error { want = append(want, v); return nil }))
			for _, code := range whole.parts {
				assert.NoError(t, whole.runCode(t.Context(), code, in, func(v any) error { got = append(got, v); return nil }))
			}
			if whole.parts != nil {
				assert.ElementsMatch(t, want, got, "%s %s", name, s.Body)
			}
		}
	}
}
