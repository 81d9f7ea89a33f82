// Package tcpproxy puts a TCP proxy in front of a server, for tests. Its
// connections can fall silent in either direction without being closed, as they
// do when a NAT entry is lost or a host disappears.
package tcpproxy

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// Direction is where the bytes that a silence holds back were going.
type Direction uint8

// The directions; Both is the two of them.
const (
	ToServer Direction = 1 << iota
	ToClient
	Both = ToServer | ToClient
)

// Proxy forwards connections to one server. Its methods are safe for concurrent use.
type Proxy struct {
	target   string
	listener net.Listener
	pumps    sync.WaitGroup

	mu       sync.Mutex
	changed  *sync.Cond
	conns    map[*pair]struct{}
	fresh    Direction // what new connections are silent in
	accepted int
	closed   bool
}

// pair is a client's connection and the one to the server that it is joined to.
type pair struct {
	client, server *net.TCPConn
	silent         Direction
	ended          bool
}

// Start listens on a loopback port, forwards what connects there to target
// (host:port) and ends when the test does.
func Start(tb testing.TB, target string) *Proxy {
	tb.Helper()
	var config net.ListenConfig
	l, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("tcpproxy: %v", err)
	}
	p := &Proxy{target: target, listener: l, conns: map[*pair]struct{}{}}
	p.changed = sync.NewCond(&p.mu)
	p.pumps.Go(p.accept)
	tb.Cleanup(p.close)
	return p
}

// Addr is the proxy's address, host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Accepted is how many connections clients have made so far.
func (p *Proxy) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// Silence holds back whatever the connections of this moment send in a direction,
// their FIN included, until Resume. New connections are not affected.
func (p *Proxy) Silence(d Direction) { p.set(d, 0) }

// SilenceAll is Silence for new connections too: they are accepted, and nothing
// passes in that direction.
func (p *Proxy) SilenceAll(d Direction) { p.set(d, d) }

// Resume ends every silence. What was held back arrives now.
func (p *Proxy) Resume() { p.set(0, 0) }

func (p *Proxy) set(present, fresh Direction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fresh = fresh
	for c := range p.conns {
		c.silent = present
	}
	p.changed.Broadcast()
}

func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.pumps.Go(func() { p.serve(conn.(*net.TCPConn)) })
	}
}

func (p *Proxy) serve(client *net.TCPConn) {
	var d net.Dialer
	conn, err := d.DialContext(context.Background(), "tcp", p.target)
	if err != nil {
		_ = client.Close()
		return
	}
	c := &pair{client: client, server: conn.(*net.TCPConn)}
	if !p.add(c) {
		c.close()
		return
	}

	var both sync.WaitGroup
	both.Go(func() { p.pump(c, ToServer, c.server, c.client) })
	both.Go(func() { p.pump(c, ToClient, c.client, c.server) })
	both.Wait()
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
	c.close()
}

// add takes a new pair in; false: the proxy has ended, and would not close it.
func (p *Proxy) add(c *pair) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.accepted++
	c.silent = p.fresh
	p.conns[c] = struct{}{}
	return true
}

// pump copies one direction of a pair until its end, which it passes on.
func (p *Proxy) pump(c *pair, d Direction, to, from *net.TCPConn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if !p.wait(c, d) {
			return
		}
		if _, failed := to.Write(buffer[:n]); failed != nil {
			err = failed
		}
		switch {
		case errors.Is(err, io.EOF):
			_ = to.CloseWrite()
			return
		case err != nil:
			c.close() // the other direction ends with it
			return
		}
	}
}

// wait returns when the direction is not silent; false: the proxy ends.
func (p *Proxy) wait(c *pair, d Direction) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c.silent&d != 0 && !c.ended {
		p.changed.Wait()
	}
	return !c.ended
}

func (c *pair) close() {
	_ = c.client.Close()
	_ = c.server.Close()
}

func (p *Proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for c := range p.conns {
		c.ended = true
		c.close()
	}
	p.changed.Broadcast()
	p.mu.Unlock()
	p.pumps.Wait()
}
