package webhook

import (
	"slices"
	"strings"
)

// maxEntries bounds the entries of a signature header: each may cost as many
// computations as the source has secrets.
const maxEntries = 16

// entries is a signature header, read.
type entries struct {
	signatures []string
	params     map[string]string
	// repeated are labels that stand twice, whose value is therefore anybody's
	// guess. They harm only who uses them: Standard Webhooks repeats v1a while
	// an asymmetric key is rotated.
	repeated map[string]bool
}

// parse reads a header by its grammar. Entries are trimmed, empty ones and,
// where labels are used, those without one are skipped.
func (g SignatureHeader) parse(header string) (entries, Reason) {
	parts := []string{header}
	if g.Split != "" {
		parts = strings.Split(header, g.Split)
	}
	e := entries{params: map[string]string{}, repeated: map[string]bool{}}
	count := 0
	for _, part := range parts {
		if part = strings.Trim(part, " \t"); part == "" {
			continue
		}
		if count++; count > maxEntries {
			return entries{}, ReasonMalformed
		}
		if g.Pair == "" {
			e.signatures = append(e.signatures, part)
			continue
		}
		label, value, ok := strings.Cut(part, g.Pair)
		if !ok {
			continue
		}
		label, value = strings.Trim(label, " \t"), strings.Trim(value, " \t")
		if slices.Contains(g.Label, label) {
			e.signatures = append(e.signatures, value)
			continue
		}
		if _, twice := e.params[label]; twice {
			e.repeated[label] = true
		}
		e.params[label] = value
	}
	if len(e.signatures) == 0 {
		return entries{}, ReasonMissing
	}
	return e, Verified
}

// param returns an entry that is not a signature.
func (e entries) param(label string) (string, Reason) {
	value := e.params[label]
	switch {
	case e.repeated[label]:
		return "", ReasonRepeated
	case value == "":
		return "", ReasonMissing
	}
	return value, Verified
}

func (g SignatureHeader) check(field string, f *faults) {
	if !isToken(g.Header) {
		f.add(field+".header", "%q is not the name of a header", abbreviate(g.Header))
	}
	if g.Split != "" {
		f.oneOf(field+".split", g.Split, ",", ";", " ")
	}
	if g.Pair == "" {
		if len(g.Label) > 0 {
			f.add(field+".label", "has no meaning without pair: remove it")
		}
		return
	}
	f.oneOf(field+".pair", g.Pair, "=", ",", ":")
	if g.Pair == g.Split {
		f.add(field+".pair", "is the same as split: no entry would have a label")
	}
	if len(g.Label) == 0 {
		f.add(field+".label", "is missing: name the entries that are signatures")
	}
	for _, label := range g.Label {
		if label == "" || strings.ContainsAny(label, " \t"+g.Pair+g.Split) {
			f.add(field+".label", "%q cannot be the label of an entry", abbreviate(label))
		}
	}
}

// isToken reports whether s can be the name of a header.
func isToken(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}
