package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

var (
	errTooLarge = errors.New("the body is too large")
	// errBusy says that too much is under way that is not proved.
	errBusy = errors.New("too many bodies are under way that are not proved yet")
)

// firstBytes is what a body gets before it has shown that it comes.
const firstBytes = 4 << 10

// readBody reads a body of at most limit bytes, or none at all: a body that was
// cut would be another body. grow is asked before memory is taken.
func readBody(ctx context.Context, w http.ResponseWriter, r *http.Request, limit int64, grow func(int64) bool) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, errTooLarge
	}
	control := http.NewResponseController(w)
	if control.SetReadDeadline(time.Now().Add(bodyWithin)) == nil {
		return readAll(r.Body, r.ContentLength, limit, grow) // net/http sets the connection's deadline anew for each request
	}
	// A writer that hides its connection leaves nothing but to look away.
	type read struct {
		body []byte
		err  error
	}
	done := make(chan read, 1)
	go func() {
		body, err := readAll(r.Body, r.ContentLength, limit, grow)
		done <- read{body, err}
	}()
	select {
	case got := <-done:
		return got.body, got.err
	case <-ctx.Done():
		return nil, fmt.Errorf("read the body: %w", ctx.Err())
	}
}

// readAll reads at most limit bytes. The buffer grows as they come, and not to what
// was declared (size; -1: nothing was): who declares much and sends nothing holds
// nothing.
func readAll(body io.Reader, size, limit int64, grow func(int64) bool) ([]byte, error) {
	end := limit + 1 // one byte more tells a body that is too large
	if 0 <= size && size < limit {
		end = size + 1 // and here that there is no more
	}
	var data []byte
	for {
		if len(data) == cap(data) {
			next := min(max(2*int64(cap(data)), firstBytes), end)
			if next == int64(len(data)) {
				return nil, errTooLarge
			}
			if !grow(next - int64(cap(data))) {
				return nil, errBusy
			}
			data = append(make([]byte, 0, next), data...)
		}
		n, err := body.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case int64(len(data)) > limit:
			return nil, errTooLarge
		case errors.Is(err, io.EOF):
			return data, nil
		case err != nil:
			return nil, fmt.Errorf("read the body: %w", err)
		}
	}
}
