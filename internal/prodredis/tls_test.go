package prodredis

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/enqueue"
	"github.com/edgepurge/edgepurge/internal/redistest"
)

func TestTLS_WorksWithATrustedCA(t *testing.T) {
	t.Parallel()
	s := redistest.StartTLS(t, authority)
	f := newFleet(t, s.URL(), enqueue.Config{Redis: s.URL()}, 2, "acme", "beta")
	f.ask(300)
	f.drain(s.Client(t))
}

func TestTLS_RefusesAnUnknownCA(t *testing.T) {
	t.Parallel()
	other, err := redistest.NewCA("somebody else")
	require.NoError(t, err)
	s := redistest.StartTLS(t, other)
	plain := redistest.Start(t)
	for _, c := range []struct{ url, want string }{
		{s.URL(), "x509: certificate signed by unknown authority"},
		{strings.Replace(s.URL(), "127.0.0.1", "localhost", 1), "x509: certificate is not valid for any names, but wanted to match localhost"},
		{strings.Replace(s.URL(), "rediss://", "redis://", 1), "EOF"},
	} {
		client, err := enqueue.New(enqueue.Config{Redis: c.url})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		err = client.Ping(ctx)
		cancel()
		require.ErrorContains(t, err, c.want, c.url)
		assert.NoError(t, client.Close())
	}

	f := newFleet(t, s.URL(), enqueue.Config{Redis: plain.URL()}, 1, "acme")
	assert.True(t, within(patience, func() bool {
		return strings.Contains(f.logs.String(), "Redis does not answer") && strings.Contains(f.logs.String(), "certificate signed by unknown authority")
	}), f.logs.tail())
}
