package emulator

import (
	"context"
	"errors"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/vercel"
)

// Vercel is spoken to over TLS and HTTP/2; faults must work there too.
func TestTLS(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			e, err := New(Config{})
			require.NoError(t, err)
			server := httptest.NewUnstartedServer(e)
			server.EnableHTTP2 = http2
			server.StartTLS()
			defer server.Close()
			defer func() { assert.NoError(t, e.Close()) }()
			client, err := vercel.New(vercel.Config{BaseURL: server.URL, Token: secret, HTTPClient: server.Client(), Timeout: 5 * time.Second})
			require.NoError(t, err)
			defer client.CloseIdleConnections()

			_, err = client.Purge(context.Background(), request("a"))
			require.NoError(t, err)

			require.NoError(t, e.SetFaults(Faults{Reset: 1}))
			_, err = client.Purge(context.Background(), request("b"))
			_, ok := errors.AsType[*vercel.TransportError](err)
			require.True(t, ok, "%v", err)
			if !http2 {
				assert.ErrorIs(t, err, syscall.ECONNRESET)
			}

			require.NoError(t, e.SetFaults(Faults{}))
			_, err = client.Purge(context.Background(), request("c"))
			require.NoError(t, err, "the next call has a connection again")
			assert.Len(t, e.Journal(), 3)
		})
	}
}
