package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// slowly sends the beginning of a request with a body and waits for the answer
// and for the end of the connection.
func slowly(t *testing.T, handler http.Handler, path string) (status int, took time.Duration) {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.ReadTimeout = 20 * time.Second
	s.Start()
	defer s.Close()
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	began := time.Now()
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\nuser=a", path)
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	assert.True(t, response.Close, path)
	_, err = conn.Read(make([]byte, 1))
	assert.True(t, errors.Is(err, io.EOF) || strings.Contains(err.Error(), "reset"), "%s: %v", path, err)
	return response.StatusCode, time.Since(began)
}

func TestWithoutWaiting(t *testing.T) {
	t.Parallel()
	refusing := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	status, took := slowly(t, withoutWaiting(refusing), "/v1/purges")
	assert.Equal(t, 403, status)
	assert.Less(t, took, 5*time.Second, "its body was not waited for")

	login := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ParseForm() != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	status, took = slowly(t, withoutWaiting(login), "/monitor/login")
	assert.Equal(t, 400, status)
	assert.Less(t, took, formWithin+5*time.Second)

	// What came as a whole keeps its connection, refused or not.
	w := httptest.NewRecorder()
	withoutWaiting(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusBadRequest)
	})).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/purges", strings.NewReader("x")))
	assert.Empty(t, w.Header().Get("Connection"))
}
