package emulator

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/edgepurge/edgepurge/internal/vercel/api"
	"github.com/edgepurge/edgepurge/tasks"
)

// list is a JSON array of n strings.
func list(n int, item string) string {
	items := make([]string, n)
	for i := range items {
		items[i] = item
	}
	b, _ := json.Marshal(items)
	return string(b)
}

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// Every fault of the schema, at every endpoint that it can occur at. The
// problem is what follows "Invalid request: "; empty: accepted.
func TestSchema(t *testing.T) {
	long := strings.Repeat
	endpoint := map[string]string{
		"delete tags": tagsPath, "invalidate tags": "/v1/edge-cache/invalidate-by-tags",
		"delete images": imagePath, "invalidate images": "/v1/edge-cache/invalidate-by-src-images",
	}
	b := start(t, Config{})
	for _, tt := range []struct{ endpoint, body, problem string }{
		// The body as a whole.
		{"delete tags", ``, "should be object."},
		{"delete tags", ` `, "should be object."},
		{"delete tags", `null`, "should be object."},
		{"delete tags", `[]`, "should be object."},
		{"delete tags", `"tags"`, "should be object."},
		{"delete tags", `{"tags":["a"]`, "body is not valid JSON."},
		{"delete tags", `{"tags":["a"]} x`, "body is not valid JSON."},
		{"delete tags", `tags=a`, "body is not valid JSON."},
		{"delete tags", "{\"tags\":[\"\xff\"]}", "body is not valid JSON."}, // encoding/json would read a different tag
		{"delete tags", `{"tags":["\ud83d"]}`, "body is not valid JSON."},
		{"delete tags", `{"tags":["\ud83d\ude00"]}`, ""},
		{"delete tags", `{}`, "missing required property `tags`."},
		{"invalidate tags", `{}`, "missing required property `tags`."},
		{"delete images", `{}`, "missing required property `srcImages`."},
		{"invalidate images", `{}`, "missing required property `srcImages`."},
		// Fields that an endpoint does not know.
		{"delete tags", `{"tags":["a"],"x":1}`, "should NOT have additional property `x`."},
		{"delete tags", `{"tags":["a"],"Tags":["a"]}`, "should NOT have additional property `Tags`."},
		{"delete tags", `{"tags":["a"],"srcImages":["/a"]}`, "should NOT have additional property `srcImages`."},
		{"invalidate tags", `{"tags":["a"],"revalidationDeadlineSeconds":0}`, "should NOT have additional property `revalidationDeadlineSeconds`."},
		{"delete images", `{"srcImages":["a"],"target":"preview"}`, "should NOT have additional property `target`."},
		{"delete images", `{"srcImages":["a"],"tags":["a"]}`, "should NOT have additional property `tags`."},
		{"invalidate images", `{"srcImages":["a"],"revalidationDeadlineSeconds":0}`, "should NOT have additional property `revalidationDeadlineSeconds`."},
		{"invalidate images", `{"srcImages":["a"],"target":"preview"}`, "should NOT have additional property `target`."},
		// Tags as an array.
		{"delete tags", `{"tags":["a"]}`, ""},
		{"delete tags", `{"tags":` + list(16, "a") + `}`, ""},
		{"delete tags", `{"tags":` + list(17, "a") + `}`, "`tags` should NOT have more than 16 items."},
		{"invalidate tags", `{"tags":` + list(17, "a") + `}`, "`tags` should NOT have more than 16 items."},
		{"delete tags", `{"tags":[]}`, "`tags` should NOT have fewer than 1 items."},
		{"delete tags", `{"tags":null}`, "`tags` should be array."},
		{"delete tags", `{"tags":1}`, "`tags` should be array."},
		{"delete tags", `{"tags":{"a":"b"}}`, "`tags` should be array."},
		{"delete tags", `{"tags":["a",1]}`, "`tags[1]` should be string."},
		{"delete tags", `{"tags":[["a"]]}`, "`tags[0]` should be string."},
		{"delete tags", `{"tags":["a",null]}`, "`tags[1]` should be string."},
		{"delete tags", `{"tags":["a",""]}`, "`tags[1]` should NOT be shorter than 1 characters."},
		{"delete tags", `{"tags":["` + long("x", 256) + `"]}`, ""},
		{"delete tags", `{"tags":["a","` + long("x", 257) + `"]}`, "`tags[1]` should NOT be longer than 256 characters."},
		{"delete tags", `{"tags":["` + long("é", 128) + `"]}`, ""},
		{"delete tags", `{"tags":["` + long("é", 129) + `"]}`, "`tags[0]` should NOT be longer than 256 bytes."},
		{"delete tags", `{"tags":["` + long("é", 257) + `"]}`, "`tags[0]` should NOT be longer than 256 characters."},
		// Tags as a string.
		{"delete tags", `{"tags":"a,b"}`, ""},
		{"invalidate tags", `{"tags":"a"}`, ""},
		{"delete tags", `{"tags":""}`, "`tags` should NOT be shorter than 1 characters."},
		{"delete tags", `{"tags":"a,,b"}`, "`tags[1]` should NOT be shorter than 1 characters."},
		{"delete tags", `{"tags":"a,` + long("x", 257) + `"}`, "`tags[1]` should NOT be longer than 256 characters."},
		{"delete tags", `{"tags":` + quoted(long("a,", 4097)+"ab") + `}`, ""}, // 8196
		{"delete tags", `{"tags":` + quoted(long("a,", 4097)+"abc") + `}`, "`tags` should NOT be longer than 8196 characters."},
		// Source images.
		{"delete images", `{"srcImages":` + list(8, "/a.png") + `}`, ""},
		{"delete images", `{"srcImages":` + list(9, "/a.png") + `}`, "`srcImages` should NOT have more than 8 items."},
		{"invalidate images", `{"srcImages":` + list(9, "/a.png") + `}`, "`srcImages` should NOT have more than 8 items."},
		{"delete images", `{"srcImages":[]}`, "`srcImages` should NOT have fewer than 1 items."},
		{"delete images", `{"srcImages":"/a,/b"}`, "`srcImages` should be array."},
		{"delete images", `{"srcImages":[true]}`, "`srcImages[0]` should be string."},
		{"delete images", `{"srcImages":[""]}`, "`srcImages[0]` should NOT be shorter than 1 characters."},
		{"delete images", `{"srcImages":["` + long("x", 8192) + `"]}`, ""},
		{"delete images", `{"srcImages":["` + long("x", 8193) + `"]}`, "`srcImages[0]` should NOT be longer than 8192 characters."},
		{"delete images", `{"srcImages":["` + long("é", 8192) + `"]}`, ""}, // characters, not bytes
		{"delete images", `{"srcImages":["/a,b.png"]}`, ""},
		// Target.
		{"delete tags", `{"tags":["a"],"target":"production"}`, ""},
		{"invalidate tags", `{"tags":["a"],"target":"preview"}`, ""},
		{"delete tags", `{"tags":["a"],"target":"staging"}`, "`target` should be equal to one of the allowed values \"production, preview\"."},
		{"delete tags", `{"tags":["a"],"target":""}`, "`target` should be equal to one of the allowed values \"production, preview\"."},
		{"delete tags", `{"tags":["a"],"target":null}`, "`target` should be string."},
		{"delete tags", `{"tags":["a"],"target":1}`, "`target` should be string."},
		// Deadline.
		{"delete tags", `{"tags":["a"],"revalidationDeadlineSeconds":0}`, ""},
		{"delete images", `{"srcImages":["a"],"revalidationDeadlineSeconds":31536000}`, ""},
		{"delete tags", `{"tags":["a"],"revalidationDeadlineSeconds":60.0}`, ""},
		{"delete tags", `{"tags":["a"],"revalidationDeadlineSeconds":31536001}`, "`revalidationDeadlineSeconds` should be <= 31536000."},
		{"delete tags", `{"tags":["a"],"revalidationDeadlineSeconds":1e300}`, "`revalidationDeadlineSeconds` should be <= 31536000."},
		{"delete tags", `{"tags":["a"],"revalidationDeadlineSeconds":-1}`, "`revalidationDeadlineSeconds` should be >= 0."},
		{"delete tags", `{"tags":["a"],"revalidationDeadlineSeconds":1.5}`, "`revalidationDeadlineSeconds` should be integer."},
		{"delete tags", `{"tags":["a"],"revalidationDeadlineSeconds":"60"}`, "`revalidationDeadlineSeconds` should be integer."},
		{"delete tags", `{"tags":["a"],"revalidationDeadlineSeconds":null}`, "`revalidationDeadlineSeconds` should be integer."},
	} {
		t.Run(fmt.Sprintf("%s %.60s", tt.endpoint, tt.body), func(t *testing.T) {
			b.Reset()
			r := b.send(t, "POST", endpoint[tt.endpoint]+"?projectIdOrName=p", tt.body)
			c := b.only(t)
			assert.Equal(t, r.StatusCode, c.Status)
			assert.Equal(t, tt.problem == "", c.Applied)
			if tt.problem == "" {
				assert.Equal(t, 200, r.StatusCode, r.text)
				return
			}
			assert.Equal(t, 400, r.StatusCode)
			assert.Equal(t, api.Error{Code: "bad_request", Message: "Invalid request: " + tt.problem}, r.problem(t))
		})
	}
}

