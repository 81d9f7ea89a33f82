package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

var errTooLarge = errors.New("the body is too large")

// readBody reads a body of at most limit bytes, or none at all: a body that was
// cut would be another body.
func readBody(ctx context.Context, w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, errTooLarge
	}
	control := http.NewResponseController(w)
	if control.SetReadDeadline(time.Now().Add(bodyWithin)) == nil {
		return readAll(r.Body, limit) // net/http sets the connection's deadline anew for each request
	}
	// A writer that hides its connection leaves nothing but to look away.
	type read struct {
		body []byte
		err  error
	}
	done := make(chan read, 1)
	go func() {
		body, err := readAll(r.Body, limit)
		done <- read{body, err}
	}()
	select {
	case got := <-done:
		return got.body, got.err
	case <-ctx.Done():
		return nil, fmt.Errorf("read the body: %w", ctx.Err())
	}
}

func readAll(body io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(body, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the body: %w", err)
	case int64(len(data)) > limit:
		return nil, errTooLarge
	}
	return data, nil
}
