package webhook

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCanonicalHeaders(t *testing.T) {
	t.Parallel()
	r := &request{Delivery: Delivery{Header: http.Header{
		"X-List": {" X-B , x-a,,x-empty"}, "X-A": {" 1 "}, "X-B": {"2"}, "X-Time": {"3"}, "X-Empty": {""}, "X-Other": {"4"},
	}}}
	got, reason := canonicalHeaders(r, "X-List", "X-Time")
	assert.Equal(t, Verified, reason)
	assert.Equal(t, "x-a:1;x-b:2;x-empty:;x-list:X-B , x-a,,x-empty;x-time:3", got, "the list and the time are signed, listed or not")
	got, _ = canonicalHeaders(r, "X-List", "")
	assert.Equal(t, "x-a:1;x-b:2;x-empty:;x-list:X-B , x-a,,x-empty", got)
	r.Header.Del("X-A")
	_, reason = canonicalHeaders(r, "X-List", "")
	assert.Equal(t, ReasonMissing, reason)
	_, reason = canonicalHeaders(r, "X-None", "")
	assert.Equal(t, ReasonMissing, reason)
}

// A value is put in as it is: braces in it are no placeholders.
func TestRender_ValuesAreNotTemplates(t *testing.T) {
	t.Parallel()
	f := &faults{}
	template := parseTemplate("f", "{lb}{header.X}{rb}{body}", false, false, f)
	assert.NoError(t, f.err())
	got, reason := template.render(&request{Delivery: Delivery{Header: http.Header{"X": {"{body}"}}, Body: []byte("{lb}")}}, signing{})
	assert.Equal(t, Verified, reason)
	assert.Equal(t, "{{body}}{lb}", string(got))
}

func TestTarget(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"https://a.example/b?c=d": "/b?c=d", "https://a.example": "/", "https://a.example?c": "/?c",
		"/b?c=https://x/y": "/b?c=https://x/y", "/b": "/b", "": "", "/%2e//x": "/%2e//x",
	} {
		assert.Equal(t, want, (&request{Delivery: Delivery{URL: url}}).target(), url)
	}
}
