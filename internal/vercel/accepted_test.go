package vercel

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPurge_JudgesTheBodyOfA2xx(t *testing.T) {
	for _, test := range []struct {
		body, contentType string
		refused           string // part of the error; "": accepted
	}{
		{"", "", ""},
		{"", "application/json", ""},
		{" \r\n", "text/html", ""},
		{"{}", "application/json", ""},
		{` {"ok":true,"data":{"error":"inner"}} `, "", ""},
		{`{"error":null}`, "application/json", ""},
		{"<!doctype html><title>Sign in</title><p>Welcome to Hotel WiFi", "text/html", "Sign in Welcome to Hotel WiFi"},
		{`{"error":{"code":"internal","message":"Try again"}}`, "application/json", "internal Try again"},
		{`{"err":{"code":"internal","message":"Try again"}}`, "application/json", "internal Try again"},
		{`{"error":true}`, "application/json", "error"},
		{`{"error":"no"}`, "application/json", "no"},
		{"OK", "text/plain", "OK"},
		{"[]", "application/json", "[]"},
		{"null", "application/json", "null"},
		{"{}{}", "application/json", "{}{}"},
		{`{"a":`, "application/json", "a"},
		{`{"a":"` + strings.Repeat("x", maxBodyBytes) + `"}`, "application/json", "xxx"},
	} {
		for _, status := range []int{200, 202} {
			c, _ := serve(t, answerWith(status, test.body, "Content-Type", test.contentType))
			a, err := c.Purge(context.Background(), purge())
			assert.Equal(t, status, a.Status)
			if test.refused == "" {
				assert.NoError(t, err, "%.40s", test.body)
				continue
			}
			e, ok := errors.AsType[*TransportError](err)
			require.True(t, ok, "%.40s: %v", test.body, err)
			assert.False(t, e.Timeout())
			assert.ErrorContains(t, err, test.refused)
			assert.ErrorContains(t, err, "answered "+strconv.Itoa(status))
			assert.Less(t, len(err.Error()), 1000)
		}
	}
}

func TestPurge_ARefused2xxTellsNoToken(t *testing.T) {
	c, _ := serve(t, answerWith(200, "<p>your token is "+token))
	_, err := c.Purge(context.Background(), purge())
	require.Error(t, err)
	assertNoToken(t, err)
}

// What is known decides: a whole object was said, a part of one was not.
func TestPurge_CutAfterTheStatus(t *testing.T) {
	for body, accepted := range map[string]bool{
		"": false, "{": false, "{}": true, `{"error":`: false, "<html>": false,
	} {
		c, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, body)
		})
		a, err := c.Purge(context.Background(), purge())
		assert.Equal(t, 200, a.Status, body)
		if accepted {
			assert.NoError(t, err, body)
			continue
		}
		e, ok := errors.AsType[*TransportError](err)
		require.True(t, ok, "%q: %v", body, err)
		assert.ErrorIs(t, e, io.ErrUnexpectedEOF, body)
	}
}

// An error under 200 is no accepted token either.
func TestCheck_JudgesTheBodyToo(t *testing.T) {
	c, _ := serve(t, answerWith(200, "<p>Sign in", "Content-Type", "text/html"))
	assert.ErrorContains(t, c.Check(context.Background()), "not as Vercel accepts a call")
}
