package emulator

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/vercel"
	"github.com/edgepurge/edgepurge/internal/vercel/api"
	"github.com/edgepurge/edgepurge/tasks"
)

const (
	secret    = "tok_0123456789abcdefSECRET"
	tagsPath  = "/v1/edge-cache/dangerously-delete-by-tags"
	imagePath = "/v1/edge-cache/dangerously-delete-by-src-images"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if left := leaked(); code == 0 && left != "" {
		fmt.Fprintln(os.Stderr, "goroutines left behind:\n"+left)
		code = 1
	}
	os.Exit(code)
}

// leaked returns the stacks of this module's goroutines and of HTTP connections
// that are still there after a grace of two seconds.
func leaked() string {
	var left string
	for range 40 {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		left = ""
		for i, g := range strings.Split(string(stacks), "\n\n") {
			if i > 0 && (strings.Contains(g, "edgepurge/edgepurge") || strings.Contains(g, "net/http.")) {
				left += g + "\n\n"
			}
		}
		if left == "" {
			return ""
		}
		time.Sleep(50 * time.Millisecond)
	}
	return left
}

// bench is an emulator that is served, and a client for it.
type bench struct {
	*Emulator
	url    string
	client *vercel.Client
	http   *http.Client
}

func start(t testing.TB, c Config) *bench {
	t.Helper()
	e, err := New(c)
	require.NoError(t, err)
	server := httptest.NewServer(e)
	b := &bench{Emulator: e, url: server.URL, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	b.client = b.with(t, vercel.Config{})
	t.Cleanup(func() {
		b.http.CloseIdleConnections()
		require.NoError(t, e.Close())
		server.Close()
	})
	return b
}

// with returns a client with a configuration of its own.
func (b *bench) with(t testing.TB, c vercel.Config) *vercel.Client {
	t.Helper()
	c.BaseURL = b.url
	if c.Token == "" {
		c.Token = secret
	}
	client, err := vercel.New(c)
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// purge makes a call with the client.
func (b *bench) purge(tags ...string) (vercel.Answer, error) {
	return b.client.Purge(context.Background(), request(tags...))
}

func request(tags ...string) vercel.Request {
	return vercel.Request{
		Project: "prj_a", Kind: tasks.Tag, Operation: tasks.Delete, Items: tags, DeadlineSeconds: tasks.NoDeadline,
	}
}

// reply is a raw HTTP answer.
type replyOf struct {
	*http.Response
	text string
}

// send makes a raw call. path may hold a query; headers are names and values.
func (b *bench) send(t testing.TB, method, path, body string, headers ...string) replyOf {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, b.url+path, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+secret)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
		}
	}
	resp, err := b.http.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return replyOf{resp, string(text)}
}

// problem decodes the error envelope.
func (r replyOf) problem(t testing.TB) api.Error {
	t.Helper()
	var body map[string]api.Error
	require.NoError(t, json.Unmarshal([]byte(r.text), &body), r.text)
	require.Contains(t, body, "error", r.text)
	assert.Equal(t, "application/json; charset=utf-8", r.Header.Get("Content-Type"))
	return body["error"]
}

func (b *bench) only(t testing.TB) Call {
	t.Helper()
	calls := b.Journal()
	require.Len(t, calls, 1)
	return calls[0]
}

// An answer that Vercel's command line and SDK both accept: 200, no body, no
// content type.
func TestSuccess_HasNeitherBodyNorContentType(t *testing.T) {
	b := start(t, Config{})
	r := b.send(t, "POST", tagsPath+"?projectIdOrName=p", `{"tags":["a"]}`)
	assert.Equal(t, 200, r.StatusCode)
	assert.Empty(t, r.text)
	assert.NotContains(t, r.Header, "Content-Type")
	assert.Equal(t, "0", r.Header.Get("Content-Length"))
	assert.Regexp(t, `^emu1::[0-9a-z]+-\d{13}$`, r.Header.Get("X-Vercel-Id"))
	assert.NotContains(t, r.Header, "X-Ratelimit-Limit", "no limit, no word of it")
}

