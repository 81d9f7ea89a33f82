package vercel

import (
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// pingAfter is how long an HTTP/2 connection may bring nothing before it is
	// pinged, and pingTimeout how long the answer may take before the connection is
	// closed. A peer that vanished sends no FIN; without pings TCP alone would
	// notice, after a quarter of an hour.
	pingAfter   = 5 * time.Second
	pingTimeout = 5 * time.Second
	// writeTimeout bounds how long a full socket may take no byte: a write that
	// blocks holds the lock of its HTTP/2 connection.
	writeTimeout = 5 * time.Second
	// maxTimeouts is after how many timeouts in a row a transport is replaced. One
	// may be a slow call; an answered ping proves no more than that the peer's
	// HTTP/2 layer is alive.
	maxTimeouts = 2
)

// newTransport keeps as many idle connections as a busy worker has calls in
// flight; net/http would keep two a host and dial for every other call.
func newTransport() *http.Transport {
	const idle = 100
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          idle,
		MaxIdleConnsPerHost:   idle,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   5 * time.Second,
		ExpectContinueTimeout: time.Second,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout: pingAfter, PingTimeout: pingTimeout, WriteByteTimeout: writeTimeout,
		},
	}
}

// connections chooses the transport of each call. A timed-out call of HTTP/1.1
// closes its connection; one of HTTP/2 ends its stream only, and the next call
// goes over the same connection, dead or not. So after maxTimeouts in a row a
// new transport takes over, and the next call dials. Calls under way on the old
// one end as they would have.
type connections struct {
	mu      sync.Mutex
	current *transport
}

// transport is an HTTP client and how many of its latest calls timed out.
type transport struct {
	http *http.Client
	// renew returns a transport without connections; nil: it cannot be replaced, and
	// idle connections are closed instead.
	renew    func() *http.Transport
	timeouts int
}

func (c *connections) take() *transport {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current
}

// report notes how a call over t ended. t may have been replaced in between.
func (c *connections) report(t *transport, timedOut bool) {
	c.mu.Lock()
	if !timedOut {
		t.timeouts = 0
	} else {
		t.timeouts++
	}
	suspect := t.timeouts >= maxTimeouts
	if suspect && t == c.current && t.renew != nil {
		client := *t.http
		client.Transport = t.renew()
		c.current = &transport{http: &client, renew: t.renew}
	}
	replaced := t != c.current
	c.mu.Unlock()
	if suspect || replaced { // what is left of it is closed as its calls end
		t.http.CloseIdleConnections()
	}
}
