package tcpproxy

import (
	"bufio"
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// echo is a server that sends back what it gets; it tells of each line on heard.
func echo(t *testing.T) (addr string, heard chan string) {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	heard = make(chan string, 100)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				for lines := bufio.NewReader(conn); ; {
					line, err := lines.ReadString('\n')
					if err != nil {
						return
					}
					heard <- line
					_, _ = io.WriteString(conn, line)
				}
			}()
		}
	}()
	return l.Addr().String(), heard
}

// peer is a connection through the proxy.
type peer struct {
	t     *testing.T
	conn  net.Conn
	lines *bufio.Reader
}

func dial(t *testing.T, p *Proxy) *peer {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(context.Background(), "tcp", p.Addr())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return &peer{t, conn, bufio.NewReader(conn)}
}

func (p *peer) send(line string) {
	p.t.Helper()
	_, err := io.WriteString(p.conn, line)
	require.NoError(p.t, err)
}

// read returns the next line, or "" when none comes within the time.
func (p *peer) read(within time.Duration) string {
	p.t.Helper()
	require.NoError(p.t, p.conn.SetReadDeadline(time.Now().Add(within)))
	line, err := p.lines.ReadString('\n')
	if err != nil {
		return ""
	}
	return line
}

const (
	soon  = 5 * time.Second
	never = 100 * time.Millisecond // how long a test waits for what must not come
)

func TestProxy_SilentInEitherDirection(t *testing.T) {
	for name, d := range map[string]Direction{"to the server": ToServer, "to the client": ToClient, "both": Both} {
		t.Run(name, func(t *testing.T) {
			addr, heard := echo(t)
			p := Start(t, addr)
			c := dial(t, p)
			c.send("a\n")
			assert.Equal(t, "a\n", c.read(soon))
			<-heard

			p.Silence(d)
			c.send("b\n")
			assert.Empty(t, c.read(never))
			if d == ToClient {
				assert.Equal(t, "b\n", <-heard, "the server heard it all the same")
			} else {
				assert.Empty(t, heard)
			}
			other := dial(t, p)
			other.send("new\n")
			assert.Equal(t, "new\n", other.read(soon), "a new connection passes")
			assert.Equal(t, 2, p.Accepted())

			p.Resume()
			assert.Equal(t, "b\n", c.read(soon), "what was held back arrives")
		})
	}
}

func TestProxy_SilenceAll(t *testing.T) {
	addr, _ := echo(t)
	p := Start(t, addr)
	p.SilenceAll(Both)
	c := dial(t, p)
	c.send("a\n")
	assert.Empty(t, c.read(never))
	p.Resume()
	assert.Equal(t, "a\n", c.read(soon))
}

func TestProxy_PassesTheEndOn(t *testing.T) {
	addr, _ := echo(t)
	c := dial(t, Start(t, addr))
	require.NoError(t, c.conn.(*net.TCPConn).CloseWrite())
	_, err := c.lines.ReadByte()
	assert.ErrorIs(t, err, io.EOF)
}