func TestSchema_Query(t *testing.T) {
	b := start(t, Config{})
	for query, want := range map[string]int{
		"?projectIdOrName=p":                         200,
		"?projectIdOrName=p&teamId=t":                200,
		"?projectIdOrName=p&slug=s":                  200,
		"?projectIdOrName=p&other=x":                 200, // additionalProperties speaks of the body
		"":                                           400,
		"?projectIdOrName=":                          400,
		"?project=p":                                 400,
		"?projectIdOrName=p&projectIdOrName=q":       400,
		"?projectIdOrName=p&teamId=":                 400,
		"?projectIdOrName=p&teamId=t&slug=s":         400,
		"?projectIdOrName=p&teamId=t&teamId=u":       400,
		"?slug=s&teamId=t&projectIdOrName=p&other=x": 400,
	} {
		t.Run(query, func(t *testing.T) {
			r := b.send(t, "POST", tagsPath+query, `{"tags":["a"]}`)
			assert.Equal(t, want, r.StatusCode, r.text)
			if want == 400 {
				assert.Equal(t, "bad_request", r.problem(t).Code)
			}
		})
	}
}

// A later Vercel with other bounds, so that learning them can be tested.
func TestSchema_OtherBounds(t *testing.T) {
	b := start(t, Config{Schema: api.Schema{MaxTags: 4, MaxSrcImages: 2, MaxTagsInString: 3}})
	for body, want := range map[string]string{
		`{"tags":` + list(4, "a") + `}`: "",
		`{"tags":` + list(5, "a") + `}`: "`tags` should NOT have more than 4 items.",
		`{"tags":"a,b,c"}`:              "",
		`{"tags":"a,b,c,d"}`:            "`tags` should NOT have more than 3 items.",
	} {
		r := b.send(t, "POST", tagsPath+"?projectIdOrName=p", body)
		if want == "" {
			assert.Equal(t, 200, r.StatusCode, body)
			continue
		}
		assert.Equal(t, "Invalid request: "+want, r.problem(t).Message)
	}
	r := b.send(t, "POST", imagePath+"?projectIdOrName=p", `{"srcImages":["a","b","c"]}`)
	assert.Equal(t, "Invalid request: `srcImages` should NOT have more than 2 items.", r.problem(t).Message)
}

// What could be read of a refused body is in the journal all the same.
func TestSchema_RefusedIsJournaled(t *testing.T) {
	b := start(t, Config{})
	b.send(t, "POST", tagsPath, `{"tags":["a","b"],"target":"preview","revalidationDeadlineSeconds":5,"x":1}`)
	c := b.only(t)
	assert.Equal(t, []string{"a", "b"}, c.Items)
	assert.Equal(t, tasks.Preview, c.Target)
	assert.Equal(t, 5, c.DeadlineSeconds)
	assert.Empty(t, c.Project)
	assert.False(t, c.Applied)
	assert.True(t, c.Counted, "a rejected 400 spends budget")
}
