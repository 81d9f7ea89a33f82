package emulator

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/edgepurge/edgepurge/internal/vercel/api"
)

func TestAnswer_Encode(t *testing.T) {
	const asJSON, asHTML = "application/json; charset=utf-8", "text/html; charset=utf-8"
	for name, tt := range map[string]struct {
		answer     answer
		body, kind string
	}{
		"success":     {answer{status: 200}, ``, ``},
		"failure":     {failure(404, "no"), `{"error":{"code":"not_found","message":"no"}}`, asJSON},
		"own code":    {answer{status: 429, code: "rate_limited", message: "m"}, `{"error":{"code":"rate_limited","message":"m"}}`, asJSON},
		"token":       {answer{status: 403, message: "m", invalidToken: true}, `{"error":{"code":"forbidden","message":"m","invalidToken":true}}`, asJSON},
		"limit":       {answer{status: 429, message: "m", limit: &api.Limit{Reset: 1, ResetMs: 2, Total: 6}}, `{"error":{"code":"too_many_requests","message":"m","limit":{"remaining":0,"reset":1,"resetMs":2,"total":6}}}`, asJSON},
		"HTML":        {answer{status: 500, message: "m", html: true}, "<!doctype html><html><head><title>500: INTERNAL_SERVER_ERROR</title></head><body><h1>m</h1></body></html>\n", asHTML},
		"JSON":        {answer{status: 200, body: map[string]int{"a": 1}}, `{"a":1}`, asJSON},
		"not in HTTP": {failure(599, "m"), `{"error":{"code":"unknown","message":"m"}}`, asJSON},
	} {
		t.Run(name, func(t *testing.T) {
			body, kind := tt.answer.encode()
			assert.Equal(t, tt.body, string(body))
			assert.Equal(t, tt.kind, kind)
		})
	}
}

// All that a client may wait for is rounded up, so that it never comes early.
func TestAnswer_TimesAreRoundedUp(t *testing.T) {
	reset := time.UnixMilli(1_700_000_000_001)
	v := verdict{at: reset.Add(-2001 * time.Millisecond), limit: Limit{Calls: 5, Body: RateLimited}, reset: reset.Add(time.Microsecond)}
	a := tooMany(v, 0)
	assert.Equal(t, &api.Limit{Total: 5, Reset: 1_700_000_001, ResetMs: 1_700_000_000_002}, a.limit)
	w := httptest.NewRecorder()
	a.write(w, v)
	assert.Equal(t, "1700000001", w.Header().Get("X-RateLimit-Reset"))
	assert.Equal(t, "3", w.Header().Get("Retry-After"))
	assert.Equal(t, http.StatusTooManyRequests, w.Code)

	assert.Equal(t, time.Unix(5, 0), ceilTo(time.Unix(5, 0), time.Second))
	assert.Equal(t, time.Unix(6, 0), ceilTo(time.Unix(5, 1), time.Second))
	assert.Equal(t, int64(1), ceilSeconds(time.Nanosecond))
	assert.Equal(t, int64(2), ceilSeconds(2*time.Second))
}
