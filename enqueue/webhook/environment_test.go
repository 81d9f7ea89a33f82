package webhook

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/tasks"
)

// A sandbox has entries with the ids of production: what happens there purges
// nothing, unless the source says so.
func TestEnvironments(t *testing.T) {
	t.Parallel()
	contentful := []string{"X-Contentful-Topic", "ContentManagement.Entry.delete"}
	entry := func(environment string) string {
		return `{"sys":{"type":"DeletedEntry","id":"a","environment":` + environment + `}}`
	}
	dato := func(members string) string {
		return `{"entity_type":"item","event_type":"delete","entity":{"id":"a"}` + members + `}`
	}
	signature := func(env string) []string {
		return []string{"GCMS-Signature", "sign=x, env=" + env + ", t=1795305600000"}
	}
	const gone = `{"operation":"delete","data":{"id":"a"}}`
	for _, test := range []struct {
		preset, body string
		headers      []string
		widened      []string
		other        string // the environment that is ignored; "": it counts
	}{
		{"contentful", entry(`{"sys":{"id":"master"}}`), contentful, nil, ""},
		{"contentful", entry(`{"sys":{"id":"staging"}}`), contentful, nil, "staging"},
		{"contentful", entry(`null`), contentful, nil, ""},
		{"contentful", entry(`{"sys":{"id":"staging"}}`), contentful, []string{"master", "staging"}, ""},
		{"contentful", entry(`{"sys":{"id":"other"}}`), contentful, []string{"master", "staging"}, "other"},
		{"contentful", entry(`{"sys":{"id":"other"}}`), contentful, []string{"*"}, ""},
		{"datocms-records", dato(``), nil, nil, ""},
		{"datocms-records", dato(`,"environment":"main","is_environment_primary":true`), nil, nil, ""},
		{"datocms-records", dato(`,"environment":"new-nav","is_environment_primary":false`), nil, nil, "new-nav"},
		{"datocms-records", dato(`,"is_environment_primary":false`), nil, nil, "sandbox"},
		{"datocms-records", dato(`,"environment":"new-nav","is_environment_primary":false`), nil, []string{"primary", "new-nav"}, ""},
		{"datocms-records", dato(`,"environment":"main","is_environment_primary":true`), nil, []string{"new-nav"}, "primary"},
		{
			"datocms-cache-tags", `{"entity_type":"cda_cache_tags","event_type":"invalidate","is_environment_primary":false,"environment":"x","entity":{"attributes":{"tags":["a"]}}}`,
			nil, nil, "x",
		},
		{"hygraph", gone, signature("master"), nil, ""},
		{"hygraph", gone, signature("feature-1"), nil, "feature-1"},
		{"hygraph", gone, nil, nil, ""},
		{"hygraph", gone, signature("feature-1"), []string{"*"}, ""},
		{"sanity", `{"_id":"a"}`, []string{"Sanity-Dataset", "staging"}, nil, ""},
		{"sanity", `{"_id":"a"}`, []string{"Sanity-Dataset", "staging"}, []string{"production"}, "staging"},
		{"sanity", `{"_id":"a"}`, []string{"Sanity-Dataset", "production"}, []string{"production"}, ""},
		{"github", `{"ref":"refs/heads/draft","commits":[{"added":["a"]}]}`, []string{"X-GitHub-Event", "push"}, []string{"main"}, "draft"},
		{"github", `{"ref":"refs/heads/main","commits":[{"added":["a"]}]}`, []string{"X-GitHub-Event", "push"}, []string{"main"}, ""},
		{
			"kontent", `{"notifications":[{"data":{"system":{"id":"a"}},"message":{"environment_id":"e1","object_type":"x","delivery_slot":"published"}}]}`,
			nil,
			[]string{"e2"},
			"e1",
		},
		{
			"contentstack", `{"event":"publish","data":{"entry":{"uid":"a"},"environment":{"name":"staging"}}}`,
			nil,
			[]string{"production"},
			"staging",
		},
	} {
		h := compiled(t, source(t, test.preset, func(s *Source) { s.Override.Environments = test.widened }))
		d := Delivery{Method: http.MethodPost, Header: http.Header{}, Body: []byte(test.body)}
		for i := 0; i < len(test.headers); i += 2 {
			d.Header.Set(test.headers[i], test.headers[i+1])
		}
		p := h.plan(t.Context(), d)
		require.NoError(t, p.problem, "%s %s", test.preset, test.body)
		assert.Equal(t, test.other, p.environment, "%s %s %v", test.preset, test.body, test.widened)
		assert.Equal(t, test.other == "", p.accepted, "%s %s", test.preset, test.body)
		assert.Equal(t, test.other == "", p.items() > 0, "%s %s", test.preset, test.body)
		assert.Equal(t, test.other, h.Explain(t.Context(), d).Environment)
	}
}

