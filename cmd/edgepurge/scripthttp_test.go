package main

import (
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// answers sends a request, headers and perhaps a file as its body, and asks for
// the status of the answer, whose body becomes the standard output:
//
//	answers 200 POST http://… 'Name: value' file
func answers(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: answers status method url ['Name: value'...] [file]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	headers, body := args[3:], ""
	if n := len(headers); n > 0 && !strings.Contains(headers[n-1], ": ") {
		headers, body = headers[:n-1], ts.ReadFile(headers[n-1])
	}
	r, err := http.NewRequest(args[1], args[2], strings.NewReader(body))
	ts.Check(err)
	for _, h := range headers {
		name, v, _ := strings.Cut(h, ": ")
		r.Header.Set(name, v)
	}
	resp, err := http.DefaultTransport.RoundTrip(r) // a redirect is an answer
	ts.Check(err)
	defer resp.Body.Close()
	_, err = io.Copy(ts.Stdout(), resp.Body)
	ts.Check(err)
	if resp.StatusCode != want {
		ts.Fatalf("answered %s, want %d", resp.Status, want)
	}
}
