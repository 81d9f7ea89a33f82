package vercel

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func epoch(t time.Time) string   { return strconv.FormatInt(t.Unix(), 10) }
func epochMs(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

// then is the instant of the example in Vercel's documentation.
var then = time.UnixMilli(1571432075563)

func TestParseReset(t *testing.T) {
	at := func(ms int64) time.Time { return time.UnixMilli(ms) }
	for value, want := range map[string]time.Time{
		"1571432075":       at(1571432075000), // seconds
		"1571432075.5":     at(1571432075500),
		"1571432075563":    at(1571432075563), // milliseconds
		"1571432075563.2":  at(1571432075564), // never early
		"1571432000":       at(1571432000000), // a little in the past
		"":                 {},
		"0":                {},
		"60":               {}, // a span, not an instant
		"-1571432075":      {},
		"+1571432075":      {},
		" 1571432075":      {},
		"1571432075s":      {},
		"1.571432075e9":    {},
		"0x5DAA2E8B":       {},
		"NaN":              {},
		"Inf":              {},
		".":                {},
		"1.2.3":            {},
		"999999999999":     {}, // seconds, the year 33658
		"1000000000000":    {}, // milliseconds, 2001
		"1571432075563000": {}, // microseconds
		"1571432075563000000000000000000000000000000000000": {},
	} {
		t.Run(value, func(t *testing.T) {
			got := parseReset(value, then)
			assert.True(t, want.Equal(got), "%s, want %s", got, want)
		})
	}
}

func TestParseReset_Horizon(t *testing.T) {
	inside, outside := then.Add(resetHorizon), then.Add(resetHorizon+time.Second)
	assert.False(t, parseReset(epochMs(inside), then).IsZero())
	assert.True(t, parseReset(epochMs(outside), then).IsZero())
	assert.True(t, parseReset(epochMs(then.Add(-resetHorizon-time.Second)), then).IsZero())
}

func TestLimitOfHeader(t *testing.T) {
	for name, tt := range map[string]struct {
		limit, remaining, reset string
		want                    RateLimit
	}{
		"all":                  {"5", "3", "1571432075", RateLimit{5, 3, time.Unix(1571432075, 0)}},
		"none":                 {"", "", "", RateLimit{Remaining: NotTold}},
		"nothing left":         {"5", "0", "", RateLimit{Limit: 5}},
		"nonsense":             {"five", "-1", "soon", RateLimit{Remaining: NotTold}},
		"a limit of 0 is none": {"0", "0", "", RateLimit{}},
		"too large":            {"99999999999", "99999999999", "", RateLimit{Remaining: NotTold}},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{}
			h.Set("X-RateLimit-Limit", tt.limit)
			h.Set("X-RateLimit-Remaining", tt.remaining)
			h.Set("X-RateLimit-Reset", tt.reset)
			assert.Equal(t, tt.want, limitOfHeader(h, then))
		})
	}
}

func TestRateLimit_Refine(t *testing.T) {
	header := RateLimit{Limit: 5, Remaining: 3, Reset: then}
	later := then.Add(time.Minute)
	for name, tt := range map[string]struct {
		body bodyLimit
		want RateLimit
	}{
		"nothing told":         {bodyLimit{}, header},
		"total":                {bodyLimit{total: "6"}, RateLimit{6, 3, then}},
		"remaining":            {bodyLimit{remaining: "0"}, RateLimit{5, 0, then}},
		"reset in ms":          {bodyLimit{reset: epochMs(later)}, RateLimit{5, 3, later}},
		"resetMs beats reset":  {bodyLimit{reset: epoch(later), resetMs: epochMs(later)}, RateLimit{5, 3, later}},
		"resetMs in s, though": {bodyLimit{resetMs: epoch(later)}, RateLimit{5, 3, later.Truncate(time.Second)}},
		"bad resetMs":          {bodyLimit{reset: epochMs(later), resetMs: "x"}, RateLimit{5, 3, later}},
	} {
		t.Run(name, func(t *testing.T) {
			got := header.refine(tt.body, then)
			assert.True(t, tt.want.Reset.Equal(got.Reset), "%s, want %s", got.Reset, tt.want.Reset)
			got.Reset = tt.want.Reset
			assert.Equal(t, tt.want, got)
		})
	}
}

func FuzzParseReset(f *testing.F) {
	for _, s := range []string{"", "0", "1571432075", "1571432075563", "1e12", "-1", "9999999999999999999999", "1.5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got := parseReset(value, then)
		if got.IsZero() {
			return
		}
		assert.LessOrEqual(t, got.Sub(then).Abs(), resetHorizon)
		n, err := strconv.ParseFloat(value, 64)
		assert.NoError(t, err)
		assert.GreaterOrEqual(t, n, 0.0)
	})
}
