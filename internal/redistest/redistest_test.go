package redistest

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// go-redis's look for a server that is gone ends within a second of Close.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

func TestStart_AnswersOnPortAndSocket(t *testing.T) {
	s := Start(t)
	require.NoError(t, s.Client(t).Set(t.Context(), "k", "v", 0).Err())

	options, err := redis.ParseURL(s.SocketURL())
	require.NoError(t, err)
	socket := redis.NewClient(options)
	defer func() { require.NoError(t, socket.Close()) }()
	got, err := socket.Get(t.Context(), "k").Result()
	require.NoError(t, err)
	assert.Equal(t, "v", got)
	assert.Less(t, len(s.socket()), 104, "longest path of a unix socket on macOS")
}

func TestServer_RestartKeepsWhatWasPersisted(t *testing.T) {
	for _, c := range []struct {
		name string
		opts []string
		kept bool
	}{
		{name: "no persistence"},
		{name: "AOF", opts: []string{"--appendonly", "yes", "--appendfsync", "always"}, kept: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Start(t, c.opts...)
			rdb, url := s.Client(t), s.URL()
			require.NoError(t, rdb.Set(t.Context(), "k", "v", 0).Err())
			s.Kill(t)
			require.Error(t, pingOnce(t.Context(), s))
			s.Restart(t)
			assert.Equal(t, url, s.URL())
			n, err := rdb.Exists(t.Context(), "k").Result()
			require.NoError(t, err)
			assert.Equal(t, c.kept, n == 1)
		})
	}
}

func TestServer_PauseHoldsAnswersBack(t *testing.T) {
	s := Start(t)
	rdb := s.Client(t)
	require.NoError(t, rdb.Ping(t.Context()).Err())
	s.Pause(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.Error(t, pingOnce(ctx, s))
	s.Resume(t)
	require.NoError(t, rdb.Ping(t.Context()).Err())
}

func pingOnce(ctx context.Context, s *Server) error {
	client := redis.NewClient(&redis.Options{
		Network: "unix", Addr: s.socket(), ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1,
	})
	defer func() { _ = client.Close() }()
	return client.Ping(ctx).Err()
}

func TestStart_EndsProcessAndRemovesDirectory(t *testing.T) {
	var s *Server
	t.Run("inner", func(t *testing.T) { s = Start(t) })
	if s == nil {
		t.Skip("inner was skipped")
	}
	assert.NoDirExists(t, s.dir)
	assert.False(t, s.stop(), "nothing runs any more")
}

func TestStart_ShowsTheServersComplaint(t *testing.T) {
	Start(t) // skips where there is no redis-server
	r := record(t, func(tb testing.TB) { Start(tb, "--no-such-option", "1") })
	assert.Equal(t, "fatal", r.outcome)
	assert.Contains(t, r.text, "no-such-option")
}

func TestStart_WithoutTheProgram(t *testing.T) {
	for _, c := range []struct{ env, outcome string }{
		{"", "skip"}, {"optional", "skip"}, {"require", "fatal"},
	} {
		t.Run(c.env, func(t *testing.T) {
			t.Setenv("PATH", t.TempDir())
			t.Setenv(EnvRequire, c.env)
			r := record(t, func(tb testing.TB) { Start(tb) })
			assert.Equal(t, c.outcome, r.outcome)
			assert.Contains(t, r.text, "apt-get install redis-server")
		})
	}
}

func TestMini_KeysExpire(t *testing.T) {
	rdb, _ := Mini(t)
	require.NoError(t, rdb.Set(t.Context(), "k", "v", 10*time.Millisecond).Err())
	require.Eventually(t, func() bool { return rdb.Exists(t.Context(), "k").Val() == 0 }, 5*time.Second, time.Millisecond)
}

func TestEach_EmptyDatabases(t *testing.T) {
	var names []string
	for range 2 {
		Each(t, func(t *testing.T, rdb redis.UniversalClient) {
			names = append(names, t.Name())
			assert.Zero(t, rdb.DBSize(t.Context()).Val())
			require.NoError(t, rdb.Set(t.Context(), "k", "v", 0).Err())
		})
	}
	assert.GreaterOrEqual(t, len(names), 2)
}

// recorder is a testing.TB that notes how it was ended instead of ending the test.
type recorder struct {
	testing.TB
	outcome, text string
}

func record(tb testing.TB, f func(testing.TB)) *recorder {
	r := &recorder{TB: tb}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return r
}

func (r *recorder) Skipf(format string, args ...any)  { r.end("skip", format, args) }
func (r *recorder) Fatalf(format string, args ...any) { r.end("fatal", format, args) }

func (r *recorder) end(outcome, format string, args []any) {
	r.outcome, r.text = outcome, fmt.Sprintf(format, args...)
	runtime.Goexit()
}
