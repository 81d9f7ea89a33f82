package webhook

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEncode_Next(t *testing.T) {
	t.Parallel()
	encode := func(s *Source) { s.Encode, s.TagPrefix, s.Override.SrcImages = EncodeNext, "blög:", ".images[]?" }
	d := newDesk(t, nil, plainSource(encode))
	assert.Equal(t, "queued", status(t, d.post(`{"tags":["über","a"],"images":["/ü.png"]}`), 200))
	require.Len(t, d.purges, 1)
	assert.Equal(t, []string{"bl%C3%B6g:%C3%BCber", "bl%C3%B6g:a"}, d.purges[0].Tags)
	assert.Equal(t, []string{"/ü.png"}, d.purges[0].SrcImages)
	assert.NotContains(t, d.log.String(), `"warning"`)

	assert.Equal(t, "dead_letter", status(t, d.post(`{"tags":["`+strings.Repeat("ü", 100)+`"]}`), 200), "it has 300 bytes when encoded")
	for _, tag := range []string{"\ufeff*", "*\u00a0"} { // to JavaScript, "*"
		h := compiled(t, plainSource(func(s *Source) { s.Encode, s.AllowAll = EncodeNext, true }))
		p := h.plan(t.Context(), Delivery{Body: []byte(`{"tags":["` + tag + `"]}`)})
		assert.ErrorContains(t, p.problem, "begins or ends with white space")
		assert.Empty(t, p.tags)
	}
	_, err := Compile(plainSource(func(s *Source) { s.Encode = "html" }))
	assert.ErrorContains(t, err, `encode: "html" is unknown: use "next"`)
}

// Without it, whoever looks is told.
func TestEncode_Warns(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil, plainSource())
	assert.Equal(t, "queued", status(t, d.post(`{"tags":["über","a"]}`), 200))
	assert.Equal(t, []string{"über", "a"}, d.purges[0].Tags)
	assert.Contains(t, d.log.String(), `"level":"warn"`)
	assert.Contains(t, d.log.String(), `%C3%BCber`)
	assert.Contains(t, d.log.String(), `encode: next`)
	e := d.hooks["plain"].Explain(t.Context(), Delivery{Body: []byte(`{"tags":["über"]}`)})
	assert.Contains(t, e.Warning, "Next.js writes it as")
	assert.Empty(t, d.hooks["plain"].Explain(t.Context(), Delivery{Body: []byte(`{"tags":["a"]}`)}).Warning)
}
