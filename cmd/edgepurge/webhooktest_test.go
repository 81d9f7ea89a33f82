package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseDelivery(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file, method, url, body, header string
	}{
		"a body":             {`{"a":1}`, "POST", "/hooks/x", `{"a":1}`, ""},
		"a body of lines":    {"{\n\"a\": 1\n}\n", "POST", "/hooks/x", "{\n\"a\": 1\n}\n", ""},
		"nothing":            {"", "POST", "/hooks/x", "", ""},
		"a request":          {"PUT /h?x=1 HTTP/1.1\r\nX-A: b\r\n\r\n{}", "PUT", "/h?x=1", "{}", "b"},
		"with LF":            {"POST /h HTTP/1.1\nX-A:b\n\n{}\n", "POST", "/h", "{}\n", "b"},
		"cut to its length":  {"POST /h HTTP/1.1\nX-A: b\nContent-Length: 2\n\n{}\n", "POST", "/h", "{}", "b"},
		"too long by itself": {"POST /h HTTP/1.1\nX-A: b\nContent-Length: 2\n\n{}[]", "POST", "/h", "{}[]", "b"},
		"no body":            {"POST /h HTTP/2\nX-A: b\n\n", "POST", "/h", "", "b"},
	} {
		d, err := parseDelivery([]byte(c.file), "/hooks/x")
		require.NoError(t, err, name)
		assert.Equal(t, c.method, d.Method, name)
		assert.Equal(t, c.url, d.URL, name)
		assert.Equal(t, c.body, string(d.Body), name)
		assert.Equal(t, c.header, d.Header.Get("X-A"), name)
	}
	for file, want := range map[string]string{
		"POST /h HTTP/1.1\nX-A: b":                        "no empty line",
		"POST /h HTTP/1.1\n{\"a\"}\n\n":                   "line 2 is no header",
		"POST /h HTTP/1.1\nContent-Length: 9\n\n{}":       "has 2 bytes, but Content-Length says 9",
		"POST /h HTTP/1.1\nX-A: b\n folded: not read\n\n": "line 3 is no header",
	} {
		_, err := parseDelivery([]byte(file), "/hooks/x")
		assert.ErrorContains(t, err, want, file)
	}
}
