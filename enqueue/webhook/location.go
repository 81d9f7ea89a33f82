package webhook

import (
	"slices"
	"strings"
)

// The places a value may be taken from.
const (
	inHeader = "header"
	inQuery  = "query"
	inParam  = "param" // an entry of the signature's header
	inJSON   = "json"
	inBody   = "body" // body.sha256 only
)

// location is where a value stands in a delivery, such as header.X or json.a.b.
type location struct {
	kind string
	name string
	path []string // of inJSON
}

// parseLocation reads a location of one of the kinds.
func parseLocation(field, text string, f *faults, kinds ...string) location {
	kind, name, _ := strings.Cut(text, ".")
	l := location{kind: kind, name: name}
	ok := name != "" && slices.Contains(kinds, kind)
	switch kind {
	case inHeader:
		ok = ok && isToken(name)
	case inJSON:
		l.path = strings.Split(name, ".")
		ok = ok && !slices.Contains(l.path, "")
	case inBody:
		ok = ok && name == "sha256"
	}
	if !ok {
		examples := map[string]string{
			inHeader: "header.Name", inQuery: "query.name", inParam: "param.x", inJSON: "json.a.b", inBody: "body.sha256",
		}
		var known []string
		for _, kind := range kinds {
			known = append(known, examples[kind])
		}
		f.add(field, "%q is no place in a delivery: use %s", abbreviate(text), strings.Join(known, ", "))
	}
	return l
}

// String is the inverse of parseLocation.
func (l location) String() string { return l.kind + "." + l.name }
