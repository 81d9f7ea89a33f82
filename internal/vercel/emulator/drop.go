package emulator

import (
	"net"
	"net/http"
)

// drop resets the connection: the client sees "connection reset by peer", not
// an orderly end. Where there is no connection to take over (HTTP/2, a
// recorder) the handler is aborted, which net/http turns into a reset stream.
func drop(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tls, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = tls.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // close then sends RST in place of FIN
	}
	_ = conn.Close()
}
