package main

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

// formWithin bounds how long a form of the monitor may take to arrive.
const formWithin = 5 * time.Second

// withoutWaiting answers refused requests at once and ends their connection, if
// their body has not come as a whole: net/http would read what is left of it
// first, for as long as the sender takes, and a stranger could hold any number of
// connections so.
func withoutWaiting(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.ContentLength == 0 {
			next.ServeHTTP(w, r)
			return
		}
		control := http.NewResponseController(w)
		if strings.HasPrefix(r.URL.Path, "/monitor") {
			_ = control.SetReadDeadline(time.Now().Add(formWithin))
		}
		body := &watchedBody{ReadCloser: r.Body}
		answer := &refusingWriter{ResponseWriter: w, body: body}
		r.Body = body
		next.ServeHTTP(answer, r)
		if answer.refused {
			_ = control.Flush()
			_ = control.SetReadDeadline(time.Now())
		}
	})
}

// watchedBody knows whether it was read to its end.
type watchedBody struct {
	io.ReadCloser
	ended bool
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.ended = b.ended || errors.Is(err, io.EOF)
	return n, err
}

// refusingWriter asks for the end of the connection with a refusal.
type refusingWriter struct {
	http.ResponseWriter
	body    *watchedBody
	refused bool
}

func (w *refusingWriter) WriteHeader(status int) {
	if status >= http.StatusBadRequest && !w.body.ended {
		w.refused = true
		w.Header().Set("Connection", "close")
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets an http.ResponseController reach the connection.
func (w *refusingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
