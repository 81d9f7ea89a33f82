package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/enqueue"
	"github.com/edgepurge/edgepurge/tasks"
)

// Redis away: the purge is not taken in, and every client is told to come again.
func TestHandler_RedisAway(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	gone := listener.Addr().String()
	require.NoError(t, listener.Close())
	client, err := enqueue.New(enqueue.Config{Redis: "redis://" + gone})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	d := newDesk(t, func(c *Config) { c.Enqueue = client.Purge })
	r := send(d, "POST", deleteTags+toProject, `{"tags":["a"]}`)
	assert.Equal(t, 503, r.StatusCode)
	assert.Equal(t, "5", r.Header.Get("Retry-After"))
	assert.Equal(t, "service_unavailable", r.problem(t).Code)
	assert.NotContains(t, r.body, gone, "where Redis is, is nobody's business")
	assert.Equal(t, map[counted]int{{"shop", Unavailable}: 1}, d.counts)
	assert.Contains(t, d.logged(), gone, "but the operator's")
	assert.Contains(t, d.logged(), `"error":"`, "in the field in which every other line has it")
}

// A purge goes on when its client has hung up, and not for ever.
func TestHandler_ClientHangsUp(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	var ended error
	var left time.Duration
	d.enqueue = func(ctx context.Context, _ tasks.Purge) (enqueue.Receipt, error) {
		ended = ctx.Err()
		at, _ := ctx.Deadline()
		left = time.Until(at)
		return enqueue.Receipt{ID: "x"}, nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r := httptest.NewRequestWithContext(ctx, "POST", deleteTags+toProject, strings.NewReader(`{"tags":["a"]}`))
	r.Header.Set("Authorization", "Bearer "+shopSecret)
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	assert.Equal(t, 200, w.Code)
	require.NoError(t, ended)
	assert.LessOrEqual(t, left, storeWithin)
	assert.Positive(t, left)
}

// Only a purge that may be several tasks gets more time.
func TestRedisTime(t *testing.T) {
	t.Parallel()
	assert.Equal(t, 1200*time.Millisecond, redisTime(0))
	assert.Equal(t, 1200*time.Millisecond, redisTime(512<<10))
	assert.Equal(t, 5*time.Second, redisTime(512<<10+1))
	assert.Equal(t, 5*time.Second, redisTime(MaxBodyBytes))
}

// What the store refuses for good is no reason to come again.
func TestHandler_StoreFindsAFault(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.enqueue = func(context.Context, tasks.Purge) (enqueue.Receipt, error) {
		return enqueue.Receipt{}, fmt.Errorf("purge request: %w", errors.Join(
			&tasks.FieldError{Field: "tags[0]", Problem: "is bad"}, &tasks.FieldError{Field: "tags[1]", Problem: "is worse"}))
	}
	r := send(d, "POST", deleteTags+toProject, `{"tags":["a"]}`)
	assert.Equal(t, 400, r.StatusCode)
	assert.Contains(t, r.problem(t).Message, "tags[0] is bad")
	assert.Equal(t, map[counted]int{{"shop", Invalid}: 1}, d.counts)
}

func TestHandler_Panic(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.enqueue = func(context.Context, tasks.Purge) (enqueue.Receipt, error) { panic("tag-of-the-client") }
	r := send(d, "POST", deleteTags+toProject, `{"tags":["a"]}`)
	assert.Equal(t, 500, r.StatusCode)
	assert.Equal(t, "internal_server_error", r.problem(t).Code)
	assert.NotContains(t, d.logged(), "tag-of-the-client")
}

// One line for each exchange, with what an operator asks for and without what
// the client's keys, tags and images are; a fault quotes what is at fault.
func TestHandler_LogAndCount(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	send(d, "POST", deleteTags+toProject, `{"tags":["hush-tag","b"]}`)
	send(d, "POST", deleteTags+toProject, `{"tags":["faulty,"]}`)
	send(d, "POST", deleteTags+toProject, `{"tags":["hush-tag"]}`, "Authorization", "Bearer hush-key")
	send(d, "POST", deleteTags+toProject, `{"tags":["hush-tag"]}`, "Authorization", "Bearer "+blogSecret)
	send(d, "GET", deleteTags+"?projectIdOrName=hush-query", ``)
	send(d, "GET", "/no/"+strings.Repeat("x", 200)+"%0a", ``)
	send(d, "GET", "/v2/user", ``)
	send(d, "POST", deleteTags+toProject, `{"tags":["`+strings.Repeat("x", 1<<20)+`"]}`)
	assert.Equal(t, map[counted]int{
		{"shop", Queued}: 1, {"shop", Invalid}: 1, {Anonymous, Unauthorized}: 1, {"blog", Forbidden}: 1,
		{Anonymous, BadMethod}: 1, {Anonymous, NotFound}: 1, {"shop", Shown}: 1, {"shop", TooLarge}: 1,
	}, d.counts)
	lines := strings.Split(strings.TrimSpace(d.logged()), "\n")
	require.Len(t, lines, 8)
	for _, line := range lines {
		assert.Less(t, len(line), 400)
		for _, hushed := range []string{"hush", shopSecret, blogSecret} {
			assert.NotContains(t, line, hushed)
		}
	}
	var first map[string]any
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &first))
	assert.Contains(t, first, "took_ms")
	delete(first, "took_ms")
	assert.Equal(t, map[string]any{
		"level": "info", "source": "shop", "method": "POST", "path": deleteTags, "status": 200.0, "outcome": "queued",
		"project": "prj_abc", "operation": "delete", "items": 2.0, "id": "made-here", "message": "purge by API",
	}, first)
}

// Over a real connection: a body that is too large is not waited for.
func TestHandler_TooLargeIsNotRead(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(newDesk(t))
	t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 99999999\r\n\r\n{", deleteTags+toProject, shopSecret)
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(5*time.Second)))
	answer := make([]byte, 12)
	_, err = conn.Read(answer)
	require.NoError(t, err)
	assert.Equal(t, fmt.Sprint("HTTP/1.1 ", http.StatusRequestEntityTooLarge), string(answer))
}
