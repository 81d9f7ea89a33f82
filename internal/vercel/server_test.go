package vercel

import (
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

	"github.com/edgepurge/edgepurge/tasks"
)

// token is long enough to be a secret; tests look for it where it must not be.
const token = "vcp_s3cretT0kenThatMustNotBeSeen"

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

// call is what a test server saw of one request.
type call struct {
	method, uri, body string
	header            http.Header
}

// serve starts a server that notes each request and then runs h, and a client
// for it. change may adapt the client's configuration.
func serve(t *testing.T, h http.HandlerFunc, change ...func(*Config)) (*Client, chan call) {
	t.Helper()
	calls := make(chan call, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		calls <- call{method: r.Method, uri: r.RequestURI, body: string(body), header: r.Header}
		h(w, r)
	}))
	t.Cleanup(server.Close)
	config := Config{BaseURL: server.URL, Token: token, Timeout: 5 * time.Second}
	for _, f := range change {
		f(&config)
	}
	c, err := New(config)
	require.NoError(t, err)
	t.Cleanup(c.CloseIdleConnections)
	return c, calls
}

// answerWith is a handler that always gives the same answer. Headers are
// alternating names and values.
func answerWith(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// purge is a request that any endpoint test may start from.
func purge() Request {
	return Request{
		Project: "prj_a", Kind: tasks.Tag, Operation: tasks.Delete,
		Items: []string{"post-1"}, DeadlineSeconds: tasks.NoDeadline,
	}
}
