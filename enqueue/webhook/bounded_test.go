package webhook

import (
	"runtime"
	"strings"
	"testing"

	"github.com/itchyny/gojq"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What a step builds is bounded before it is built: nothing could end it.
func TestBounded_NothingHugeIsBuilt(t *testing.T) {
	const body = `{"n":1000000000,"s":"xxxxxxxxxx"}`
	for _, tags := range []string{
		`"a" * 1e9`, `.n * "a"`, `.s * .n`, `.s *= .n | .s`, `("a" * 1000000) * 100`,
		`reduce range(60) as $i ("a"; . + .)`, `reduce range(60) as $i ("a"; . += .)`, `reduce range(60) as $i ([1]; . + .)`,
		`reduce range(40) as $i (3; . * .)`, `def f: . + .; reduce range(60) as $i ("a"; f)`, `[foreach range(60) as $i ("a"; . + .)] | length`,
		`reduce range(40) as $i ([0]; [., .]) | tojson`, `reduce range(40) as $i ([0]; [., .]) | tostring`, `reduce range(40) as $i ([0]; [., .]) | "\(.)"`,
		`reduce range(40) as $i ([0]; [., .]) | @json`, `reduce range(40) as $i ([0]; [., .]) | flatten`, `[range(1000) as $i | ("a" * 100000)] | add`,
		`("a" * 1000000) as $a | [range(1000) | $a] | add`, `("a" * 1000000) as $a | [range(1000) | $a] | join(",")`, `{a: ("a" * 1e9)}.a`,
		`if true then "a" * 1e9 else 1 end`, `try ("a" * 1e9) catch error`, `"\("a" * 1e9)"`, `label $x | "a" * 1e9`, `[.[] | "a" * 1e9][0]`,
		`. as {s: $s} | $s * 1e9`, `-(1) * ("a" * 1e9)`,
	} {
		h := compiled(t, plainSource(func(s *Source) { s.Override.Tags = tags }))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		p := h.plan(t.Context(), Delivery{Body: []byte(body)})
		runtime.ReadMemStats(&after)
		assert.Error(t, p.problem, tags)
		assert.Empty(t, p.tags, tags)
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(200<<20), tags)
	}
}

// The bound changes nothing that stays below it.
func TestBounded_SameResults(t *testing.T) {
	t.Parallel()
	body := map[string]any{"a": 3, "b": "x", "c": []any{1, 2, "y"}, "o": map[string]any{"p": 1, "q": map[string]any{"r": 2}}}
	for _, text := range []string{
		`.a + 1`, `.a * 2`, `.b * 3`, `3 * .b`, `.b * 0`, `.b * -1`, `.b * 0.5`, `.o * {q: {s: 3}}`, `.o + {p: 2}`, `.c + [3]`, `null + .b`, `.a += 1`, `.a *= 2`,
		`.b += "z" | .b`, `.a += (1, 2) | .a`, `(.a, 1) + (2, 3)`, `(1, 2) * (3, 4)`, `.c | add`, `[.c[] | tostring] | join("-")`, `.c | tojson`, `"a\(.a + 1)b\(.b)"`,
		`@json "x\(.c)"`, `.c | @csv`, `@base64 "\(.b)"`, `.o | to_entries | map(.key)`, `[.c[] | numbers] | add / length`, `.c[0] + .c[1] * 2 - 1`,
		`def f(x): x + 1; f(.a)`, `reduce .c[] as $x (""; . + ($x | tostring))`, `[foreach .c[] as $x (0; . + 1; [$x, .])]`, `try (.b + 1) catch .`, `.a as $x | $x + $x`,
		`[limit(3; repeat("x"))] | add`, `.c | map(tostring) | sort | unique | reverse`, `.b | test("x")`, `"a,b" | split(",")`, `[.c[0:2][] + 1]`, `.["a" + ""]`,
		`{("k" + "1"): (.a + 1)}`, `. as {a: $v} | $v + 1`, `label $out | (1 + 1, break $out)`, `if .a + 1 == 4 then "y" else "n" end`, `-(.a + 1)`, `.o.q.r += 1 | .o`,
		`path(.c[0])`, `[paths] | length`, `.c[.a - 3]`, `"x" | ascii_upcase`, `[1,[2]] | flatten(1)`, `.c |= (. + [9])`, `"\(1;2)"?`,
		`.c - [1]`, `(.a, 5) - (1, 2)`, `.a -= 1`, `.c -= (["y"], [1]) | .c`, `try (.b - 1) catch .`, `.c | contains([1], [7])`, `.b | inside("xy", "z")`,
		`.c | index(2, "y")`, `[.c | indices([1, 2], 1)]`, `.b | index("x")`, `try (.c | contains(error("e"))) catch .`, `.c | index(empty)`,
		`def contains(f): map(f); [2, 3] | contains(. - 1)`, `def index(f): f - 1; 3 | index(.)`, `.o | contains({p: 1})`, `.c | (contains([1]) | not)`,
	} {
		query, err := gojq.Parse(text)
		if err != nil {
			continue
		}
		want := outputs(t, query)(body)
		query, err = gojq.Parse(text)
		require.NoError(t, err)
		bounded(query)
		assert.Equal(t, want, outputs(t, query)(body), text)
	}
}

// A step that compares all with all is bounded before it begins: what two lists of a
// payload cost is the product of their lengths.
func TestBounded_NothingHugeIsCompared(t *testing.T) {
	t.Parallel()
	const n = 5000
	body := `{"a":[` + strings.Repeat("0,", n) + `1],"b":[` + strings.Repeat("1,", n) + `1],"deep":[[` + strings.Repeat("1,", n) + `1]]}`
	for _, tags := range []string{
		`.a - .b`, `.a -= .b | .a`, `.b as $b | .a | . - $b`, `.b as $b | .a | contains($b)`, `.a as $a | .b | inside($a)`,
		`.deep as $b | [.a] | contains($b)`, `.b as $b | .a + .a | index($b)`, `.b as $b | .a + .a | indices($b)`, `.b as $b | .a | rindex([0], $b)`,
	} {
		h := compiled(t, plainSource(func(s *Source) { s.Override.Tags = tags }))
		p := h.plan(t.Context(), Delivery{Body: []byte(body)})
		assert.ErrorContains(t, p.problem, "compares more than", tags)
	}
	h := compiled(t, plainSource(func(s *Source) {
		s.Override.Tags = `(.a - [0] | .[] | "t\(.)"), (.a | if contains([1]) then "one" else empty end)`
	}))
	p := h.plan(t.Context(), Delivery{Body: []byte(body)})
	require.NoError(t, p.problem)
	assert.Equal(t, []string{"t1", "one"}, p.tags)
}

func outputs(t *testing.T, query *gojq.Query) func(any) []any {
	t.Helper()
	code, err := gojq.Compile(query, boundFunctions()...)
	require.NoError(t, err, query.String())
	return func(in any) []any {
		var list []any
		iter := code.Run(in)
		for {
			v, ok := iter.Next()
			if !ok {
				return list
			}
			if err, ok := v.(error); ok {
				v = err.Error()
			}
			list = append(list, v)
		}
	}
}
