package vercel

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

const redacted = "[redacted]"

// minSecretBytes keeps scrub from tearing up messages when the token is a word
// like "x" or "demo": nothing that short is a secret.
const minSecretBytes = 8

// secret hides a token from everything that walks a value by reflection, such
// as the diff of a failed test: it keeps a function, not a string.
type secret struct{ reveal func() string }

func newSecret(s string) secret { return secret{reveal: func() string { return s }} }

// scrub replaces the token wherever a far side has echoed it.
func (s secret) scrub(text string) string {
	token := s.reveal()
	if len(token) < minSecretBytes {
		return text
	}
	return strings.ReplaceAll(text, token, redacted)
}

// seal returns err itself, or a stand-in with a scrubbed text if err's text
// holds the token. The stand-in still matches what err matches.
func (s secret) seal(err error) error {
	text := err.Error()
	if clean := s.scrub(text); clean != text {
		return &sealedError{text: clean, is: func(target error) bool { return errors.Is(err, target) }, timeout: isTimeout(err)}
	}
	return err
}

// sealedError has no Unwrap: the cause's text is what must not be seen.
type sealedError struct {
	text    string
	is      func(target error) bool
	timeout bool
}

func (e *sealedError) Error() string        { return e.text }
func (e *sealedError) Is(target error) bool { return e.is(target) }
func (e *sealedError) Timeout() bool        { return e.timeout }

// String describes the configuration without the token.
func (c Config) String() string {
	token := "no token"
	if c.Token != "" {
		token = "token " + redacted
	}
	team := ""
	if t := c.TeamID + c.Slug; t != "" {
		team = ", team " + t
	}
	base := c.base()
	if checkBaseURL(base) != "" {
		base = "invalid URL"
	}
	return fmt.Sprintf("vercel.Config(%s%s, %s)", base, team, token)
}

// GoString is String, so that %#v is as safe as %v.
func (c Config) GoString() string { return c.String() }

// Format writes String for every verb, so that %x or %q show no field either.
func (c Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// String describes the client without the token.
func (c Client) String() string {
	if c.team == "" {
		return "vercel.Client(" + c.base + ")"
	}
	return "vercel.Client(" + c.base + ", team " + c.team + ")"
}

// GoString is String, so that %#v is as safe as %v.
func (c Client) GoString() string { return c.String() }

// Format writes String for every verb, so that %x or %q show no field either.
func (c Client) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }
