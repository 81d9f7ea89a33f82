package redistest

import (
	"net"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func eventuallySet(t *testing.T, c redis.UniversalClient, key string) {
	t.Helper()
	require.Eventually(t, func() bool { return c.Set(t.Context(), key, "v", 0).Err() == nil }, 30*time.Second, 50*time.Millisecond)
}

func TestCluster_ServesEverySlotAndFailsOver(t *testing.T) {
	t.Parallel()
	n := Cluster(t, 3)
	require.Len(t, n.Masters, 3)
	c := n.Client(t)
	seen := map[*Server]bool{}
	for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		require.NoError(t, c.Set(t.Context(), key, "v", 0).Err())
		_, s := n.MasterOf(t, key)
		seen[s] = true
	}
	assert.Len(t, seen, 3, "the keys lie on all masters")

	n.AddReplicas(t)
	i, s := n.MasterOf(t, "a")
	n.Failover(t, i)
	serves := func(s *Server, why string) { // the other nodes hear of it a moment later
		t.Helper()
		require.Eventually(t, func() bool { _, now := n.MasterOf(t, "a"); return now == s }, 30*time.Second, 50*time.Millisecond, why)
	}
	serves(n.Replicas[i], "the replica took over")
	n.Replicas[i].Kill(t)
	eventuallySet(t, c, "a")
	serves(s, "the old master took over again")
}

func TestSentinel_ReplacesAMaster(t *testing.T) {
	t.Parallel()
	g := Sentinel(t)
	assert.Contains(t, g.URL(), "redis+sentinel://127.0.0.1:")
	addrs := make([]string, len(g.Sentinels))
	for i, s := range g.Sentinels {
		addrs[i] = s.Addr()
	}
	c := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: masterName, SentinelAddrs: addrs})
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.Set(t.Context(), "k", "v", 0).Err())
	require.Equal(t, int64(1), c.Wait(t.Context(), 1, 10*time.Second).Val())
	g.Master.Kill(t)
	g.AwaitTakeover(t)
	require.Eventually(t, func() bool { return c.Get(t.Context(), "k").Val() == "v" }, 30*time.Second, 50*time.Millisecond)
	eventuallySet(t, c, "k")
}

func TestStartTLS_TrustsItsOwnAuthorityOnly(t *testing.T) {
	t.Parallel()
	ca, err := NewCA("one")
	require.NoError(t, err)
	other, err := NewCA("other")
	require.NoError(t, err)
	s := StartTLS(t, ca)
	assert.Contains(t, s.URL(), "rediss://127.0.0.1:")
	require.NoError(t, s.Client(t).Set(t.Context(), "k", "v", 0).Err())

	stranger := StartTLS(t, other)
	options, err := redis.ParseURL(stranger.URL())
	require.NoError(t, err)
	options.TLSConfig.RootCAs = s.roots
	options.MaxRetries, options.DialerRetries = -1, 1
	c := redis.NewClient(options)
	defer func() { _ = c.Close() }()
	require.ErrorContains(t, c.Ping(t.Context()).Err(), "certificate")

	conn, err := net.Dial("tcp", s.Addr())
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("PING\r\n"))
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	_, err = conn.Read(make([]byte, 7))
	require.Error(t, err, "without TLS it says nothing")
}

func TestGroups_WithoutTheProgram(t *testing.T) {
	for name, start := range map[string]func(testing.TB){
		"cluster":  func(tb testing.TB) { Cluster(tb, 3) },
		"sentinel": func(tb testing.TB) { Sentinel(tb) },
		"tls": func(tb testing.TB) {
			ca, err := NewCA("one")
			require.NoError(tb, err)
			StartTLS(tb, ca)
		},
	} {
		for _, c := range []struct{ env, outcome string }{{"", "skip"}, {"require", "fatal"}} {
			t.Run(name+c.env, func(t *testing.T) {
				t.Setenv("PATH", t.TempDir())
				t.Setenv(EnvRequire, c.env)
				r := record(t, start)
				assert.Equal(t, c.outcome, r.outcome)
				assert.Contains(t, r.text, "apt-get install redis-server")
			})
		}
	}
}
