package webhook

import "fmt"

const hidden = "REDACTED"

// Secret is a key, token or password as the sender's settings show it. Printed
// in whatever way, it hides itself.
type Secret string

// String returns a placeholder.
func (Secret) String() string { return hidden }

// Format writes the placeholder for every verb.
func (Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, hidden) }

// MarshalText writes the placeholder, in JSON and YAML too.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
