package worker

import (
	"math/rand/v2"
	"time"
)

// backoff is how long to wait after the given attempt (1 is the first) has
// failed: exponential with full jitter, so that a fleet does not come back in
// step. random is in [0,1). floor is what the API asked for, at most r.Cap of it: other
// calls may succeed meanwhile. The jitter comes on top of it, since a Retry-After is
// often the same for everyone.
func backoff(r Retry, attempt int, floor time.Duration, random float64) time.Duration {
	window := r.Base
	for i := 1; i < attempt && window < r.Cap; i++ {
		window *= 2
	}
	window = min(window, r.Cap)
	return min(floor, r.Cap) + time.Duration(random*float64(window))
}

// pauseAfter is how long an account pauses after a 429: what the API asked for,
// else the budget's window, and up to a tenth of the window of jitter on top,
// because perhaps one call only is free at that moment. No more than longestPause.
func pauseAfter(asked, per time.Duration, random float64) time.Duration {
	if asked <= 0 {
		asked = per
	}
	return min(asked, longestPause(per)) + time.Duration(random*float64(min(per/10, 5*time.Second)))
}

// longestPause bounds what an answer can ask for: an hour, or the budget's window if
// that is longer. Then one call asks again; a misread reset must not stop an account
// for days.
func longestPause(per time.Duration) time.Duration { return max(time.Hour, per) }

// random is the source of all jitter.
func random() float64 { return rand.Float64() } //nolint:gosec // jitter needs no secrecy
