package emulator

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/vercel"
	"github.com/edgepurge/edgepurge/internal/vercel/api"
)

func TestAuth(t *testing.T) {
	b := start(t, Config{
		Tokens: []Token{{"ci", secret}, {"old", "tok_expired"}, {"", "tok_unnamed"}},
		Faults: Faults{ExpiredTokens: []string{"old"}},
		Limit:  Limit{Calls: 100},
	})
	for header, want := range map[string]struct {
		status int
		name   string
	}{
		"Bearer " + secret:       {200, "ci"},
		"bearer " + secret:       {200, "ci"},
		"Bearer tok_unnamed":     {200, TokenName("tok_unnamed")},
		"Bearer tok_expired":     {403, "old"},
		"Bearer nobody":          {403, TokenName("nobody")},
		"Bearer " + secret + "x": {403, TokenName(secret + "x")},
		"":                       {403, ""},
		"Bearer":                 {403, ""},
		"Bearer  ":               {403, ""},
		"Basic dTpw":             {403, ""},
		secret:                   {403, ""},
	} {
		t.Run(header, func(t *testing.T) {
			b.Reset()
			r := b.send(t, "POST", tagsPath+"?projectIdOrName=p", `{"tags":["a"]}`, "Authorization", header)
			assert.Equal(t, want.status, r.StatusCode)
			c := b.only(t)
			assert.Equal(t, want.name, c.Token)
			assert.Equal(t, want.status == 200, c.Applied)
			assert.Equal(t, want.status == 200, c.Counted, "a refused token spends nobody's budget")
			switch {
			case want.name == "":
				assert.Equal(t, api.Error{Code: "forbidden", Message: "The request is missing an authentication token", MissingToken: true}, r.problem(t))
			case want.status == 403:
				assert.Equal(t, api.Error{Code: "forbidden", Message: "Not authorized", InvalidToken: true}, r.problem(t))
			}
		})
	}
}

func TestAuth_AnyTokenIfNoneIsConfigured(t *testing.T) {
	b := start(t, Config{})
	require.NoError(t, b.client.Check(context.Background()))
	assert.Equal(t, TokenName(secret), b.only(t).Token)
}

// A token expires while the emulator serves, and is mended.
func TestAuth_ExpiryAtRunTime(t *testing.T) {
	b := start(t, Config{Tokens: []Token{{"ci", secret}}})
	require.NoError(t, b.client.Check(context.Background()))
	require.NoError(t, b.SetFaults(Faults{ExpiredTokens: []string{"ci"}}))
	_, err := b.purge("a")
	for _, err := range []error{err, b.client.Check(context.Background())} {
		e, ok := errors.AsType[*vercel.StatusError](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, 403, e.Status)
		assert.True(t, e.InvalidToken)
	}
	require.NoError(t, b.SetFaults(Faults{}))
	require.NoError(t, b.client.Check(context.Background()))
}
