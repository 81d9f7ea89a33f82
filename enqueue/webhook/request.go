package webhook

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Delivery is one webhook as it was received.
type Delivery struct {
	Method string
	// URL is the request's target as it stood on the wire, path and query, not
	// decoded and encoded again; an absolute URL is fine too.
	URL    string
	Header http.Header
	// Body holds the raw bytes: what was decoded and encoded again verifies no more.
	Body []byte
	// Now is when it was received.
	Now time.Time
}

// request is a delivery under examination.
type request struct {
	Delivery
	publicPath string
}

// header returns a header that stands once and is not empty.
func (r *request) header(name string) (string, Reason) {
	return single(r.Header.Values(name))
}

// query returns a parameter that stands once and is not empty.
func (r *request) query(name string) (string, Reason) {
	_, raw, _ := strings.Cut(r.target(), "?")
	values, err := url.ParseQuery(raw)
	if err != nil {
		return "", ReasonMalformed
	}
	return single(values[name])
}

func single(values []string) (string, Reason) {
	switch {
	case len(values) > 1:
		return "", ReasonRepeated
	case len(values) == 0 || values[0] == "":
		return "", ReasonMissing
	}
	return values[0], Verified
}

// at returns the text at a location, params being those of the signature's header.
func (r *request) at(l location, params entries) (string, Reason) {
	switch l.kind {
	case inHeader:
		return r.header(l.name)
	case inQuery:
		return r.query(l.name)
	case inParam:
		return params.param(l.name)
	case inJSON:
		return scanText(r.Body, l.path)
	}
	return "", ReasonMissing
}

// target returns path and query as received.
func (r *request) target() string {
	target := r.URL
	if _, rest, ok := strings.Cut(target, "://"); ok && !strings.HasPrefix(target, "/") {
		i := strings.IndexAny(rest, "/?")
		switch {
		case i < 0:
			return "/"
		case rest[i] == '?':
			return "/" + rest[i:]
		}
		return rest[i:]
	}
	return target
}

// uri returns what the sender asked for, before a proxy changed the path.
func (r *request) uri() string {
	target := r.target()
	if r.publicPath == "" {
		return target
	}
	if _, query, ok := strings.Cut(target, "?"); ok {
		return r.publicPath + "?" + query
	}
	return r.publicPath
}
