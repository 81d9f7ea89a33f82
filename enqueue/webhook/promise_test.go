package webhook

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/tasks"
)

const promised = 1500 * time.Millisecond

func TestHandler_BlockedQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil, plainSource())
		d.enqueue = func(ctx context.Context, _ tasks.Purge) error {
			<-ctx.Done()
			return ctx.Err()
		}
		began := time.Now()
		w := d.post(`{"tags":["a"]}`)
		assert.Less(t, time.Since(began), promised)
		status(t, w, 503)
		assert.Equal(t, "30", w.Header().Get("Retry-After"))
		assert.Equal(t, map[Outcome]int{Unavailable: 1}, d.counts)
		synctest.Wait()
		assert.Equal(t, map[Outcome]int{Unavailable: 1}, d.counts, "counted once")
	})
}

// Even a queue that does not look at its context holds no answer back.
func TestHandler_DeafQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil, plainSource())
		d.enqueue = func(context.Context, tasks.Purge) error {
			time.Sleep(time.Minute)
			return nil
		}
		began := time.Now()
		status(t, d.post(`{"tags":["a"]}`), 503)
		assert.Equal(t, answerWithin, time.Since(began))
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, map[Outcome]int{Unavailable: 1}, d.counts)
	})
}

func TestHandler_DedupeIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, &memory{hang: true}, plainSource())
		began := time.Now()
		assert.Equal(t, "queued", status(t, d.post(`{"tags":["a"]}`, "X-Id", "1"), 200), "a double purge does no harm")
		assert.Equal(t, 2*dedupeWithin, time.Since(began))
	})
	d := newDesk(t, &memory{fail: io.ErrUnexpectedEOF}, plainSource())
	for range 2 {
		assert.Equal(t, "queued", status(t, d.post(`{"tags":["a"]}`, "X-Id", "1"), 200))
	}
	assert.Len(t, d.purges, 2)
}

// A sender that hangs up has still told what changed.
func TestHandler_SenderHangsUp(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil, plainSource())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d.enqueue = func(ctx context.Context, _ tasks.Purge) error { return ctx.Err() }
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/hooks/plain", strings.NewReader(`{"tags":["a"]}`))
	r.Header.Set("X-Token", token)
	assert.Equal(t, "queued", status(t, d.serve(r), 200))
}

// hiding is a ResponseWriter that gives nobody its connection.
type hiding struct{ http.ResponseWriter }

func TestHandler_SlowBody(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(http.Handler) http.Handler{
		"net/http": func(h http.Handler) http.Handler { return h },
		"behind a middleware": func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(hiding{w}, r) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, nil, plainSource())
			s := httptest.NewServer(wrap(d))
			defer s.Close()
			var dialer net.Dialer
			conn, err := dialer.DialContext(t.Context(), "tcp", s.Listener.Addr().String())
			require.NoError(t, err)
			defer conn.Close()
			require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
			began := time.Now()
			_, err = fmt.Fprintf(conn, "POST /hooks/plain HTTP/1.1\r\nHost: a\r\nX-Token: %s\r\nContent-Length: 14\r\n\r\n{\"tags\"", token)
			require.NoError(t, err)
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			defer response.Body.Close()
			assert.Less(t, time.Since(began), promised)
			assert.Equal(t, 503, response.StatusCode)
			assert.Equal(t, "30", response.Header.Get("Retry-After"))
			assert.True(t, response.Close)
			assert.Empty(t, d.purges)
			if name == "net/http" { // nothing waits for the rest until the sender hangs up
				_, err = io.Copy(io.Discard, response.Body)
				require.NoError(t, err)
				_, err = conn.Read(make([]byte, 1))
				assert.ErrorIs(t, err, io.EOF)
			}
		})
	}
}

// A connection serves one delivery after the other, also when the first took
// longer than the second that its body was given: a client that finds its
// connection closed may give the next delivery up.
func TestHandler_KeepsItsConnection(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil, plainSource())
	d.enqueue = func(context.Context, tasks.Purge) error {
		time.Sleep(bodyWithin + 100*time.Millisecond)
		return nil
	}
	var connections atomic.Int32
	s := httptest.NewUnstartedServer(d)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	deliver := func() {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/hooks/plain", strings.NewReader(`{"tags":["a"]}`))
		require.NoError(t, err)
		request.Header.Set("X-Token", token)
		response, err := s.Client().Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		_, err = io.Copy(io.Discard, response.Body)
		require.NoError(t, err)
		assert.Contains(t, []int{200, 503}, response.StatusCode) // 0.1 s may be too long for a busy machine
	}
	deliver()
	deliver()
	assert.EqualValues(t, 1, connections.Load())
}
