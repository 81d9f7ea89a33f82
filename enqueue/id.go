package enqueue

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
)

// ids makes the ids of requests: ULIDs, which sort by time, and those of one
// Client strictly. They are drawn from crypto/rand, not from the clock as
// ulid.Make's are: two producers with the same id would be one request, and the
// other's purge would be lost.
type ids struct{ entropy ulid.MonotonicReader }

func newIDs() *ids {
	return &ids{&ulid.LockedMonotonicReader{MonotonicReader: ulid.Monotonic(rand.Reader, 0)}}
}

func (s *ids) next(now time.Time) (string, error) {
	id, err := ulid.New(ulid.Timestamp(now), s.entropy)
	if err != nil {
		return "", fmt.Errorf("enqueue: make an id: %w", err)
	}
	return id.String(), nil
}
