package webhook

import (
	"slices"
	"strings"
)

// Names of placeholders and functions.
const (
	putBody      = "body"
	putTimestamp = "timestamp"
	putHeader    = "header"
	putParam     = "param"
	putMethod    = "method"
	putURI       = "uri"
	putHeaders   = "headers"
)

// segment is a literal or a placeholder of a template.
type segment struct {
	literal string
	name    string // of a placeholder: one of the put constants
	arg     string // the header or param it names
	convert func(string) (string, bool)
}

// template says how the signed text is made of a delivery.
type template []segment

// parseTemplate reads a template; withParams and withTimestamp say whether the
// verifier has such things.
func parseTemplate(field, text string, withParams, withTimestamp bool, f *faults) template {
	var t template
	hasBody := false
	for text != "" {
		i := strings.IndexAny(text, "{}")
		if i < 0 {
			t = append(t, segment{literal: text})
			break
		}
		if i > 0 {
			t = append(t, segment{literal: text[:i]})
		}
		end := strings.IndexByte(text[i:], '}')
		if text[i] == '}' || end < 0 {
			f.add(field, "%q has a brace without its twin: write {lb} or {rb} for a brace", abbreviate(text[i:]))
			return nil
		}
		s, problem := placeholder(text[i+1 : i+end])
		switch {
		case problem != "":
		case s.name == putParam && !withParams:
			problem = "has no value: signature.pair is not set"
		case s.name == putTimestamp && !withTimestamp:
			problem = "has no value: timestamp is not set"
		}
		if problem != "" {
			f.add(field, "{%s} %s", abbreviate(text[i+1:i+end]), problem)
		}
		hasBody = hasBody || s.name == putBody
		t = append(t, s)
		text = text[i+end+1:]
	}
	if !hasBody {
		f.add(field, "holds no {body}: whoever has one signature could send any content")
	}
	return t
}

// placeholder reads what stands between braces, or returns what is wrong with it.
func placeholder(text string) (segment, string) {
	name, function, hasFunction := strings.Cut(text, "|")
	var s segment
	switch {
	case name == "lb":
		s.literal = "{"
	case name == "rb":
		s.literal = "}"
	case slices.Contains([]string{putBody, putTimestamp, putMethod, putURI}, name):
		s.name = name
	case strings.HasPrefix(name, "header."):
		s.name, s.arg = putHeader, strings.TrimPrefix(name, "header.")
	case strings.HasPrefix(name, "headers:"):
		s.name, s.arg = putHeaders, strings.TrimPrefix(name, "headers:")
	case strings.HasPrefix(name, "param."):
		s.name, s.arg = putParam, strings.TrimPrefix(name, "param.")
	default:
		return s, "is unknown: use body, timestamp, header.Name, param.x, method, uri, headers:List-Header, lb or rb"
	}
	if (s.name == putHeader || s.name == putHeaders) && !isToken(s.arg) || s.name == putParam && s.arg == "" {
		return s, "does not name a header or entry"
	}
	switch {
	case !hasFunction:
	case function == "json" && s.name != "":
		s.convert = javascriptString
	case function == "contentful" && s.name == putURI:
		s.convert = contentfulURI
	default:
		return s, "has an unknown function: use |json on a value, |contentful on uri"
	}
	return s, ""
}

// signing is what a template is filled from, beside the request.
type signing struct {
	entries   entries
	timestamp string // as received
	// stampHeader is the header that holds the timestamp, if one does.
	stampHeader string
}

// render makes the signed text.
func (t template) render(r *request, s signing) ([]byte, Reason) {
	text := make([]byte, 0, len(r.Body)+256)
	for _, segment := range t {
		if segment.name == "" {
			text = append(text, segment.literal...)
			continue
		}
		if segment.name == putBody && segment.convert == nil {
			text = append(text, r.Body...)
			continue
		}
		value, reason := segment.value(r, s)
		if reason != Verified {
			return nil, reason
		}
		if segment.convert != nil {
			converted, ok := segment.convert(value)
			if !ok {
				return nil, ReasonMalformed
			}
			value = converted
		}
		text = append(text, value...)
	}
	return text, Verified
}

func (s segment) value(r *request, with signing) (string, Reason) {
	switch s.name {
	case putBody:
		return string(r.Body), Verified
	case putTimestamp:
		return single([]string{with.timestamp})
	case putMethod:
		return single([]string{r.Method})
	case putURI:
		return single([]string{r.uri()})
	case putHeader:
		return r.header(s.arg)
	case putParam:
		return with.entries.param(s.arg)
	case putHeaders:
		return canonicalHeaders(r, s.arg, with.stampHeader)
	}
	return "", ReasonMissing
}

// canonicalHeaders returns the headers that a header lists, that header itself
// and the timestamp's, as "name:value;name:value" in the order of their names.
func canonicalHeaders(r *request, list, stampHeader string) (string, Reason) {
	listed, reason := r.header(list)
	if reason != Verified {
		return "", reason
	}
	names := []string{strings.ToLower(list)}
	if stampHeader != "" {
		names = append(names, strings.ToLower(stampHeader))
	}
	for name := range strings.SplitSeq(listed, ",") {
		if name = strings.ToLower(strings.TrimSpace(name)); name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	lines := make([]string, len(names))
	for i, name := range names {
		values := r.Header.Values(name)
		if len(values) != 1 { // a signed header may be empty, but must be there
			_, reason := single(values)
			return "", reason
		}
		lines[i] = name + ":" + strings.TrimSpace(values[0])
	}
	return strings.Join(lines, ";"), Verified
}
