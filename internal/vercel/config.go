package vercel

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Defaults of a Config.
const (
	DefaultBaseURL = "https://api.vercel.com" // Vercel's OpenAPI, servers
	DefaultTimeout = 10 * time.Second
)

// Config is what a Client needs to know. Formatting one never shows the token.
type Config struct {
	// BaseURL is where the API is, an http or https URL; a path is kept as a
	// prefix. It may hold no user, query or fragment. Empty: DefaultBaseURL.
	BaseURL string
	// Token is the Vercel access token. Required; printable ASCII without spaces.
	Token string `json:"-"`
	// TeamID or Slug name the team that owns the projects: one of them, or
	// neither for a personal account.
	TeamID string
	Slug   string
	// Timeout bounds a call from the dial to the last byte of the answer.
	// 0: DefaultTimeout; negative is a fault.
	Timeout time.Duration
	// HTTPClient makes the requests. It is copied, and the copy follows no
	// redirects. Nil: a client of its own with up to 100 idle connections a host.
	HTTPClient *http.Client `json:"-"`
}

// validate reports all faults at once. No message holds the token, nor the base
// URL if that may hold a password.
func (c Config) validate() error {
	var faults []error
	add := func(field, problem string) { faults = append(faults, fmt.Errorf("vercel: %s: %s", field, problem)) }
	if problem := checkBaseURL(c.BaseURL); problem != "" {
		add("base URL", problem)
	}
	switch {
	case c.Token == "":
		add("token", "is missing")
	case strings.ContainsFunc(c.Token, func(r rune) bool { return r <= ' ' || r > '~' }):
		add("token", "holds a space, a control character or a character beyond ASCII")
	}
	if c.TeamID != "" && c.Slug != "" {
		add("team", "give the team id or the slug, not both")
	}
	if c.Timeout < 0 {
		add("timeout", c.Timeout.String()+" is negative: use 0 for "+DefaultTimeout.String())
	}
	return errors.Join(faults...)
}

// checkBaseURL returns what is wrong with a base URL, or "". It repeats no part
// of the URL that could be a secret.
func checkBaseURL(raw string) string {
	if raw == "" {
		return ""
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return "is not a URL" // the error of net/url repeats the URL, password and all
	case u.User != nil:
		return "holds a user or password: the token is the only credential"
	case u.Scheme != "http" && u.Scheme != "https":
		return "must begin with http:// or https://"
	case u.Hostname() == "":
		return "names no host"
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "holds a query or fragment: leave it out"
	}
	return ""
}

func (c Config) base() string {
	if c.BaseURL == "" {
		return DefaultBaseURL
	}
	return strings.TrimRight(c.BaseURL, "/")
}

// connections makes the first transport. Those that replace it are like it.
func (c Config) connections() *connections {
	client := http.Client{Transport: newTransport()}
	if c.HTTPClient != nil {
		client = *c.HTTPClient
	}
	// A redirect would carry the token to a host that nobody configured.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t := &transport{http: &client}
	if own, ok := client.Transport.(*http.Transport); ok {
		t.renew = own.Clone
	}
	return &connections{current: t}
}
