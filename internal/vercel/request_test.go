package vercel

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/tasks"
)

// The wire, endpoint by endpoint, byte by byte.
func TestPurge_Wire(t *testing.T) {
	const base = "/v1/edge-cache/"
	for name, tt := range map[string]struct {
		change     func(*Request)
		path, body string
	}{
		"delete tags": {
			func(*Request) {}, "dangerously-delete-by-tags", `{"tags":["post-1"]}`,
		},
		"delete tags, everything": {
			func(r *Request) {
				r.Items, r.Target, r.DeadlineSeconds = []string{"a", "b"}, tasks.Production, 60
			},
			"dangerously-delete-by-tags",
			`{"tags":["a","b"],"target":"production","revalidationDeadlineSeconds":60}`,
		},
		"a deadline of 0 is sent": {
			func(r *Request) { r.DeadlineSeconds = 0 },
			"dangerously-delete-by-tags", `{"tags":["post-1"],"revalidationDeadlineSeconds":0}`,
		},
		"invalidate tags": {
			func(r *Request) { r.Operation, r.Target = tasks.Invalidate, tasks.Preview },
			"invalidate-by-tags", `{"tags":["post-1"],"target":"preview"}`,
		},
		"invalidate takes no deadline, not even 0": {
			func(r *Request) { r.Operation, r.DeadlineSeconds = tasks.Invalidate, 0 },
			"invalidate-by-tags", `{"tags":["post-1"]}`,
		},
		"delete images": {
			func(r *Request) {
				r.Kind, r.Items, r.DeadlineSeconds = tasks.SrcImage, []string{"/a.png", "https://x/b.png?w=1&h=2"}, 5
			},
			"dangerously-delete-by-src-images",
			`{"srcImages":["/a.png","https://x/b.png?w=1&h=2"],"revalidationDeadlineSeconds":5}`,
		},
		"invalidate images": {
			func(r *Request) { r.Kind, r.Operation = tasks.SrcImage, tasks.Invalidate },
			"invalidate-by-src-images", `{"srcImages":["post-1"]}`,
		},
		"string form": {
			func(r *Request) { r.Items, r.StringForm = []string{"a", "b", "c"}, true },
			"dangerously-delete-by-tags", `{"tags":"a,b,c"}`,
		},
		"string form of nothing": {
			func(r *Request) { r.Items, r.StringForm = nil, true },
			"dangerously-delete-by-tags", `{"tags":""}`,
		},
		"no tags": {
			func(r *Request) { r.Items = nil }, "dangerously-delete-by-tags", `{"tags":[]}`,
		},
		"no images": {
			func(r *Request) { r.Kind, r.Items = tasks.SrcImage, nil },
			"dangerously-delete-by-src-images", `{"srcImages":[]}`,
		},
		"verbatim": {
			func(r *Request) { r.Items = []string{"<b>&'", "é", `"\`, "*", "a/b%20c"} },
			"dangerously-delete-by-tags", `{"tags":["<b>&'","é","\"\\","*","a/b%20c"]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, calls := serve(t, answerWith(http.StatusOK, ""))
			r := purge()
			tt.change(&r)
			a, err := c.Purge(context.Background(), r)
			require.NoError(t, err)
			assert.Equal(t, 200, a.Status)
			got := <-calls
			assert.Equal(t, http.MethodPost, got.method)
			assert.Equal(t, base+tt.path+"?projectIdOrName=prj_a", got.uri)
			assert.Equal(t, tt.body, got.body)
			assert.Equal(t, "application/json", got.header.Get("Content-Type"))
		})
	}
}

func TestPurge_Query(t *testing.T) {
	for name, tt := range map[string]struct {
		change  func(*Config)
		project string
		want    string
	}{
		"personal": {func(*Config) {}, "prj_a", "?projectIdOrName=prj_a"},
		"team":     {func(c *Config) { c.TeamID = "team_1" }, "prj_a", "?projectIdOrName=prj_a&teamId=team_1"},
		"slug":     {func(c *Config) { c.Slug = "acme" }, "prj_a", "?projectIdOrName=prj_a&slug=acme"},
		"escaped":  {func(c *Config) { c.Slug = "a&b" }, "x y/z", "?projectIdOrName=x+y%2Fz&slug=a%26b"},
	} {
		t.Run(name, func(t *testing.T) {
			c, calls := serve(t, answerWith(http.StatusOK, ""), tt.change)
			r := purge()
			r.Project = tt.project
			_, err := c.Purge(context.Background(), r)
			require.NoError(t, err)
			assert.Equal(t, "/v1/edge-cache/dangerously-delete-by-tags"+tt.want, (<-calls).uri)
		})
	}
}

func TestPurge_KeepsThePathPrefix(t *testing.T) {
	c, calls := serve(t, answerWith(http.StatusOK, ""), func(c *Config) { c.BaseURL += "/gateway//" })
	_, err := c.Purge(context.Background(), purge())
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix((<-calls).uri, "/gateway/v1/edge-cache/"))
}

// What cannot be written makes no call and is the caller's fault for good.
func TestPurge_Refused(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Request)
		want   string
	}{
		"no project":            {func(r *Request) { r.Project = "" }, "project: is missing"},
		"no kind":               {func(r *Request) { r.Kind = "" }, "kind:"},
		"no operation":          {func(r *Request) { r.Operation = "purge" }, `operation: "purge" is unknown`},
		"target for images":     {func(r *Request) { r.Kind, r.Target = tasks.SrcImage, tasks.Preview }, "target: Vercel takes no target"},
		"images as string":      {func(r *Request) { r.Kind, r.StringForm = tasks.SrcImage, true }, "array only"},
		"deadline, invalidate":  {func(r *Request) { r.Operation, r.DeadlineSeconds = tasks.Invalidate, 60 }, "takes no deadline"},
		"deadline, negative":    {func(r *Request) { r.DeadlineSeconds = -2 }, "-2 is out of range"},
		"deadline, over a year": {func(r *Request) { r.DeadlineSeconds = tasks.MaxDeadlineSeconds + 1 }, "out of range"},
		"broken UTF-8":          {func(r *Request) { r.Items = []string{"a", "\xff"} }, "items[1]: is not valid UTF-8"},
		"comma in string form":  {func(r *Request) { r.Items, r.StringForm = []string{"a,b"}, true }, "items[0]: holds a comma"},
	} {
		t.Run(name, func(t *testing.T) {
			c, calls := serve(t, answerWith(http.StatusOK, ""))
			r := purge()
			tt.change(&r)
			a, err := c.Purge(context.Background(), r)
			assert.ErrorIs(t, err, tasks.ErrInvalid)
			assert.ErrorContains(t, err, tt.want)
			assert.Zero(t, a)
			assert.Empty(t, calls)
		})
	}
}

// Limits on items are Vercel's to enforce: they are learned from its answers.
func TestPurge_DoesNotCheckLimits(t *testing.T) {
	c, calls := serve(t, answerWith(http.StatusOK, ""))
	r := purge()
	r.Items = make([]string, 17)
	for i := range r.Items {
		r.Items[i] = strings.Repeat("x", 300)
	}
	_, err := c.Purge(context.Background(), r)
	require.NoError(t, err)
	assert.Len(t, (<-calls).body, len(`{"tags":[]}`)+17*302+16)
}
