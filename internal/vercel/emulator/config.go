package emulator

import (
	"errors"
	"fmt"
	"io"

	"github.com/edgepurge/edgepurge/internal/vercel/api"
)

// DefaultMaxBodyBytes is the bound of a Config that names none.
const DefaultMaxBodyBytes = api.MaxBodyBytes

// Config is what an Emulator is started with. The zero value accepts every
// token, has no rate limit and no faults, and keeps the whole journal.
type Config struct {
	// Tokens are the accepted ones. Empty: any bearer token is.
	Tokens []Token
	// Limit is the rate limit at the start; SetLimit changes it.
	Limit Limit
	// Faults is what goes wrong at the start; SetFaults changes it.
	Faults Faults
	// Seed of the dice: with equal seeds, equal faults and calls in the same
	// order the same calls fail. 0 is a seed like any other.
	Seed uint64
	// JournalCap bounds the calls kept: past it the oldest is dropped and
	// counted. 0: all are kept. Negative: none is.
	JournalCap int
	// MaxBodyBytes bounds a request body; more is a 413. 0: DefaultMaxBodyBytes.
	MaxBodyBytes int64
	// Schema holds the bounds that a later Vercel may have changed.
	Schema api.Schema
}

// Token is an accepted bearer token. Formatting one shows its name only.
type Token struct {
	// Name stands for the token in journal and faults. Empty: TokenName(Secret).
	Name string
	// Secret is what the client sends. Required.
	Secret string `json:"-"`
}

// String is the token's name.
func (t Token) String() string {
	if t.Name == "" {
		return TokenName(t.Secret)
	}
	return t.Name
}

// Format writes the token's name for every verb.
func (t Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

func (c Config) validate() error {
	var faults []error
	for i, t := range c.Tokens {
		if t.Secret == "" {
			faults = append(faults, fmt.Errorf("emulator: tokens[%d]: the secret is missing", i))
		}
	}
	for _, f := range []struct {
		name string
		n    int64
	}{
		{"max body bytes", c.MaxBodyBytes},
		{"schema: max tags", int64(c.Schema.MaxTags)},
		{"schema: max source images", int64(c.Schema.MaxSrcImages)},
		{"schema: max tags in string", int64(c.Schema.MaxTagsInString)},
	} {
		if f.n < 0 {
			faults = append(faults, fmt.Errorf("emulator: %s: %d is negative", f.name, f.n))
		}
	}
	return errors.Join(append(faults, c.Limit.validate(), c.Faults.validate())...)
}
