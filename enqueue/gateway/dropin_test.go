package gateway

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
)

const (
	deleteTags       = "/v1/edge-cache/dangerously-delete-by-tags"
	invalidateTags   = "/v1/edge-cache/invalidate-by-tags"
	deleteImages     = "/v1/edge-cache/dangerously-delete-by-src-images"
	invalidateImages = "/v1/edge-cache/invalidate-by-src-images"
	toProject        = "?projectIdOrName=prj_abc"
)

// list is a JSON array of n strings.
func list(n int, item string) string {
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprint(item, i)
	}
	b, _ := json.Marshal(items)
	return string(b)
}

// What each of Vercel's calls becomes, and that it is answered as the official
// clients want it: 200 with no body and no content type.
func TestDropIn_WhatIsStored(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	sixty, zero := 60, 0
	for _, test := range []struct {
		target, body string
		want         tasks.Purge
	}{
		{deleteTags + toProject, `{"tags":["a","b"]}`, tasks.Purge{Operation: tasks.Delete, Tags: []string{"a", "b"}}},
		{deleteTags + toProject, `{"tags":"a,b"}`, tasks.Purge{Operation: tasks.Delete, Tags: []string{"a", "b"}}},
		{deleteTags + toProject, `{"tags":"a, b "}`, tasks.Purge{Operation: tasks.Delete, Tags: []string{"a", "b"}}},
		{
			deleteTags + toProject + "&teamId=team_1", `{"tags":["a"],"target":"production","revalidationDeadlineSeconds":60}`,
			tasks.Purge{Operation: tasks.Delete, Tags: []string{"a"}, Target: tasks.Production, DeadlineSeconds: &sixty},
		},
		{
			deleteTags + toProject + "&slug=acme", `{"tags":["Ä"],"target":"preview","revalidationDeadlineSeconds":0}`,
			tasks.Purge{Operation: tasks.Delete, Tags: []string{"Ä"}, Target: tasks.Preview, DeadlineSeconds: &zero},
		},
		{invalidateTags + toProject, `{"tags":["a"],"target":"preview"}`, tasks.Purge{Operation: tasks.Invalidate, Tags: []string{"a"}, Target: tasks.Preview}},
		{
			deleteImages + toProject, `{"srcImages":["/a,b.png"],"revalidationDeadlineSeconds":60}`,
			tasks.Purge{Operation: tasks.Delete, SrcImages: []string{"/a,b.png"}, DeadlineSeconds: &sixty},
		},
		{invalidateImages + toProject, `{"srcImages":["/a"]}`, tasks.Purge{Operation: tasks.Invalidate, SrcImages: []string{"/a"}}},
	} {
		r := send(d, "POST", test.target, test.body)
		assert.Equal(t, 200, r.StatusCode, r.body)
		assert.Empty(t, r.body)
		assert.Empty(t, r.Header.Values("Content-Type"))
		test.want.Project, test.want.Source = "prj_abc", "shop"
		purges := d.taken()
		require.Len(t, purges, 1, test.target)
		assert.Equal(t, test.want, purges[0])
		require.NoError(t, purges[0].Validate())
	}
	assert.Equal(t, map[counted]int{{"shop", Queued}: 8}, d.counts)
}

