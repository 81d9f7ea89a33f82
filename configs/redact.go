package configs

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// hidden stands where a secret was.
const hidden = "REDACTED"

// Redacted returns a copy that may be shown: tokens, and what URLs hold in front
// of their host and behind "?", are replaced. Use it before printing a part of a
// Config, such as Worker; a Config and a Redis as a whole print that way anyhow.
func (c Config) Redacted() Config {
	c.Redis.URL = redactURL(c.Redis.URL)
	c.Worker.VercelURL = redactURL(c.Worker.VercelURL)
	c.Worker.Accounts = slices.Clone(c.Worker.Accounts)
	for i := range c.Worker.Accounts {
		if a := &c.Worker.Accounts[i]; a.Token != "" {
			a.Token = hidden
		}
	}
	return c
}

// String returns the redacted configuration as JSON.
func (c Config) String() string {
	data, err := json.Marshal(c)
	if err != nil {
		return "configuration: " + err.Error()
	}
	return string(data)
}

// Format writes String for every verb, for fmt would else print the fields.
func (c Config) Format(f fmt.State, _ rune) { fmt.Fprint(f, c.String()) }

// MarshalJSON writes the redacted configuration; durations are nanoseconds.
func (c Config) MarshalJSON() ([]byte, error) {
	type plain Config // without methods
	return json.Marshal(plain(c.Redacted()))
}

// MarshalYAML keeps goccy/go-yaml from writing the fields as they are.
func (c Config) MarshalYAML() (any, error) {
	type plain Config
	return plain(c.Redacted()), nil
}

// String returns the URL without password.
func (r Redis) String() string { return redactURL(r.URL) }

// Format writes String for every verb.
func (r Redis) Format(f fmt.State, _ rune) { fmt.Fprint(f, r.String()) }

// MarshalJSON writes the URL without password.
func (r Redis) MarshalJSON() ([]byte, error) {
	return json.Marshal(r.redacted())
}

// MarshalYAML keeps goccy/go-yaml from writing the URL as it is.
func (r Redis) MarshalYAML() (any, error) { return r.redacted(), nil }

// shown is a Redis with nothing to hide, and so without methods.
type shown Redis

func (r Redis) redacted() shown {
	r.URL = redactURL(r.URL)
	return shown(r)
}

// redactURL hides more rather than less: a password may hold any character, so
// everything up to the last "@" counts as one.
func redactURL(s string) string {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		scheme, rest = "", s
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		rest = hidden + rest[i:]
	}
	if i := strings.IndexAny(rest, "?#"); i >= 0 {
		rest = rest[:i+1] + hidden
	}
	if !ok {
		return rest
	}
	return scheme + "://" + rest
}
