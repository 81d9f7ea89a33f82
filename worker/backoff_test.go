package worker

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/edgepurge/edgepurge/internal/redistest"
)

// almostOne is the largest jitter.
var almostOne = math.Nextafter(1, 0)

func TestBackoff_DoublesUpToTheCap(t *testing.T) {
	r := Retry{Base: 2 * time.Second, Cap: 10 * time.Minute}
	for attempt, window := range map[int]time.Duration{
		1: 2 * time.Second, 2: 4 * time.Second, 3: 8 * time.Second, 9: 512 * time.Second,
		10: 10 * time.Minute, 11: 10 * time.Minute, 100: 10 * time.Minute, math.MaxInt32: 10 * time.Minute,
	} {
		assert.Zero(t, backoff(r, attempt, 0, 0), "attempt %d", attempt)
		assert.InDelta(t, window, backoff(r, attempt, 0, almostOne), 1, "attempt %d", attempt)
		assert.InDelta(t, window/2, backoff(r, attempt, 0, 0.5), 1, "attempt %d", attempt)
	}
}

func TestBackoff_RetryAfterIsAFloorWithTheJitterOnTop(t *testing.T) {
	r := Retry{Base: time.Second, Cap: time.Minute}
	assert.Equal(t, 30*time.Second, backoff(r, 1, 30*time.Second, 0))
	assert.Equal(t, 30*time.Second+500*time.Millisecond, backoff(r, 1, 30*time.Second, 0.5))
	assert.Equal(t, time.Minute, backoff(r, 1, 24*time.Hour, 0), "no batch is parked for longer than retry.cap")
}

func TestBackoff_Bounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.Int64Range(int64(10*time.Millisecond), int64(time.Hour)).Draw(t, "base")
		most := rapid.Int64Range(base, int64(24*time.Hour)).Draw(t, "cap")
		attempt := rapid.IntRange(1, 200).Draw(t, "attempt")
		floor := time.Duration(rapid.Int64Range(0, int64(24*time.Hour)).Draw(t, "floor"))
		random := rapid.Float64Range(0, almostOne).Draw(t, "random")
		got := backoff(Retry{Base: time.Duration(base), Cap: time.Duration(most)}, attempt, floor, random)
		if floor = min(floor, time.Duration(most)); got < floor || got > floor+time.Duration(most) {
			t.Fatalf("%s is not within %s and the cap on top of it", got, floor)
		}
	})
}

func TestPauseAfter(t *testing.T) {
	for _, c := range []struct {
		name       string
		asked, per time.Duration
		random     float64
		want       time.Duration
	}{
		{"as asked", 7 * time.Second, time.Minute, 0, 7 * time.Second},
		{"jitter of a tenth of the window", 7 * time.Second, 10 * time.Second, 0.5, 7500 * time.Millisecond},
		{"jitter of 5 s at most", 7 * time.Second, time.Hour, 0.5, 9500 * time.Millisecond},
		{"an hour at most", 31 * 24 * time.Hour, time.Minute, 0, time.Hour},
		{"or the window", 31 * 24 * time.Hour, 24 * time.Hour, 0, 24 * time.Hour},
		{"not told: the window", 0, time.Minute, 0, time.Minute},
		{"already over: the window", -time.Second, time.Minute, 0, time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.want, pauseAfter(c.asked, c.per, c.random))
		})
	}
}

func TestRandom_InRange(t *testing.T) {
	for range 1000 {
		r := random()
		assert.True(t, r >= 0 && r < 1, r)
	}
}

// A 429 whose reset is a misreading stops the account for an hour, not for a month.
func TestAttempt_ALongWaitIsBoundedAndLogged(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	l := newLab(t, testConfig(answering(t, &reply{status: 429, header: map[string]string{"Retry-After": "86400"}}).URL), rdb)
	require.NoError(t, l.attempt(callNamed("b", "x")))
	s, err := l.lanes.Status(t.Context(), "default", time.Minute)
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now().Add(time.Hour), s.PausedUntil, time.Minute)
	assert.Contains(t, l.logs.String(), `"asked_ms":86400000,"message":"rate limited by Vercel for longer than is believed`)
}
