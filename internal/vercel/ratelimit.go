package vercel

import (
	"math"
	"net/http"
	"strconv"
	"time"
)

// NotTold is the value of RateLimit.Remaining when Vercel did not say.
const NotTold = -1

// RateLimit is what an answer told of Vercel's rate limit: in the headers
// X-RateLimit-Limit, -Remaining and -Reset (Vercel's documentation) or, finer,
// in the limit object of a 429 body.
type RateLimit struct {
	// Limit is how many calls a window holds; 0: not told.
	Limit int
	// Remaining is how many calls are left in this window; NotTold (-1): not told.
	Remaining int
	// Reset is when calls are free again, with the precision of a second (header)
	// or a millisecond (body), by the clock of this machine; the zero time: not
	// told. It may be in the past.
	Reset time.Time
}

// resetHorizon bounds how far from now a reset is believed. Vercel's published
// limits have windows of at most a day; what lies further off is a misreading
// and would pause an account for good.
const resetHorizon = 31 * 24 * time.Hour

// msThreshold divides seconds from milliseconds: 1e12 s is the year 33658,
// 1e12 ms is 2001.
const msThreshold = 1e12

func limitOfHeader(h http.Header, now time.Time) RateLimit {
	return RateLimit{Remaining: NotTold}.refine(bodyLimit{
		total:     h.Get("X-RateLimit-Limit"),
		remaining: h.Get("X-RateLimit-Remaining"),
		reset:     h.Get("X-RateLimit-Reset"),
	}, now)
}

// refine returns l with whatever b tells put over it.
func (l RateLimit) refine(b bodyLimit, now time.Time) RateLimit {
	if n, ok := parseCount(b.total); ok && n > 0 {
		l.Limit = n
	}
	if n, ok := parseCount(b.remaining); ok {
		l.Remaining = n
	}
	if t := parseReset(b.reset, now); !t.IsZero() {
		l.Reset = t
	}
	if t := parseReset(b.resetMs, now); !t.IsZero() {
		l.Reset = t
	}
	return l
}

// parseReset reads an instant as a number since the epoch: below 1e12 it is
// seconds, else milliseconds, fractions allowed. It returns the zero time for
// anything that is no number or further than resetHorizon from now.
func parseReset(value string, now time.Time) time.Time {
	n, ok := parseNumber(value)
	if !ok {
		return time.Time{}
	}
	if n < msThreshold {
		n *= 1000
	}
	if n > math.MaxInt64/2 {
		return time.Time{}
	}
	t := time.UnixMilli(int64(math.Ceil(n)))
	if d := t.Sub(now); d > resetHorizon || d < -resetHorizon {
		return time.Time{}
	}
	return t
}

// parseCount reads a whole number from 0 to MaxInt32.
func parseCount(value string) (int, bool) {
	n, err := strconv.ParseUint(value, 10, 31)
	return int(n), err == nil
}

// parseNumber reads an unsigned decimal, without the exponents, signs and names
// that strconv allows.
func parseNumber(value string) (float64, bool) {
	for i := range len(value) {
		if c := value[i]; (c < '0' || c > '9') && c != '.' {
			return 0, false
		}
	}
	n, err := strconv.ParseFloat(value, 64)
	return n, err == nil
}
