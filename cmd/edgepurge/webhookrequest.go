package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/edgepurge/edgepurge/enqueue/webhook"
)

// parseRequest reads a whole HTTP request into d, as people save them: its lines
// may end in LF alone, and an editor's line break may follow the body.
func parseRequest(d webhook.Delivery, data []byte) (webhook.Delivery, error) {
	line, rest, _ := bytes.Cut(data, []byte("\n"))
	words := strings.Fields(string(line))
	d.Method, d.URL = words[0], words[1]
	for n := 2; ; n++ {
		var line []byte
		var more bool
		if line, rest, more = bytes.Cut(rest, []byte("\n")); !more && len(line) > 0 {
			return d, errors.New("holds no empty line between the headers and the body")
		}
		text := strings.TrimSuffix(string(line), "\r")
		if text == "" {
			break
		}
		name, value, ok := strings.Cut(text, ":")
		if !ok || strings.TrimSpace(name) != name || name == "" {
			return d, fmt.Errorf("line %d is no header: %q", n, cut(text, 40))
		}
		d.Header.Add(name, strings.TrimSpace(value))
	}
	d.Body = rest
	if length, err := strconv.Atoi(d.Header.Get("Content-Length")); err == nil {
		if length > len(rest) {
			return d, fmt.Errorf("its body has %d bytes, but Content-Length says %d: it was cut, or changed by an editor", len(rest), length)
		}
		if len(bytes.TrimSpace(rest[max(length, 0):])) == 0 {
			d.Body = rest[:max(length, 0)]
		}
	}
	return d, nil
}
