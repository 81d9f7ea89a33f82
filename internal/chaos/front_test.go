package chaos

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/tcpproxy"
)

// front is how the programs under test reach the emulated API: as they reach Vercel's,
// over TLS and HTTP/2, with a network in between that may fall silent.
type front struct {
	*tcpproxy.Proxy
	url  string
	cert string // file of the certificate; "" is plain HTTP
}

type closingHandler interface {
	http.Handler
	Close() error
}

func newFront(t *testing.T, api closingHandler) front {
	t.Helper()
	server := httptest.NewUnstartedServer(api)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it says of each connection that is given up that it was
	t.Cleanup(server.Close)
	t.Cleanup(func() { _ = api.Close() }) // first: the server waits for calls that hang
	if !trustsFile() {
		server.Start()
		p := tcpproxy.Start(t, server.Listener.Addr().String())
		return front{Proxy: p, url: "http://" + p.Addr()}
	}
	server.StartTLS()
	p := tcpproxy.Start(t, server.Listener.Addr().String())
	cert := filepath.Join(t.TempDir(), "api.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	require.NoError(t, os.WriteFile(cert, text, 0o600))
	return front{p, "https://" + p.Addr(), cert}
}

// trustsFile reports whether programs in Go trust the certificates of SSL_CERT_FILE here.
func trustsFile() bool { return runtime.GOOS != "darwin" && runtime.GOOS != "windows" }

func (f front) env() []string {
	env := []string{"EDGEPURGE_VERCEL_URL=" + f.url}
	if f.cert != "" {
		env = append(env, "SSL_CERT_FILE="+f.cert)
	}
	return env
}

// fallSilent is a network that forgets its connections: those that there are never say
// anything again, nor do new ones until recover.
func (f front) fallSilent() { f.SilenceAll(tcpproxy.Both) }

// recover lets new connections work. The old ones stay as they are: what they held back
// would arrive when nobody waits for it any more, and no network keeps it that long.
func (f front) recover() { f.Silence(tcpproxy.Both) }