func TestPurge_EveryEndpointIsJournaled(t *testing.T) {
	b := start(t, Config{Tokens: []Token{{Name: "ci", Secret: secret}}})
	team := b.with(t, vercel.Config{TeamID: "team_1"})
	for _, kind := range []tasks.Kind{tasks.Tag, tasks.SrcImage} {
		for _, operation := range []tasks.Operation{tasks.Delete, tasks.Invalidate} {
			t.Run(string(kind)+" "+string(operation), func(t *testing.T) {
				b.Reset()
				r := vercel.Request{Project: "prj_a", Kind: kind, Operation: operation, Items: []string{"a", "<b>&é"}, DeadlineSeconds: tasks.NoDeadline}
				if operation == tasks.Delete {
					r.DeadlineSeconds = 60
				}
				if kind == tasks.Tag {
					r.Target = tasks.Preview
				}
				before := time.Now()
				a, err := team.Purge(context.Background(), r)
				require.NoError(t, err)
				c := b.only(t)
				assert.False(t, c.Start.Before(before))
				assert.False(t, c.End.Before(c.Start))
				assert.False(t, c.End.After(time.Now()))
				c.Start, c.End, c.Path, c.Seq = time.Time{}, time.Time{}, "", 0
				assert.Equal(t, Call{
					Method: "POST", Token: "ci", Team: "team_1", Project: "prj_a", Kind: kind, Operation: operation,
					Items: r.Items, Target: r.Target, DeadlineSeconds: r.DeadlineSeconds,
					Status: 200, Counted: true, Applied: true, RequestID: a.RequestID,
				}, c)
			})
		}
	}
}

func TestPurge_StringForm(t *testing.T) {
	b := start(t, Config{})
	r := request("a", "b", "c")
	r.StringForm = true
	_, err := b.client.Purge(context.Background(), r)
	require.NoError(t, err)
	c := b.only(t)
	assert.True(t, c.StringForm)
	assert.Equal(t, []string{"a", "b", "c"}, c.Items)
}

func TestPurgeAll(t *testing.T) {
	b := start(t, Config{Limit: Limit{Calls: 2}})
	for _, r := range []struct{ method, path string }{
		{"POST", "/v1/edge-cache/purge-all"}, {"DELETE", "/v1/data-cache/purge-all"},
	} {
		b.Reset()
		got := b.send(t, r.method, r.path+"?projectIdOrName=p&slug=acme", "")
		assert.Equal(t, 200, got.StatusCode)
		c := b.only(t)
		assert.Equal(t, KindAll, c.Kind)
		assert.Equal(t, "acme", c.Team)
		assert.True(t, c.Applied)
		assert.True(t, c.Counted, "it spends the same budget")
	}
	assert.Equal(t, 429, b.send(t, "POST", "/v1/edge-cache/purge-all?projectIdOrName=p&slug=acme", "").StatusCode)
	assert.Equal(t, 400, b.send(t, "POST", "/v1/edge-cache/purge-all", "").StatusCode)
}

func TestRequestID_IsOnEveryAnswerAndNeverTwice(t *testing.T) {
	b := start(t, Config{})
	seen := map[string]bool{}
	for _, path := range []string{tagsPath, "/nowhere", "/_emulator/stats", "/_emulator/nowhere", "/v2/user"} {
		id := b.send(t, "GET", path, "").Header.Get("X-Vercel-Id")
		assert.NotEmpty(t, id, path)
		assert.False(t, seen[id], id)
		seen[id] = true
	}
}

func TestClose_Twice(t *testing.T) {
	e, err := New(Config{})
	require.NoError(t, err)
	require.NoError(t, e.Close())
	require.NoError(t, e.Close())
}
