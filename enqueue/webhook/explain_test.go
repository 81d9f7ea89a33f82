package webhook

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/tasks"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	s := plainSource(func(s *Source) {
		s.Projects, s.Target, s.Priority = []string{"prj_a", "prj_b"}, tasks.Production, tasks.Bulk
		s.Override.SrcImages = ".images[]?"
		s.Override.DeliveryID = []string{"header.X-Id"}
	})
	h := compiled(t, s)
	d := Delivery{Method: http.MethodPost, URL: "/hooks/plain", Header: http.Header{}, Body: []byte(`{"tags":["a"],"images":["/i"]}`), Now: time.Now()}
	d.Header.Set("X-Token", token)
	d.Header.Set("X-Id", "7")
	data, err := json.Marshal(h.Explain(t.Context(), d))
	require.NoError(t, err)
	assert.JSONEq(t, `{"source":"plain","verified":true,"reason":"verified","outcome":"queued","delivery_id":"7","operation":"invalidate",
		"tags":["a"],"src_images":["/i"],"lanes":[
		"prj_a:tag:invalidate:production:none:bulk","prj_a:src-image:invalidate:all:none:bulk",
		"prj_b:tag:invalidate:production:none:bulk","prj_b:src-image:invalidate:all:none:bulk"]}`, string(data))

	d.Header.Set("X-Token", "wrong")
	e := h.Explain(t.Context(), d)
	assert.False(t, e.Verified)
	assert.Equal(t, ReasonMismatch, e.Reason)
	assert.Equal(t, Unauthorized, e.Outcome)
	assert.Equal(t, []string{"a"}, e.Tags, "mapped all the same")

	d.Body = []byte(`{"tags":["a","b,c"]}`)
	d.Header.Set("X-Token", token)
	e = h.Explain(t.Context(), d)
	assert.Equal(t, Partial, e.Outcome)
	assert.Contains(t, e.Problem, "holds a comma")

	d.Body = []byte(`"` + strings.Repeat("a", DefaultBodyBytes) + `"`)
	assert.Equal(t, TooLarge, h.Explain(t.Context(), d).Outcome)
	assert.Equal(t, "plain", h.Name())
}

// What Explain says and what a Handler does are the same.
func TestExplain_AgreesWithTheHandler(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		s := v.source(t)
		if s.Preset.Name == "contentful" || v.VerifyAt != 1795305601000 {
			continue // it signs the vector's path, or has a time that is not now
		}
		s.Tolerance = 0
		d := newDesk(t, nil, s)
		r := v.delivery()
		r.URL = strings.Replace(r.URL, "https://purge.example.com", "", 1)
		got := d.take(t.Context(), d.hooks["blog"], r, "", nil)
		assert.Equal(t, d.hooks["blog"].Explain(t.Context(), r).Outcome, got.outcome, v.ID)
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	seen := map[Outcome]bool{}
	for _, o := range Outcomes() {
		assert.False(t, seen[o])
		seen[o] = true
	}
	assert.Len(t, seen, 14)
}

func TestHook_Credentials(t *testing.T) {
	t.Parallel()
	for preset, want := range map[string]string{
		"sanity":             "a signature in the header Sanity-Webhook-Signature",
		"contentful":         "a signature in the header X-Contentful-Signature and a time in the header X-Contentful-Timestamp",
		"strapi":             "the secret as header.Authorization after Bearer",
		"prismic":            "the secret as json.secret",
		"datocms-cache-tags": "user and password in the header Authorization (Basic)",
	} {
		assert.Equal(t, []string{want}, compiled(t, source(t, preset)).Credentials(), preset)
	}
	none := compiled(t, Source{Name: "n", Projects: []string{"p"}, Override: Preset{Tags: ".x", Verify: []Verifier{{Kind: KindNone, IKnow: true}}}})
	assert.Equal(t, []string{"nothing"}, none.Credentials())
}

func TestHook_Purges(t *testing.T) {
	t.Parallel()
	h := compiled(t, plainSource(func(s *Source) { s.Projects = []string{"prj_a", "prj_b"} }))
	purges, err := h.Purges(t.Context(), Delivery{Body: []byte(`{"tags":["a"]}`)})
	require.NoError(t, err)
	require.Len(t, purges, 2)
	assert.Equal(t, "prj_b", purges[1].Project)
	assert.Equal(t, []string{"a"}, purges[1].Tags)
	purges, err = h.Purges(t.Context(), Delivery{Body: []byte(`{"tags":[]}`)})
	require.NoError(t, err)
	assert.Empty(t, purges)
	purges, err = h.Purges(t.Context(), Delivery{Body: []byte(`{"tags":["a","b,c"]}`)})
	require.ErrorContains(t, err, "holds a comma")
	assert.Empty(t, purges, "nothing of a delivery that stays a dead letter")
	_, err = h.Purges(t.Context(), Delivery{Body: []byte(token)})
	require.Error(t, err)
	assert.NotContains(t, err.Error(), token)
}
