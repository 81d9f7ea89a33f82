package webhook

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Fault is one thing wrong with a source or a preset.
type Fault struct {
	// Field is a path in YAML terms below the source, such as "verify[0].algorithm".
	Field string
	// Problem says what is wrong and what would be right. It never holds a secret.
	Problem string
}

func (f *Fault) Error() string { return f.Field + ": " + f.Problem }

// faults collects what is wrong, so that all of it is reported at once.
type faults struct{ list []error }

func (f *faults) add(field, format string, args ...any) {
	f.list = append(f.list, &Fault{Field: field, Problem: fmt.Sprintf(format, args...)})
}

func (f *faults) err() error { return errors.Join(f.list...) }

// oneOf reports a word that is none of the known ones.
func (f *faults) oneOf(field, word string, known ...string) bool {
	if slices.Contains(known, word) {
		return true
	}
	quoted := make([]string, len(known))
	for i, k := range known {
		quoted[i] = strconv.Quote(k)
	}
	choice := strings.Join(quoted, ", ")
	if word == "" {
		f.add(field, "is missing: use %s", choice)
	} else {
		f.add(field, "%q is unknown: use %s", abbreviate(word), choice)
	}
	return false
}

// none reports keys that were given and have no meaning beside the others.
func (f *faults) none(field, because string, given map[string]bool) {
	for _, key := range sortedKeys(given) {
		if given[key] {
			f.add(field+"."+key, "has no meaning %s: remove it", because)
		}
	}
}

// abbreviate keeps a message short and valid UTF-8, whatever stands in it.
func abbreviate(s string) string { return clip(s, 64) }

func clip(s string, most int) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}