// Whatever is asked, the gateway answers as the emulator does, byte for byte,
// and what is refused is not stored.
func TestDropIn_AnswersAsVercel(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	e, err := emulator.New(emulator.Config{Tokens: []emulator.Token{{Name: "shop", Secret: shopSecret}}})
	require.NoError(t, err)
	long := strings.Repeat
	type ask struct {
		method, target, body, authorization string
		status                              int
	}
	var asks []ask
	post := func(status int, path string, bodies ...string) {
		for _, body := range bodies {
			asks = append(asks, ask{"POST", path + toProject, body, "Bearer " + shopSecret, status})
		}
	}
	post(200, deleteTags, `{"tags":["a"]}`, `{"tags":`+list(16, "a")+`}`, `{"tags":"a,b"}`, `{"tags":["a"],"revalidationDeadlineSeconds":6e1}`,
		`{"tags":"`+long("ab,", 2731)+`ab"}`, `{"tags":["`+long("é", 128)+`"]}`)
	post(400, deleteTags, ``, `null`, `[]`, `{`, `{}`, `{"tags":`+list(17, "a")+`}`, `{"tags":[]}`, `{"tags":""}`, `{"tags":null}`, `{"tags":[1]}`,
		`{"tags":[""]}`, `{"tags":"a,,b"}`, `{"tags":["a"],"x":1}`, `{"tags":["a"],"target":"staging"}`, `{"tags":["a"],"target":""}`,
		`{"tags":["a"],"revalidationDeadlineSeconds":-1}`, `{"tags":["a"],"revalidationDeadlineSeconds":31536001}`,
		`{"tags":["`+long("x", 257)+`"]}`, `{"tags":["`+long("é", 129)+`"]}`, `{"tags":"`+long("ab,", 2732)+`a"}`, `{"tags":["\ud83d"]}`, "{\"tags\":[\"\xff\"]}")
	post(400, invalidateTags, `{"tags":["a"],"revalidationDeadlineSeconds":0}`, `{"tags":`+list(17, "a")+`}`)
	post(200, deleteImages, `{"srcImages":`+list(8, "/a")+`}`)
	post(400, deleteImages, `{"srcImages":`+list(9, "/a")+`}`, `{"srcImages":["/a"],"target":"preview"}`, `{"srcImages":"/a"}`, `{"srcImages":["`+long("x", 8193)+`"]}`)
	post(400, invalidateImages, `{"srcImages":["/a"],"revalidationDeadlineSeconds":0}`)
	post(413, deleteTags, `{"tags":["`+long("x", 1<<20)+`"]}`)
	for _, query := range []string{
		"", "?projectIdOrName=", "?projectIdOrName=p&projectIdOrName=q", "?projectIdOrName=p&teamId=", "?projectIdOrName=p&teamId=t&slug=s",
	} {
		asks = append(asks, ask{"POST", deleteTags + query, `{"tags":["a"]}`, "Bearer " + shopSecret, 400})
	}
	for _, authorization := range []string{"", "Bearer", "Bearer ", "Basic dTpw", shopSecret} {
		asks = append(asks, ask{"POST", deleteTags + toProject, `{"tags":["a"]}`, authorization, 403})
	}
	for _, authorization := range []string{"Bearer nobody", "Bearer " + shopSecret + "x", "bearer " + shopSecret[1:]} {
		asks = append(asks, ask{"POST", deleteTags + toProject, `{"tags":["a"]}`, authorization, 403})
		asks = append(asks, ask{"GET", "/v2/user", ``, authorization, 403})
	}
	for _, path := range []string{deleteTags, invalidateTags, deleteImages, invalidateImages} {
		asks = append(asks, ask{"GET", path + toProject, ``, "Bearer " + shopSecret, 405}, ask{"PUT", path, ``, "", 405})
	}
	for _, path := range []string{
		"/", "/v1/edge-cache/", deleteTags + "/", "/v1/edge-cache/dangerously-delete-by-urls", "/v2/edge-cache/invalidate-by-tags",
		"/v9/projects/", "/v9/projects/p/domains", "/teams/", "/v2/users",
	} {
		asks = append(asks, ask{"POST", path, `{}`, "Bearer " + shopSecret, 404})
	}
	for _, path := range []string{"/v2/user", "/teams/acme", "/v2/teams/team_1", "/v9/projects/shop", "/v9/projects/prj_abc?teamId=team_1"} {
		asks = append(asks, ask{"GET", path, ``, "Bearer " + shopSecret, 200}, ask{"POST", path, ``, "Bearer " + shopSecret, 405}, ask{"GET", path, ``, "", 403})
	}
	for _, a := range asks {
		name := fmt.Sprintf("%s %s %.80s %.12s", a.method, a.target, a.body, a.authorization)
		theirs := send(e, a.method, a.target, a.body, "Authorization", a.authorization)
		ours := send(d, a.method, a.target, a.body, "Authorization", a.authorization)
		assert.Equal(t, a.status, ours.StatusCode, "%s: %s", name, ours.body)
		assert.Equal(t, theirs.StatusCode, ours.StatusCode, "%s: %s", name, theirs.body)
		assert.Equal(t, theirs.body, ours.body, name)
		for _, header := range []string{"Content-Type", "Content-Length", "Allow", "Location"} {
			assert.Equal(t, theirs.Header.Values(header), ours.Header.Values(header), "%s: %s", name, header)
		}
		purges := 0
		if a.status == 200 && a.method == "POST" {
			purges = 1
		}
		assert.Len(t, d.taken(), purges, name)
	}
}

