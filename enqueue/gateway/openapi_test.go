package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/enqueue"
	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/internal/vercel/api"
	"github.com/edgepurge/edgepurge/tasks"
)

// described parses what is served as the description.
func described(t *testing.T, h http.Handler) (*openapi3.T, routers.Router) {
	t.Helper()
	r := send(h, "GET", OpenAPIPath, "", "Authorization", "")
	require.Equal(t, 200, r.StatusCode, "it needs no key")
	assert.Equal(t, "application/yaml", r.Header.Get("Content-Type"))
	doc, err := openapi3.NewLoader().LoadFromData([]byte(r.body))
	require.NoError(t, err)
	require.True(t, doc.IsOpenAPI31OrLater())
	require.NoError(t, doc.Validate(context.Background()))
	router, err := gorillamux.NewRouter(doc)
	require.NoError(t, err)
	return doc, router
}

// Every exchange is as the description says: its answer always, and its request
// just when it is not refused with a 400.
func TestOpenAPI_DescribesTheHandler(t *testing.T) {
	t.Parallel()
	rdb, _ := redistest.Mini(t)
	d := newDesk(t, withClient(t, rdb))
	_, router := described(t, d)
	receipt := send(d, "POST", PurgesPath, small).receipt(t).Receipt
	outage := newDesk(t)
	outage.enqueue = func(context.Context, tasks.Purge) (enqueue.Receipt, error) {
		return enqueue.Receipt{}, errors.New("no Redis")
	}
	const with = `{"project":"p","operation":"delete","tags":["a"],`
	type ask struct {
		handler              http.Handler
		method, target, body string
		headers              []string
		status               int
	}
	asks := []ask{
		{d, "GET", PurgesPath + "/" + receipt, "", nil, 200},
		{d, "GET", PurgesPath + "/nobody", "", nil, 404},
		{d, "GET", PurgesPath + "/" + receipt, "", []string{"Authorization", ""}, 403},
		{d, "GET", PurgesPath + "/" + receipt, "", []string{"Authorization", "Bearer nobody"}, 403},
		{d, "GET", OpenAPIPath, "", nil, 200},
		{d, "GET", "/v2/user", "", nil, 200},
		{d, "GET", "/teams/acme", "", nil, 200},
		{d, "GET", "/v2/teams/team_1", "", nil, 200},
		{d, "GET", "/v9/projects/shop", "", nil, 200},
		{d, "GET", "/v9/projects/shop", "", []string{"Authorization", "Bearer " + blogSecret}, 404},
		{d, "POST", PurgesPath, small, []string{"Idempotency-Key", "k"}, 202},
		{d, "POST", PurgesPath, small, []string{"Idempotency-Key", "k"}, 202}, // replayed
		{d, "POST", PurgesPath, with + `"track":false}`, []string{"Idempotency-Key", "k"}, 422},
		{d, "POST", PurgesPath, small, []string{"Idempotency-Key", "a b"}, 400},
		{d, "POST", PurgesPath, small, []string{"Idempotency-Key", strings.Repeat("k", 256)}, 400},
		{d, "POST", PurgesPath, small, []string{"Authorization", "Bearer " + blogSecret}, 403},
		{d, "POST", PurgesPath, with + `"src_images":["` + strings.Repeat("x", MaxBodyBytes) + `"]}`, nil, 413},
		{outage, "POST", PurgesPath, small, nil, 503},
		{outage, "POST", deleteTags + toProject, `{"tags":["a"]}`, nil, 503},
		{d, "POST", deleteTags + toProject, `{"tags":["a"]}`, []string{"Authorization", ""}, 403},
		{d, "POST", deleteTags + toProject, `{"tags":["a"]}`, []string{"Authorization", "Bearer nobody"}, 403},
		{d, "POST", deleteTags + toProject, `{"tags":["a"]}`, []string{"Authorization", "Bearer " + blogSecret}, 404},
		{d, "POST", deleteTags, `{"tags":["a"]}`, nil, 400},
	}
	bodies := func(target string, status int, list ...string) {
		for _, body := range list {
			asks = append(asks, ask{d, "POST", target, body, nil, status})
		}
	}
	bodies(PurgesPath, 202, small, with+`"src_images":["/i"],"allow_all":true,"target":"preview","deadline_seconds":31536000,"priority":"bulk",`+
		`"settle_ms":2592000000,"rebound_ms":0,"not_before":"2026-12-01T09:00:00Z","track":true}`,
		`{"project":"p","operation":"invalidate","src_images":["/i"]}`, `{"project":"p","operation":"delete","tags":`+list(17, "a")+`}`)
	bodies(PurgesPath, 400, `{}`, `[]`, `{"project":"p","tags":["a"]}`, `{"operation":"delete","tags":["a"]}`, `{"project":"p","operation":"delete"}`,
		with+`"x":1}`, with+`"id":"x"}`, with+`"target":"all"}`, with+`"priority":"high"}`, with+`"settle_ms":-1}`, with+`"settle_ms":2592000001}`,
		with+`"rebound_ms":"1"}`, with+`"deadline_seconds":31536001}`, with+`"track":1}`, with+`"src_images":null}`,
		`{"project":"a b","operation":"delete","tags":["a"]}`, `{"project":"p","operation":"delete","tags":["a,b"]}`,
		`{"project":"p","operation":"delete","tags":[""]}`, `{"project":"p","operation":"delete","tags":["`+strings.Repeat("x", 257)+`"]}`)
	bodies(deleteTags+toProject, 200, `{"tags":["a"],"target":"preview","revalidationDeadlineSeconds":0}`, `{"tags":`+list(16, "a")+`}`, `{"tags":"a,b"}`)
	bodies(deleteTags+toProject, 400, `{"tags":`+list(17, "a")+`}`, `{"tags":[]}`, `{"tags":""}`, `{}`, `{"tags":["a"],"x":1}`, `{"tags":["a"],"target":"x"}`,
		`{"tags":["a"],"revalidationDeadlineSeconds":-1}`, `{"tags":"`+strings.Repeat("a", 8197)+`"}`)
	bodies(invalidateTags+toProject, 200, `{"tags":["a"],"target":"production"}`)
	bodies(invalidateTags+toProject, 400, `{"tags":["a"],"revalidationDeadlineSeconds":0}`)
	bodies(deleteImages+toProject, 200, `{"srcImages":["/a"],"revalidationDeadlineSeconds":60}`)
	bodies(deleteImages+toProject, 400, `{"srcImages":`+list(9, "/a")+`}`, `{"srcImages":["/a"],"target":"preview"}`, `{"srcImages":["`+strings.Repeat("x", 8193)+`"]}`)
	bodies(invalidateImages+toProject, 200, `{"srcImages":`+list(8, "/a")+`}`)
	bodies(invalidateImages+toProject, 400, `{"srcImages":["/a"],"revalidationDeadlineSeconds":60}`)

	answered := map[string]bool{}
	for _, a := range asks {
		name := fmt.Sprintf("%s %s %.100s", a.method, a.target, a.body)
		r := httptest.NewRequest(a.method, a.target, strings.NewReader(a.body))
		r.Header.Set("Content-Type", "application/json")
		route, params, err := router.FindRoute(r)
		require.NoError(t, err, name)
		answered[a.method+" "+route.Path] = true
		for i := 0; i < len(a.headers); i += 2 {
			r.Header.Set(a.headers[i], a.headers[i+1])
		}
		options := &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true}
		input := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route, Options: options}
		if a.status != http.StatusRequestEntityTooLarge {
			err = openapi3filter.ValidateRequest(context.Background(), input)
			assert.Equal(t, a.status == 400, err != nil, "%s: the description says of the request: %v", name, err)
		}
		got := send(a.handler, a.method, a.target, a.body, a.headers...)
		assert.Equal(t, a.status, got.StatusCode, "%s: %s", name, got.body)
		if a.status == 200 && a.method == "POST" { // no body and no content type, which the validator takes for a missing one
			assert.Nil(t, route.Operation.Responses.Value("200").Value.Content)
		}
		assert.NoError(t, openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
			RequestValidationInput: input, Status: got.StatusCode, Header: got.Header, Options: options,
			Body: io.NopCloser(strings.NewReader(got.body)),
		}), "%s: the description says of the answer", name)
	}
	doc, _ := described(t, d)
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			assert.True(t, answered[method+" "+path], "%s %s is described and was not asked", method, path)
		}
	}
}

