package vercel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// verbs are what people write into format strings by habit or by mistake.
var verbs = []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T"}

// assertNoToken fails if any way to print v shows the token, in plain or in hex.
func assertNoToken(t *testing.T, v any) {
	t.Helper()
	for _, verb := range verbs {
		text := fmt.Sprintf(verb, v)
		assert.NotContains(t, text, token, verb)
		assert.NotContains(t, text, fmt.Sprintf("%x", token), verb)
	}
	for err, ok := v.(error); ok && err != nil; err = errors.Unwrap(err) {
		for _, verb := range verbs {
			assert.NotContains(t, fmt.Sprintf(verb, err), token, "%s of the cause %T", verb, err)
		}
	}
}

func TestToken_IsNotFormatted(t *testing.T) {
	config := Config{BaseURL: "http://localhost:1", Token: token, TeamID: "team_1"}
	c, err := New(config)
	require.NoError(t, err)
	type holder struct {
		Config  Config
		Pointer *Config
		Client  *Client
		Copy    Client
	}
	for name, v := range map[string]any{
		"config": config, "*config": &config, "client": c, "*client": *c,
		"in a struct": holder{config, &config, c, *c}, "in a slice": []any{config, c}, "in a map": map[string]any{"c": c},
	} {
		t.Run(name, func(t *testing.T) {
			assertNoToken(t, v)
			assert.NotContains(t, fmt.Sprint(assert.ObjectsAreEqual(v, nil)), token)
			if b, err := json.Marshal(v); err == nil {
				assert.NotContains(t, string(b), token)
			}
		})
	}
	assert.Equal(t, "vercel.Config(http://localhost:1, team team_1, token [redacted])", config.GoString())
	assert.Equal(t, "vercel.Client(http://localhost:1, team team_1)", c.GoString())
	assert.Equal(t, "vercel.Config(https://api.vercel.com, no token)", Config{}.String())
	bad := Config{BaseURL: "http://u:" + token + "@h", Token: token}
	assert.Equal(t, "vercel.Config(invalid URL, token [redacted])", bad.String())
	personal, err := New(Config{Token: token})
	require.NoError(t, err)
	assert.Equal(t, "vercel.Client(https://api.vercel.com)", personal.String())
	var none *Client
	assert.Equal(t, "<nil>", fmt.Sprint(none))
}

// A far side that echoes the token, or half hides it, must not bring it into a log.
func TestToken_EchoedByTheServer(t *testing.T) {
	for name, body := range map[string]string{
		"envelope":        `{"error":{"code":"` + token + `","message":"bad token ` + token + `!"}}`,
		"HTML":            `<html><body>` + token + `</body></html>`,
		"text":            strings.Repeat("x", maxMessageBytes-10) + token, // the cut falls into it
		"split by a NUL":  `{"error":{"code":"c","message":"` + token[:9] + `\u0000` + token[9:] + `"}}`,
		"error as string": `{"error":"` + token + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := serve(t, answerWith(http.StatusForbidden, body, "X-Vercel-Id", token))
			a, err := c.Purge(context.Background(), purge())
			require.Error(t, err)
			assertNoToken(t, err)
			assertNoToken(t, a)
			assert.NotContains(t, err.Error(), token[:12], "half a token is half a secret")
		})
	}
}

func TestToken_RedirectIsNotFollowed(t *testing.T) {
	var stolen http.Header
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { stolen = r.Header }))
	defer thief.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			target := thief.URL + "/?token=" + token
			c, _ := serve(t, answerWith(status, "moved to "+target, "Location", target))
			a, err := c.Purge(context.Background(), purge())
			e, ok := errors.AsType[*StatusError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, status, e.Status)
			assert.Equal(t, status, a.Status)
			assertNoToken(t, err)
		})
	}
	assert.Nil(t, stolen)
}

func TestToken_MalformedRedirect(t *testing.T) {
	c, _ := serve(t, answerWith(302, "", "Location", "http://%zz/"+token))
	_, err := c.Purge(context.Background(), purge())
	require.Error(t, err)
	assertNoToken(t, err)
}

// failing is a transport whose error says more than it should.
type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

func TestToken_InTransportErrors(t *testing.T) {
	cause := errors.New("boom")
	leaky := fmt.Errorf("sent Authorization: Bearer %s: %w", token, cause)
	for name, given := range map[string]error{
		"plain":              leaky,
		"url.Error":          &url.Error{Op: "Post", URL: "http://h/?t=" + token, Err: cause},
		"url.Error, twice":   &url.Error{Op: "Post", URL: token, Err: &url.Error{Op: "Get", URL: token, Err: leaky}},
		"wrapped url.Error":  fmt.Errorf("proxy: %w", &url.Error{Op: "Post", URL: token, Err: cause}),
		"joined with others": errors.Join(io.ErrUnexpectedEOF, leaky),
	} {
		t.Run(name, func(t *testing.T) {
			c, err := New(Config{Token: token, HTTPClient: &http.Client{Transport: failing{given}}})
			require.NoError(t, err)
			_, err = c.Purge(context.Background(), purge())
			require.Error(t, err)
			assertNoToken(t, err)
			assert.ErrorIs(t, err, cause, "the cause can still be matched")
		})
	}
}

func TestSecret_Scrub(t *testing.T) {
	assert.Equal(t, "a [redacted] b [redacted]", newSecret(token).scrub("a "+token+" b "+token))
	assert.Equal(t, "express", newSecret("x").scrub("express"), "a word is no secret")
	assert.Empty(t, newSecret(token).scrub(""))
}

func TestSecret_SealKeepsTheTimeout(t *testing.T) {
	err := newSecret(token).seal(fmt.Errorf("%s: %w", token, context.DeadlineExceeded))
	assert.True(t, isTimeout(err))
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Equal(t, "[redacted]: context deadline exceeded", err.Error())
	assert.NoError(t, errors.Unwrap(err), "the cause would say it")
	assert.False(t, isTimeout(newSecret(token).seal(errors.New(token))))
}

// net/http would refuse such a header with an error of its own; New is there first.
func TestToken_IsSentVerbatim(t *testing.T) {
	c, calls := serve(t, answerWith(http.StatusOK, ""))
	_, err := c.Purge(context.Background(), purge())
	require.NoError(t, err)
	got := <-calls
	assert.Equal(t, "Bearer "+token, got.header.Get("Authorization"))
	assert.NotContains(t, got.uri+got.body, token)
	var dump bytes.Buffer
	require.NoError(t, got.header.WriteSubset(&dump, map[string]bool{"Authorization": true}))
	assert.NotContains(t, dump.String(), token)
}
