package webhook

import (
	"strconv"
	"time"
)

// stamp is a compiled Timestamp.
type stamp struct {
	from      location
	unit      string
	tolerance time.Duration
}

func newStamp(field string, t Timestamp, withParams bool, f *faults) *stamp {
	s := &stamp{unit: t.Unit, tolerance: t.Tolerance}
	kinds := []string{inHeader, inJSON}
	if withParams {
		kinds = append(kinds, inParam)
	}
	s.from = parseLocation(field+".from", t.From, f, kinds...)
	f.oneOf(field+".unit", t.Unit, UnitSeconds, UnitMilliseconds, UnitRFC3339)
	if s.tolerance == 0 {
		s.tolerance = DefaultTolerance
	}
	if s.tolerance < time.Second || s.tolerance > MaxTolerance {
		f.add(field+".tolerance", "%s is out of range: use 1s to %s", s.tolerance, MaxTolerance)
	}
	return s
}

// check tells whether the text, as received, is a time within the tolerance.
func (s *stamp) check(text string, now time.Time) Reason {
	at, ok := s.parse(text)
	switch age := now.Sub(at); {
	case !ok:
		return ReasonTimestamp
	case age > s.tolerance:
		return ReasonStale
	case age < -s.tolerance:
		return ReasonFuture
	}
	return Verified
}

// parse reads plain digits: a sign, an exponent or a space is no timestamp.
func (s *stamp) parse(text string) (time.Time, bool) {
	if s.unit == UnitRFC3339 {
		at, err := time.Parse(time.RFC3339, text)
		return at, err == nil
	}
	const longest = 14 // milliseconds until the year 5138
	if len(text) > longest {
		return time.Time{}, false
	}
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return time.Time{}, false
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	if s.unit == UnitSeconds {
		return time.Unix(n, 0), true
	}
	return time.UnixMilli(n), true
}
