package vercel

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestParseRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                               0,
		"0":                              0,
		"1":                              time.Second,
		"60":                             time.Minute,
		" 60 ":                           time.Minute,
		"007":                            7 * time.Second,
		"1.5":                            1500 * time.Millisecond,
		"0.0001":                         time.Millisecond, // never early
		"86400":                          24 * time.Hour,
		"86401":                          MaxRetryAfter,
		"9999999999999999999999999":      MaxRetryAfter,
		"-1":                             0,
		"+5":                             0,
		"5s":                             0,
		"1e3":                            0,
		"NaN":                            0,
		"soon":                           0,
		"60, 120":                        0,
		"Sun, 22 Nov 2026 05:00:30 GMT":  30 * time.Second,
		"Sunday, 22-Nov-26 05:00:30 GMT": 30 * time.Second, // RFC 850
		"Sun Nov 22 05:00:30 2026":       30 * time.Second, // asctime
		"Sun, 22 Nov 2026 04:59:59 GMT":  0,                // past
		"Sun, 22 Nov 2026 05:00:00 GMT":  0,
		"Mon, 22 Nov 2027 05:00:00 GMT":  MaxRetryAfter,
		"2026-11-22T05:00:30Z":           0, // no HTTP date
	} {
		t.Run(value, func(t *testing.T) { assert.Equal(t, want, parseRetryAfter(value, now)) })
	}
}

func FuzzParseRetryAfter(f *testing.F) {
	now := time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC)
	for _, s := range []string{"", "0", "7", "1.5", "1e300", "-3", now.Add(time.Hour).Format(http.TimeFormat), "Sun, 22 Nov 9999 05:00:30 GMT"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got := parseRetryAfter(value, now)
		assert.GreaterOrEqual(t, got, time.Duration(0))
		assert.LessOrEqual(t, got, MaxRetryAfter)
	})
}
