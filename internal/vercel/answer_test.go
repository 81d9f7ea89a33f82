package vercel

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPurge_EverySuccess(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"200, nothing":    answerWith(200, ""),
		"200, {}":         answerWith(200, "{}", "Content-Type", "application/json"),
		"200, empty JSON": answerWith(200, "", "Content-Type", "application/json"),
		"201":             answerWith(201, ""),
		"202":             answerWith(202, ""),
		"204":             answerWith(204, ""),
		"299":             answerWith(299, ""),
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := serve(t, h)
			a, err := c.Purge(context.Background(), purge())
			require.NoError(t, err)
			assert.InDelta(t, 249, a.Status, 50)
			assert.Equal(t, NotTold, a.Limit.Remaining)
		})
	}
}

func TestPurge_SuccessTellsTheLimit(t *testing.T) {
	reset := time.Now().Add(time.Minute).Truncate(time.Second)
	c, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Vercel-Id", "iad1::abc")
		w.Header().Set("X-RateLimit-Limit", "5")
		w.Header().Set("X-RateLimit-Remaining", "0")
		w.Header().Set("X-RateLimit-Reset", epoch(reset))
	})
	a, err := c.Purge(context.Background(), purge())
	require.NoError(t, err)
	assert.Equal(t, "iad1::abc", a.RequestID)
	assert.Equal(t, 5, a.Limit.Limit)
	assert.Equal(t, 0, a.Limit.Remaining)
	assert.True(t, reset.Equal(a.Limit.Reset))
}

func TestPurge_StatusError(t *testing.T) {
	for name, tt := range map[string]struct {
		h    http.HandlerFunc
		want StatusError
	}{
		"400": {
			answerWith(400, "{\"error\":{\"code\":\"bad_request\",\"message\":\"Invalid request: `tags` should NOT have more than 16 items.\"}}"),
			StatusError{Status: 400, Code: "bad_request", Message: "Invalid request: `tags` should NOT have more than 16 items."},
		},
		"403": {
			answerWith(403, `{"error":{"code":"forbidden","message":"Not authorized","invalidToken":true}}`, "X-Vercel-Id", "fra1::1"),
			StatusError{Status: 403, Code: "forbidden", Message: "Not authorized", InvalidToken: true, RequestID: "fra1::1"},
		},
		"404, key err": {
			answerWith(404, `{"err":{"code":"not_found","message":"Project not found"}}`),
			StatusError{Status: 404, Code: "not_found", Message: "Project not found"},
		},
		"429, too_many_requests": {
			answerWith(429, `{"error":{"code":"too_many_requests","message":"Rate limit exceeded"}}`, "Retry-After", "7"),
			StatusError{Status: 429, Code: "too_many_requests", Message: "Rate limit exceeded", RetryAfter: 7 * time.Second},
		},
		"500, HTML": {
			answerWith(500, "<!doctype html><html><head><style>b{}</style><script>x()</script><title>500: x</title></head>\n<body><h1>Server&nbsp;&amp; Error</h1></body></html>", "Content-Type", "text/html"),
			StatusError{Status: 500, Message: "500: x Server & Error"},
		},
		"502, HTML without a content type": {answerWith(502, "  <html>Bad <b>Gateway</b>"), StatusError{Status: 502, Message: "Bad Gateway"}},
		"503, empty":                       {answerWith(503, ""), StatusError{Status: 503}},
		"503, text":                        {answerWith(503, "a < b\r\n\x00\x1b[31mred"), StatusError{Status: 503, Message: "a < b [31mred"}},
		"500, cut JSON":                    {answerWith(500, `{"error":{"code":"x`), StatusError{Status: 500, Message: `{"error":{"code":"x`}},
		"300":                              {answerWith(300, ""), StatusError{Status: 300}},
		"304":                              {answerWith(304, ""), StatusError{Status: 304}},
		"418":                              {answerWith(418, `{"error":{"code":"teapot","message":"I'm"}}`), StatusError{Status: 418, Code: "teapot", Message: "I'm"}},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := serve(t, tt.h)
			a, err := c.Purge(context.Background(), purge())
			e, ok := errors.AsType[*StatusError](err)
			require.True(t, ok, "%v", err)
			tt.want.Limit.Remaining = NotTold
			assert.Equal(t, tt.want, *e)
			assert.Equal(t, Answer{Status: e.Status, RequestID: e.RequestID, Limit: e.Limit}, a)
		})
	}
}

func TestPurge_LimitOfTheBodyIsFiner(t *testing.T) {
	reset := time.Now().Add(30 * time.Second).Truncate(time.Millisecond)
	body := `{"error":{"code":"rate_limited","message":"m","limit":{"remaining":0,"reset":` + epoch(reset) +
		`,"resetMs":` + epochMs(reset) + `,"total":6}}}`
	c, _ := serve(t, answerWith(429, body,
		"X-RateLimit-Limit", "5", "X-RateLimit-Remaining", "3", "X-RateLimit-Reset", epoch(reset.Add(time.Hour))))
	a, err := c.Purge(context.Background(), purge())
	require.Error(t, err)
	assert.Equal(t, 6, a.Limit.Limit)
	assert.Equal(t, 0, a.Limit.Remaining)
	assert.True(t, reset.Equal(a.Limit.Reset), "%s, want %s", a.Limit.Reset, reset)
}

// Everything that comes from outside is bounded.
func TestPurge_TextIsBounded(t *testing.T) {
	long := strings.Repeat("é", 100_000)
	c, _ := serve(t, answerWith(400, `{"error":{"code":"`+long[:1000]+`","message":"`+long[:20_000]+`"}}`, "X-Vercel-Id", strings.Repeat("i", 1000)))
	_, err := c.Purge(context.Background(), purge())
	e, ok := errors.AsType[*StatusError](err)
	require.True(t, ok)
	assert.LessOrEqual(t, len(e.Code), maxCodeBytes)
	assert.LessOrEqual(t, len(e.Message), 500)
	assert.Greater(t, len(e.Message), 490)
	assert.True(t, strings.HasSuffix(e.Message, "é…"), "cut between characters")
	assert.Len(t, e.RequestID, maxRequestIDBytes)
}

func TestStatusError_Error(t *testing.T) {
	for want, e := range map[string]StatusError{
		"vercel answered 503":                           {Status: 503},
		"vercel answered 418 teapot":                    {Status: 418, Code: "teapot"},
		"vercel answered 500: oops":                     {Status: 500, Message: "oops"},
		"vercel answered 404 nf: no (x-vercel-id a::b)": {Status: 404, Code: "nf", Message: "no", RequestID: "a::b"},
	} {
		assert.EqualError(t, &e, want)
	}
}
