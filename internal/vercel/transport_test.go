package vercel

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/tcpproxy"
)

// overHTTP2 starts a TLS server that speaks HTTP/2, a proxy before it, and a client
// of the proxy whose transport is our own but for the server's certificate.
func overHTTP2(t *testing.T, timeout time.Duration, h http.HandlerFunc, change func(*http.Transport)) (*Client, *tcpproxy.Proxy) {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, 2, r.ProtoMajor)
		h(w, r)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	address, err := url.Parse(server.URL)
	require.NoError(t, err)
	proxy := tcpproxy.Start(t, address.Host)
	transport := newTransport()
	transport.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig
	if change != nil {
		change(transport)
	}
	c, err := New(Config{
		BaseURL: "https://" + proxy.Addr(), Token: token, Timeout: timeout,
		HTTPClient: &http.Client{Transport: transport},
	})
	require.NoError(t, err)
	t.Cleanup(c.CloseIdleConnections)
	return c, proxy
}

func assertTimeout(t *testing.T, err error) {
	t.Helper()
	e, ok := errors.AsType[*TransportError](err)
	require.True(t, ok, "%v", err)
	assert.True(t, e.Timeout(), "%v", err)
}

func TestSilentPeer_NotUsedAgainAfterTwoTimeouts(t *testing.T) {
	for name, d := range map[string]tcpproxy.Direction{
		"to the server": tcpproxy.ToServer, "to the client": tcpproxy.ToClient, "both": tcpproxy.Both,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, proxy := overHTTP2(t, 200*time.Millisecond, answerWith(200, ""), nil)
			_, err := c.Purge(context.Background(), purge())
			require.NoError(t, err)
			proxy.Silence(d)
			for range 2 {
				_, err := c.Purge(context.Background(), purge())
				assertTimeout(t, err)
			}
			for range 3 {
				_, err = c.Purge(context.Background(), purge())
				require.NoError(t, err, "over a new connection")
			}
			assert.Equal(t, 2, proxy.Accepted())
		})
	}
}

// Pings find a dead connection before its calls time out.
func TestSilentPeer_Pinged(t *testing.T) {
	for name, d := range map[string]tcpproxy.Direction{
		"to the server": tcpproxy.ToServer, "to the client": tcpproxy.ToClient, "both": tcpproxy.Both,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, proxy := overHTTP2(t, time.Minute, answerWith(200, ""), func(transport *http.Transport) {
				transport.HTTP2.SendPingTimeout, transport.HTTP2.PingTimeout = 100*time.Millisecond, 100*time.Millisecond
			})
			_, err := c.Purge(context.Background(), purge())
			require.NoError(t, err)
			proxy.Silence(d)
			_, err = c.Purge(context.Background(), purge())
			e, ok := errors.AsType[*TransportError](err)
			require.True(t, ok, "%v", err)
			assert.False(t, e.Timeout(), "the connection ended, long before the minute")
			_, err = c.Purge(context.Background(), purge())
			require.NoError(t, err)
			assert.Equal(t, 2, proxy.Accepted())
		})
	}
}

func TestNewTransport_Pings(t *testing.T) {
	c, err := New(Config{Token: token})
	require.NoError(t, err)
	transport := c.conns.take().http.Transport.(*http.Transport)
	want := &http.HTTP2Config{SendPingTimeout: 5 * time.Second, PingTimeout: 5 * time.Second, WriteByteTimeout: 5 * time.Second}
	assert.Equal(t, want, transport.HTTP2)
	assert.Equal(t, want, c.conns.take().renew().HTTP2, "and so does what replaces it")
}

// A peer that accepts, and never answers a byte, holds no call longer than its
// timeout and no connection for good.
func TestSilentPeer_AcceptsAndNeverAnswers(t *testing.T) {
	t.Parallel()
	c, proxy := overHTTP2(t, 200*time.Millisecond, answerWith(200, ""), nil)
	proxy.SilenceAll(tcpproxy.Both)
	for range 3 {
		_, err := c.Purge(context.Background(), purge())
		assertTimeout(t, err)
	}
	proxy.SilenceAll(0)
	_, err := c.Purge(context.Background(), purge())
	require.NoError(t, err)
}

// A peer whose HTTP/2 layer lives, pings and all, and that answers no call: only
// the timeouts tell.
func TestStuckPeer_NotUsedAgainAfterTwoTimeouts(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var first string
	c, proxy := overHTTP2(t, 300*time.Millisecond, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		if first == "" {
			first = r.RemoteAddr
		}
		stuck := first == r.RemoteAddr
		mu.Unlock()
		if stuck {
			<-r.Context().Done()
		}
	}, func(transport *http.Transport) {
		transport.HTTP2.SendPingTimeout, transport.HTTP2.PingTimeout = 50*time.Millisecond, time.Minute
	})
	for range 2 {
		_, err := c.Purge(context.Background(), purge())
		assertTimeout(t, err)
	}
	_, err := c.Purge(context.Background(), purge())
	require.NoError(t, err)
	assert.Equal(t, 2, proxy.Accepted())
}

// Calls that time out now and then, with successes in between, keep the connection.
func TestTimeoutsApart_KeepTheConnection(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	c, proxy := overHTTP2(t, 200*time.Millisecond, func(_ http.ResponseWriter, r *http.Request) {
		if calls.Add(1)%2 == 0 {
			<-r.Context().Done()
		}
	}, nil)
	for i := range 6 {
		_, err := c.Purge(context.Background(), purge())
		assert.Equal(t, i%2 == 1, err != nil)
	}
	assert.Equal(t, 1, proxy.Accepted())
}

// A call under way on a replaced transport ends as it would have, and its end
// counts neither for nor against the new one.
func TestReplacedTransport_EndsInPeace(t *testing.T) {
	t.Parallel()
	release, begun := make(chan struct{}), make(chan struct{}, 10)
	c, proxy := overHTTP2(t, 5*time.Second, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			<-r.Context().Done()
			return
		}
		begun <- struct{}{}
		<-release
		_, _ = io.WriteString(w, "{}")
	}, nil)
	old := c.conns.take()
	ended := make(chan error, 1)
	go func() {
		_, err := c.Purge(context.Background(), purge())
		ended <- err
	}()
	<-begun
	for range 2 {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		assertTimeout(t, c.Check(ctx))
		cancel()
	}
	assert.NotSame(t, old, c.conns.take())
	close(release)
	require.NoError(t, <-ended)
	_, err := c.Purge(context.Background(), purge())
	require.NoError(t, err)
	assert.Equal(t, 2, proxy.Accepted())
}

// A timed-out call of HTTP/1.1 closes its connection by itself.
func TestSilentPeer_HTTP1(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(answerWith(200, ""))
	defer server.Close()
	proxy := tcpproxy.Start(t, server.Listener.Addr().(*net.TCPAddr).String())
	c, err := New(Config{BaseURL: "http://" + proxy.Addr(), Token: token, Timeout: 200 * time.Millisecond})
	require.NoError(t, err)
	defer c.CloseIdleConnections()
	_, err = c.Purge(context.Background(), purge())
	require.NoError(t, err)
	proxy.Silence(tcpproxy.Both)
	_, err = c.Purge(context.Background(), purge())
	assertTimeout(t, err)
	_, err = c.Purge(context.Background(), purge())
	require.NoError(t, err)
}