// What Vercel's schema lets pass and a purge request cannot hold, or must not.
func TestDropIn_StricterThanVercel(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for _, test := range []struct{ target, body, message string }{
		{deleteTags + toProject, `{"tags":["a","b,c"]}`, "Invalid request: `tags[1]` holds a comma, which Vercel reads as a separator: \"b,c\"."},
		{deleteTags + toProject, `{"tags":[" a"]}`, "Invalid request: `tags[0]` begins or ends with white space: \" a\"."},
		{deleteTags + toProject, `{"tags":["a\n"]}`, "Invalid request: `tags[0]` holds a control character: \"a\\n\"."},
		{deleteTags + toProject, `{"tags":["*"]}`, "Invalid request: `tags[0]` \"*\" would purge the whole project: POST /v1/purges with \"tags\":[\"*\"] and \"allow_all\":true does."},
		{invalidateTags + toProject, `{"tags":"a,*"}`, "Invalid request: `tags[1]` \"*\" would purge the whole project: POST /v1/purges with \"tags\":[\"*\"] and \"allow_all\":true does."},
		{deleteTags + toProject, `{"tags":"a, ,b"}`, "Invalid request: `tags[1]` is empty."},
		{deleteImages + toProject, `{"srcImages":["/a\u0000"]}`, "Invalid request: `srcImages[0]` holds a control character: \"/a\\x00\"."},
	} {
		r := send(d, "POST", test.target, test.body)
		assert.Equal(t, 400, r.StatusCode, r.body)
		assert.Equal(t, test.message, r.problem(t).Message)
		assert.Equal(t, "bad_request", r.problem(t).Code)
		assert.Empty(t, r.problem(t).Faults, "Vercel's envelope has none")
	}
	for _, path := range []string{"/v1/edge-cache/purge-all", "/v1/data-cache/purge-all"} {
		r := send(d, "POST", path+toProject, `{}`)
		assert.Equal(t, 404, r.StatusCode)
		assert.Contains(t, r.problem(t).Message, "allow_all")
	}
	r := send(d, "POST", deleteTags+"?projectIdOrName=a%20b", `{"tags":["a"]}`)
	assert.Equal(t, 404, r.StatusCode)
	assert.Equal(t, "Project not found", r.problem(t).Message)
	assert.Empty(t, d.taken())
}

// A key opens its own projects and no other, and cannot tell an other from none.
func TestDropIn_ProjectsOfTheKey(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	as := []string{"Authorization", "Bearer " + blogSecret}
	for project, status := range map[string]int{"prj_blog": 200, "blog": 200, "prj_abc": 404, "Blog": 404, "prj_blo": 404, "prj_blogs": 404, "*": 404} {
		r := send(d, "POST", invalidateTags+"?projectIdOrName="+project, `{"tags":["a"]}`, as...)
		assert.Equal(t, status, r.StatusCode, project)
		purges := d.taken()
		if status == 200 {
			require.Len(t, purges, 1)
			assert.Equal(t, "blog", purges[0].Source)
			continue
		}
		assert.Empty(t, purges, project)
		assert.Equal(t, problem{Error: noProject.Error()}, r.problem(t))
	}
	assert.Equal(t, 200, send(d, "GET", "/v9/projects/blog", "", as...).StatusCode)
	assert.Equal(t, 404, send(d, "GET", "/v9/projects/shop", "", as...).StatusCode)
	assert.Equal(t, 400, send(d, "POST", deleteTags+"?projectIdOrName=shop", `{"tags":[]}`, as...).StatusCode, "the schema comes first")
}