// What is served is described, at the methods that it is served at.
func TestOpenAPI_EveryRouteIsDescribed(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	doc, _ := described(t, d)
	served := slices.Concat(slices.Collect(maps.Keys(api.Endpoints)), []string{PurgesPath, PurgesPath + "/{receipt}", OpenAPIPath})
	for _, path := range api.ShowPaths {
		switch path {
		case "/v9/projects/":
			path += "{idOrName}"
		case "/teams/", "/v2/teams/":
			path += "{idOrSlug}"
		}
		served = append(served, path)
	}
	assert.ElementsMatch(t, served, slices.Collect(maps.Keys(doc.Paths.Map())))
	for _, path := range served {
		assert.True(t, slices.ContainsFunc(Paths(), func(prefix string) bool {
			return path == prefix || strings.HasSuffix(prefix, "/") && strings.HasPrefix(path, prefix)
		}), "%s is below none of Paths", path)
		operations := doc.Paths.Value(path).Operations()
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH"} {
			got := send(d, method, strings.NewReplacer("{", "", "}", "").Replace(path), "{}")
			assert.Equal(t, operations[method] == nil, got.StatusCode == 405, "%s %s", method, path)
		}
	}
}

// The numbers of the description are those of the code.
func TestOpenAPI_Bounds(t *testing.T) {
	t.Parallel()
	doc, _ := described(t, newDesk(t))
	schema := func(name string) *openapi3.Schema { return doc.Components.Schemas[name].Value }
	number := func(n int) *uint64 {
		u := uint64(n)
		return &u
	}
	assert.Equal(t, number(tasks.MaxTagBytes), schema("Tag").MaxLength)
	assert.Equal(t, number(tasks.MaxTagsPerCall), schema("CallTags").OneOf[0].Value.MaxItems)
	assert.Equal(t, number(tasks.MaxTagStringBytes), schema("CallTags").OneOf[1].Value.MaxLength)
	assert.Equal(t, number(tasks.MaxSrcImagesPerCall), schema("CallSrcImages").MaxItems)
	assert.Equal(t, number(tasks.MaxSrcImageBytes), schema("CallSrcImages").Items.Value.MaxLength)
	assert.InDelta(t, float64(tasks.MaxDeadlineSeconds), *schema("DeadlineSeconds").Max, 0)
	assert.Equal(t, []any{string(tasks.Production), string(tasks.Preview)}, schema("Target").Enum)
	purge := schema("Purge").Properties
	assert.ElementsMatch(t, slices.Collect(maps.Keys(fields)), slices.Collect(maps.Keys(purge)), "the decoder's fields")
	assert.Equal(t, number(tasks.MaxProjectBytes), purge["project"].Value.MaxLength)
	assert.Equal(t, number(tasks.MaxSrcImageBytes), purge["src_images"].Value.Items.Value.MaxLength)
	for _, wait := range []string{"settle_ms", "rebound_ms"} {
		assert.InDelta(t, float64(tasks.MaxWait.Milliseconds()), *purge[wait].Value.Max, 0)
	}
	var priorities []any
	for _, p := range tasks.Priorities {
		priorities = append(priorities, string(p))
	}
	assert.Equal(t, priorities, purge["priority"].Value.Enum)
	assert.Equal(t, []any{string(tasks.Delete), string(tasks.Invalidate)}, purge["operation"].Value.Enum)
	post := doc.Paths.Value(PurgesPath).Post
	assert.Equal(t, number(maxIdempotencyKey), post.Parameters[0].Value.Schema.Value.MaxLength)
	assert.Contains(t, post.RequestBody.Value.Description, fmt.Sprintf("%d MiB", MaxBodyBytes>>20))
	assert.Contains(t, purge["not_before"].Value.Description, fmt.Sprintf("%d days", int(tasks.MaxNotBefore.Hours()/24)))
	assert.Contains(t, string(openAPI), fmt.Sprintf("up to %d.", tasks.MaxFaults))
}
