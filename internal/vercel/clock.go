package vercel

import (
	"net/http"
	"time"
)

// clockTolerance is how far Date may be off without a word: it has whole
// seconds, and the answer travelled. Less than this hurts no pause.
const clockTolerance = 5 * time.Second

// ahead is how far the clock of this machine is ahead of the API's (negative:
// behind), by the Date of an answer that was read now; 0 without a Date or
// within clockTolerance. Moments that the API names are moments of its clock.
func ahead(h http.Header, now time.Time) time.Duration {
	theirs, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0
	}
	if d := now.Sub(theirs); d > clockTolerance || d < -clockTolerance {
		return d
	}
	return 0
}

// seenFrom returns l with its Reset on a clock that is ahead of the one it was told by.
func (l RateLimit) seenFrom(ahead time.Duration) RateLimit {
	if !l.Reset.IsZero() {
		l.Reset = l.Reset.Add(ahead)
	}
	return l
}
