package vercel

import (
	"math"
	"net/http"
	"strings"
	"time"
)

// MaxRetryAfter bounds StatusError.RetryAfter; a longer wait is cut to it.
const MaxRetryAfter = 24 * time.Hour

// parseRetryAfter reads a Retry-After header, in seconds (RFC 9110 has whole
// ones; fractions are rounded up to the millisecond) or as an HTTP date seen
// from now. The result is 0 to MaxRetryAfter; 0 for an absent, malformed or past value.
func parseRetryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if seconds, ok := parseNumber(value); ok {
		if seconds >= MaxRetryAfter.Seconds() {
			return MaxRetryAfter
		}
		return time.Duration(math.Ceil(seconds*1000)) * time.Millisecond
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), MaxRetryAfter)
}
