package gateway

import (
	"io"
	"net/http"
	"time"

	"github.com/edgepurge/edgepurge/internal/vercel/api"
)

// bodyWithin bounds how long a body may take, so that no sender holds a
// connection for ever. 10 MiB in it is less than 3 Mbit/s.
const bodyWithin = 30 * time.Second

// readBody reads a body of at most limit bytes, or none at all.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, *answer) {
	tooLarge := refuse(api.TooLarge, TooLarge)
	tooLarge.hangUp = true
	if r.ContentLength > limit {
		return nil, &tooLarge
	}
	// A writer that hides its connection leaves the bound to its server.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyWithin))
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	switch {
	case err != nil:
		unreadable := refuse(api.Unreadable, Invalid)
		unreadable.hangUp = true
		return nil, &unreadable
	case int64(len(body)) > limit:
		return nil, &tooLarge
	}
	return body, nil
}