func TestEnvironments_SeveralNames(t *testing.T) {
	t.Parallel()
	h := compiled(t, plainSource(func(s *Source) {
		s.Override.Environment, s.Override.Environments = ".env[]", []string{"live"}
	}))
	for body, other := range map[string]string{
		`{"tags":["a"],"env":["release-1","live"]}`: "",
		`{"tags":["a"],"env":["release-1","next"]}`: "release-1, next",
		`{"tags":["a"],"env":[null,""]}`:            "",
		`{"tags":["a"],"env":[]}`:                   "",
	} {
		p := h.plan(t.Context(), Delivery{Body: []byte(body)})
		require.NoError(t, p.problem)
		assert.Equal(t, other, p.environment, body)
	}
	for _, body := range []string{`{"tags":["a"],"env":[1]}`, `{"tags":["a"],"env":"x"}`} {
		p := h.plan(t.Context(), Delivery{Body: []byte(body)})
		assert.ErrorContains(t, p.problem, "environment: ", body)
		assert.Zero(t, p.items())
	}
}

func TestEnvironments_Logged(t *testing.T) {
	t.Parallel()
	d := newDesk(t, &memory{}, plainSource(func(s *Source) {
		s.Override.Environment, s.Override.Environments = ".env", []string{"live"}
	}))
	assert.Equal(t, "ignored", status(t, d.post(`{"tags":["a"],"env":"staging"}`), 200))
	assert.Contains(t, d.log.String(), `"environment":"staging"`)
	assert.Equal(t, map[Outcome]int{Ignored: 1}, d.counts)
}

func TestCompile_Environments(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Preset){
		"environments: has no meaning":       func(p *Preset) { p.Environments = []string{"a"} },
		"environments[1]: is empty":          func(p *Preset) { p.Environment, p.Environments = ".e", []string{"a", " "} },
		"environment: is not jq: line 1, co": func(p *Preset) { p.Environment = ".e +" },
	} {
		_, err := Compile(plainSource(func(s *Source) { change(&s.Override) }))
		assert.ErrorContains(t, err, want)
	}
}

// Who may delete may say so: WordPress's lines do when a post is taken down.
func TestBearer_Operation(t *testing.T) {
	t.Parallel()
	h := compiled(t, source(t, "bearer"))
	for body, want := range map[string]tasks.Operation{
		`{"tags":["a"]}`:                            tasks.Invalidate,
		`{"tags":["a"],"operation":null}`:           tasks.Invalidate,
		`{"tags":["a"],"operation":"invalidate"}`:   tasks.Invalidate,
		`{"tags":["a"],"operation":"delete"}`:       tasks.Delete,
		`{"srcImages":["/a"],"operation":"delete"}`: tasks.Delete,
	} {
		p := h.plan(t.Context(), Delivery{Body: []byte(body)})
		require.NoError(t, p.problem, body)
		assert.Equal(t, want, p.operation, body)
		assert.Equal(t, 1, p.items(), body)
	}
	p := h.plan(t.Context(), Delivery{Body: []byte(`{"tags":["a"],"operation":"remove"}`)})
	assert.ErrorContains(t, p.problem, `neither "delete" nor "invalidate"`)
	assert.NotContains(t, p.problem.Error(), "\n")
}
