package vercel

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPurge_Timeout(t *testing.T) {
	release := make(chan struct{})
	c, _ := serve(t, func(http.ResponseWriter, *http.Request) { <-release },
		func(c *Config) { c.Timeout = 30 * time.Millisecond })
	defer close(release)
	a, err := c.Purge(context.Background(), purge())
	e, ok := errors.AsType[*TransportError](err)
	require.True(t, ok, "%v", err)
	assert.True(t, e.Timeout())
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Equal(t, "POST", e.Method)
	assert.Equal(t, "/v1/edge-cache/dangerously-delete-by-tags", e.Path)
	assert.True(t, strings.HasPrefix(err.Error(), "POST /v1/edge-cache/dangerously-delete-by-tags: "))
	assert.NotContains(t, err.Error(), "prj_a", "no query")
	assert.Zero(t, a)
}

func TestPurge_TimeoutOfTheHTTPClient(t *testing.T) {
	release := make(chan struct{})
	c, _ := serve(t, func(http.ResponseWriter, *http.Request) { <-release },
		func(c *Config) {
			c.HTTPClient = &http.Client{Timeout: 30 * time.Millisecond, Transport: newTransport()}
		})
	defer close(release)
	_, err := c.Purge(context.Background(), purge())
	e, ok := errors.AsType[*TransportError](err)
	require.True(t, ok, "%v", err)
	assert.True(t, e.Timeout())
}

func TestPurge_Cancelled(t *testing.T) {
	release := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	c, _ := serve(t, func(http.ResponseWriter, *http.Request) { cancel(); <-release })
	defer close(release)
	_, err := c.Purge(ctx, purge())
	e, ok := errors.AsType[*TransportError](err)
	require.True(t, ok, "%v", err)
	assert.False(t, e.Timeout(), "the caller gave up, time did not run out")
	assert.ErrorIs(t, err, context.Canceled)
}

func TestPurge_ConnectionRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	url := "http://" + l.Addr().String()
	require.NoError(t, l.Close())
	c, err := New(Config{BaseURL: url, Token: token, TeamID: "team_9"})
	require.NoError(t, err)
	_, err = c.Purge(context.Background(), purge())
	e, ok := errors.AsType[*TransportError](err)
	require.True(t, ok, "%v", err)
	assert.False(t, e.Timeout())
	_, ok = errors.AsType[*net.OpError](err)
	assert.True(t, ok, "the cause is kept")
	assert.NotContains(t, err.Error(), "team_9")
	assertNoToken(t, err)
}

// cut promises more body than it sends.
func cut(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"error":`)
	}
}

// A 200 that breaks off proves nothing, and a purge repeated costs one call.
func TestPurge_CutSuccessIsATransportError(t *testing.T) {
	c, _ := serve(t, cut(200))
	a, err := c.Purge(context.Background(), purge())
	e, ok := errors.AsType[*TransportError](err)
	require.True(t, ok, "%v", err)
	assert.ErrorIs(t, e, io.ErrUnexpectedEOF)
	assert.Equal(t, 200, a.Status)
}

// A 429 that breaks off is still a 429: retrying at once would be wrong.
func TestPurge_CutFailureKeepsItsStatus(t *testing.T) {
	c, _ := serve(t, cut(429))
	_, err := c.Purge(context.Background(), purge())
	e, ok := errors.AsType[*StatusError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, 429, e.Status)
	assert.Equal(t, `{"error":`, e.Message)
}

// A body without end must neither fill the memory nor hold the worker.
func TestPurge_EndlessBody(t *testing.T) {
	c, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(500)
		chunk := strings.Repeat("x", 32<<10)
		for range 1 << 10 {
			if _, err := io.WriteString(w, chunk); err != nil {
				return
			}
		}
	})
	_, err := c.Purge(context.Background(), purge())
	e, ok := errors.AsType[*StatusError](err)
	require.True(t, ok, "%v", err)
	assert.Len(t, e.Message, 500)
}

func TestPurge_ReusesConnections(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"200":            answerWith(200, ""),
		"400":            answerWith(400, `{"error":{}}`),
		"body past read": answerWith(500, strings.Repeat("x", maxBodyBytes+maxDrainBytes/2)),
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := serve(t, h)
			var fresh int
			ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
				GotConn: func(i httptrace.GotConnInfo) {
					if !i.Reused {
						fresh++
					}
				},
			})
			for range 5 {
				_, _ = c.Purge(ctx, purge())
			}
			assert.Equal(t, 1, fresh)
		})
	}
}

func TestPurge_Concurrent(t *testing.T) {
	c, _ := serve(t, answerWith(200, ""))
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			_, err := c.Purge(context.Background(), purge())
			assert.NoError(t, err)
		})
	}
	wg.Wait()
}

func TestCheck(t *testing.T) {
	c, calls := serve(t, answerWith(200, `{"user":{"id":"u"}}`), func(c *Config) { c.TeamID = "team_1" })
	require.NoError(t, c.Check(context.Background()))
	got := <-calls
	assert.Equal(t, "GET", got.method)
	assert.Equal(t, "/v2/user", got.uri)
	assert.Equal(t, "Bearer "+token, got.header.Get("Authorization"))
	assert.Empty(t, got.header.Get("Content-Type"))
	assert.Empty(t, got.body)
}

func TestCheck_Refused(t *testing.T) {
	c, _ := serve(t, answerWith(403, `{"error":{"code":"forbidden","message":"Not authorized","invalidToken":true}}`))
	e, ok := errors.AsType[*StatusError](c.Check(context.Background()))
	require.True(t, ok)
	assert.True(t, e.InvalidToken)
	assert.Equal(t, 403, e.Status)
}

func TestCheck_NoAnswer(t *testing.T) {
	c, err := New(Config{Token: token, HTTPClient: &http.Client{Transport: failing{io.ErrUnexpectedEOF}}})
	require.NoError(t, err)
	err = c.Check(context.Background())
	assert.EqualError(t, err, "GET /v2/user: unexpected EOF")
}
