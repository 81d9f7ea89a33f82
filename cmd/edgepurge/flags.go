package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// jsonFlag gives a command --json.
func jsonFlag(cmd *cobra.Command, into *bool) {
	cmd.Flags().BoolVar(into, "json", false, "print JSON for programs")
}

// span is a flag with a duration, at least and in multiples of its step.
type span struct {
	into *time.Duration
	step time.Duration
}

func (s *span) Type() string { return "duration" }

func (s *span) String() string {
	if s.into == nil || *s.into == 0 {
		return ""
	}
	return s.into.String()
}

func (s *span) Set(text string) error {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return fmt.Errorf("write a number and a unit, such as 500ms, 60s, 15m or 24h")
	case d < 0:
		return fmt.Errorf("write a duration that is not negative")
	case d%s.step != 0:
		return fmt.Errorf("it is finer than %s, which is as fine as it gets", s.step)
	}
	*s.into = d
	return nil
}

// choice is a flag with one of a few words.
type choice[T ~string] struct {
	into  *T
	words []T
}

func (c *choice[T]) Type() string { return c.list("|") }

func (c *choice[T]) String() string {
	if c.into == nil {
		return ""
	}
	return string(*c.into)
}

func (c *choice[T]) Set(text string) error {
	if !slices.Contains(c.words, T(text)) {
		return fmt.Errorf("use %s", c.list(" or "))
	}
	*c.into = T(text)
	return nil
}

func (c *choice[T]) list(separator string) string { return strings.Join(c.choices(), separator) }

func (c *choice[T]) choices() []string {
	words := make([]string, len(c.words))
	for i, w := range c.words {
		words[i] = string(w)
	}
	return words
}

// instant is a flag with a time.
type instant struct{ into *time.Time }

func (i *instant) Type() string { return "time" }

func (i *instant) String() string {
	if i.into == nil || i.into.IsZero() {
		return ""
	}
	return i.into.Format(time.RFC3339)
}

func (i *instant) Set(text string) error {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return fmt.Errorf("write it with date, time and zone, such as 2026-12-01T09:00:00Z")
	}
	*i.into = t
	return nil
}
