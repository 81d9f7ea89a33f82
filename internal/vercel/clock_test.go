package vercel

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAhead(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for date, want := range map[string]time.Duration{
		"":                              0,
		"yesterday":                     0,
		"Sun, 22 Nov 2026 12:00:00 GMT": 0,
		"Sun, 22 Nov 2026 11:59:55 GMT": 0,
		"Sun, 22 Nov 2026 12:00:05 GMT": 0,
		"Sun, 22 Nov 2026 11:59:54 GMT": 6 * time.Second,
		"Sun, 22 Nov 2026 11:53:00 GMT": 7 * time.Minute,
		"Sun, 22 Nov 2026 12:07:00 GMT": -7 * time.Minute,
	} {
		assert.Equal(t, want, ahead(http.Header{"Date": {date}}, now), date)
	}
}

// A worker whose clock is minutes off waits as long as the API asks for, all the same.
func TestRead_WithAClockThatIsOff(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, answerWith(200, ""))
	theirs := time.Now().Truncate(time.Second)
	for _, off := range []time.Duration{0, 7 * time.Minute, -7 * time.Minute} {
		now := theirs.Add(off)
		header := http.Header{
			"Date":              {theirs.UTC().Format(http.TimeFormat)},
			"X-Ratelimit-Reset": {epoch(theirs.Add(30 * time.Second))},
			"Retry-After":       {theirs.Add(40 * time.Second).UTC().Format(http.TimeFormat)},
		}
		answer, err := c.read(&http.Response{StatusCode: 200, Header: header}, nil, now)
		require.NoError(t, err)
		assert.Equal(t, 30*time.Second, answer.Limit.Reset.Sub(now), "%s off", off)

		body := []byte(`{"error":{"code":"rate_limited","limit":{"total":5,"remaining":0,"resetMs":"` + epochMs(theirs.Add(20*time.Second)) + `"}}}`)
		_, err = c.read(&http.Response{StatusCode: 429, Header: header}, body, now)
		var failed *StatusError
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, 20*time.Second, failed.Limit.Reset.Sub(now), "%s off", off)
		assert.Equal(t, 40*time.Second, failed.RetryAfter, "%s off", off)
	}
}
