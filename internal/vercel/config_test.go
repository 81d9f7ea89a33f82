package vercel

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNew_Faults(t *testing.T) {
	for name, tt := range map[string]struct {
		config Config
		want   []string // parts of the error; none: no error
	}{
		"token alone":      {Config{Token: token}, nil},
		"http, port, path": {Config{Token: token, BaseURL: "http://127.0.0.1:8080/api/"}, nil},
		"IPv6":             {Config{Token: token, BaseURL: "http://[::1]:8080"}, nil},
		"team id":          {Config{Token: token, TeamID: "team_1"}, nil},
		"slug":             {Config{Token: token, Slug: "acme"}, nil},
		"short token":      {Config{Token: "x"}, nil},
		"nothing":          {Config{}, []string{"token: is missing"}},
		"token with line feed": {
			Config{Token: token + "\n"}, []string{"token: holds a space, a control character"},
		},
		"token with space":     {Config{Token: "Bearer " + token}, []string{"token: holds a space"}},
		"token beyond ASCII":   {Config{Token: token + "é"}, []string{"beyond ASCII"}},
		"team twice":           {Config{Token: token, TeamID: "team_1", Slug: "acme"}, []string{"not both"}},
		"negative timeout":     {Config{Token: token, Timeout: -time.Second}, []string{"-1s is negative"}},
		"other scheme":         {Config{Token: token, BaseURL: "ftp://x"}, []string{"http:// or https://"}},
		"no scheme":            {Config{Token: token, BaseURL: "api.vercel.com"}, []string{"http:// or https://"}},
		"no host":              {Config{Token: token, BaseURL: "https:///v1"}, []string{"names no host"}},
		"port only":            {Config{Token: token, BaseURL: "https://:443"}, []string{"names no host"}},
		"query":                {Config{Token: token, BaseURL: "https://x/?a=b"}, []string{"query or fragment"}},
		"empty query":          {Config{Token: token, BaseURL: "https://x/?"}, []string{"query or fragment"}},
		"fragment":             {Config{Token: token, BaseURL: "https://x/#a"}, []string{"query or fragment"}},
		"password":             {Config{Token: token, BaseURL: "https://u:" + token + "@x"}, []string{"user or password"}},
		"password, unreadable": {Config{Token: token, BaseURL: "https://u:" + token + "@x:port"}, []string{"is not a URL"}},
		"all at once": {
			Config{BaseURL: "x", TeamID: "a", Slug: "b", Timeout: -1},
			[]string{"base URL:", "token:", "team:", "timeout:"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := New(tt.config)
			if tt.want == nil {
				require.NoError(t, err)
				assert.NotNil(t, c)
				return
			}
			require.Error(t, err)
			assert.Nil(t, c)
			for _, part := range tt.want {
				assert.ErrorContains(t, err, part)
			}
			assertNoToken(t, err)
		})
	}
}

func TestNew_Defaults(t *testing.T) {
	c, err := New(Config{Token: token})
	require.NoError(t, err)
	assert.Equal(t, "https://api.vercel.com", c.base)
	assert.Equal(t, 10*time.Second, c.timeout)

	transport, ok := c.conns.take().http.Transport.(*http.Transport)
	require.True(t, ok)
	assert.Equal(t, 100, transport.MaxIdleConnsPerHost, "a busy worker must not dial for every call")
	assert.Zero(t, transport.MaxConnsPerHost)
}

func TestNew_CopiesTheHTTPClient(t *testing.T) {
	mine := &http.Client{Timeout: time.Minute}
	c, err := New(Config{Token: token, HTTPClient: mine})
	require.NoError(t, err)
	assert.NotSame(t, mine, c.conns.take().http)
	assert.Equal(t, time.Minute, c.conns.take().http.Timeout)
	assert.Nil(t, mine.CheckRedirect, "the caller's client must not change")
	assert.ErrorIs(t, c.conns.take().http.CheckRedirect(nil, nil), http.ErrUseLastResponse)
}
