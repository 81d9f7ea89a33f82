package emulator

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPeakInWindow(t *testing.T) {
	begin := time.Unix(1_700_000_000, 0)
	at := func(token string, seconds ...int) (calls []Call) {
		for _, s := range seconds {
			calls = append(calls, Call{Token: token, Start: begin.Add(time.Duration(s) * time.Second)})
		}
		return calls
	}
	for name, tt := range map[string]struct {
		calls []Call
		per   time.Duration
		want  int
	}{
		"none":               {nil, time.Minute, 0},
		"one":                {at("a", 0), time.Minute, 1},
		"all in one":         {at("a", 0, 30, 59), time.Minute, 3},
		"half-open":          {at("a", 0, 30, 60), time.Minute, 2},
		"in the middle":      {at("a", 0, 100, 110, 120, 300), time.Minute, 3},
		"order is no matter": {at("a", 300, 120, 0, 110, 100), time.Minute, 3},
		"by account":         {append(at("a", 0, 1), at("b", 0, 1, 2)...), time.Minute, 3},
		"at once":            {at("a", 5, 5, 5), time.Nanosecond, 3},
		"no window":          {at("a", 5, 5, 5), 0, 0},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tt.want, PeakInWindow(tt.calls, tt.per, nil)) })
	}
	odd := func(c Call) bool { return c.Start.Unix()%2 == 1 }
	assert.Equal(t, 2, PeakInWindow(at("a", 0, 1, 2, 3, 4), time.Minute, odd))
}

func TestStats(t *testing.T) {
	b := start(t, Config{Limit: Limit{Calls: 3, Per: time.Hour}})
	for _, tags := range [][]string{{"a", "b"}, {"c"}, {}, {"d"}} { // 200, 200, 400, 429
		_, _ = b.purge(tags...)
	}
	b.send(t, "GET", "/v2/user", "")
	s := b.Stats()
	assert.Equal(t, Stats{
		Calls: 5, ByStatus: map[int]int64{200: 3, 400: 1, 429: 1}, AppliedCalls: 2, AppliedItems: 3,
		PeakInFlight: s.PeakInFlight, Per: time.Hour, PeakCounted: 3, PeakArrived: 4, Kept: 5,
	}, s.settled(t, b))

	b.Reset()
	s = b.Stats()
	assert.Equal(t, Stats{ByStatus: map[int]int64{}, PeakInFlight: s.PeakInFlight, Per: time.Hour}, s)
	_, err := b.purge("a")
	require.Error(t, err, "a reset forgives no rate limit")
}

// settled waits for the last handler to leave: the answer goes first.
func (s Stats) settled(t *testing.T, b *bench) Stats {
	t.Helper()
	require.Eventually(t, func() bool { return b.Stats().InFlight == 0 }, 5*time.Second, time.Millisecond)
	s.InFlight = 0
	return s
}
