package redisurl

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
)

func TestParse_Single(t *testing.T) {
	for _, c := range []struct {
		raw  string
		want redis.Options
	}{
		{"redis://", redis.Options{Network: "tcp", Addr: "localhost:6379"}},
		{" redis://h/\n", redis.Options{Network: "tcp", Addr: "h:6379"}},
		{"REDIS://h:1/2", redis.Options{Network: "tcp", Addr: "h:1", DB: 2}},
		{"redis://[::1]:7/0", redis.Options{Network: "tcp", Addr: "[::1]:7"}},
		{"redis://:pw@h", redis.Options{Network: "tcp", Addr: "h:6379", Password: "pw"}},
		{"redis://acl:pw@h", redis.Options{Network: "tcp", Addr: "h:6379", Username: "acl", Password: "pw"}},
		{"redis://a%40b:p%2F%3F%23%25@h", redis.Options{Network: "tcp", Addr: "h:6379", Username: "a@b", Password: "p/?#%"}},
		{"redis://a:p@{}ß@h", redis.Options{Network: "tcp", Addr: "h:6379", Username: "a", Password: "p@{}ß"}},
		{"redis://h?db=3&read_timeout=6s&max_retries=2", redis.Options{Network: "tcp", Addr: "h:6379", DB: 3, ReadTimeout: 6 * time.Second, MaxRetries: 2}},
		{"unix:///run/redis.sock", redis.Options{Network: "unix", Addr: "/run/redis.sock"}},
		{"unix://acl:pw@/run/a%40b?db=4", redis.Options{Network: "unix", Addr: "/run/a@b", Username: "acl", Password: "pw", DB: 4}},
	} {
		t.Run(c.raw, func(t *testing.T) {
			o, err := parse(c.raw)
			require.NoError(t, err)
			assert.Equal(t, &c.want, o.single)
			assert.Nil(t, o.failover)
			assert.Nil(t, o.cluster)
		})
	}
}

func TestParse_Sentinel(t *testing.T) {
	for _, c := range []struct {
		raw  string
		want redis.FailoverOptions
	}{
		{"redis+sentinel://s1/mymaster", redis.FailoverOptions{MasterName: "mymaster", SentinelAddrs: []string{"s1:26379"}}},
		{
			"redis+sentinel://acl:p%40w@s1:1,s2,[::1]:3/my%20master/5?sentinel_username=su&sentinel_password=s%26p&dial_timeout=2s",
			redis.FailoverOptions{
				MasterName: "my master", SentinelAddrs: []string{"s1:1", "s2:26379", "[::1]:3"},
				Username: "acl", Password: "p@w", SentinelUsername: "su", SentinelPassword: "s&p",
				DB: 5, DialTimeout: 2 * time.Second,
			},
		},
		{"redis+sentinel://s1/m?sentinel_password=sp", redis.FailoverOptions{MasterName: "m", SentinelAddrs: []string{"s1:26379"}, SentinelPassword: "sp"}},
	} {
		t.Run(c.raw, func(t *testing.T) {
			o, err := parse(c.raw)
			require.NoError(t, err)
			assert.Equal(t, &c.want, o.failover)
		})
	}
}

func TestParse_Cluster(t *testing.T) {
	for _, raw := range []string{
		"redis+cluster://acl:p%40w@n1:1,n2,n3:3?max_redirects=4",
		"redis+cluster://acl:p%40w@n1:1,n2,n3:3/0?max_redirects=4",
	} {
		o, err := parse(raw)
		require.NoError(t, err, raw)
		assert.Equal(t, &redis.ClusterOptions{
			Addrs: []string{"n1:1", "n2:6379", "n3:3"}, Username: "acl", Password: "p@w", MaxRedirects: 4,
		}, o.cluster)
	}
}

func TestParse_TLSVerifiesTheNameThatIsDialled(t *testing.T) {
	for _, c := range []struct {
		raw, name string
	}{
		{"rediss://h", "h"},
		{"rediss+sentinel://s1,s2/m", ""},
		{"rediss+cluster://n1", "n1"}, // its nodes may announce bare addresses
		{"rediss+cluster://n1,n2", ""},
	} {
		o, err := parse(c.raw)
		require.NoError(t, err, c.raw)
		var config *tls.Config
		switch {
		case o.single != nil:
			config = o.single.TLSConfig
		case o.failover != nil:
			config = o.failover.TLSConfig
		default:
			config = o.cluster.TLSConfig
		}
		require.NotNil(t, config, c.raw)
		assert.Equal(t, c.name, config.ServerName, c.raw)
		assert.False(t, config.InsecureSkipVerify)
	}
	o, err := parse("rediss://h?skip_verify=true")
	require.NoError(t, err)
	assert.True(t, o.single.TLSConfig.InsecureSkipVerify)
}

func TestOpen_Faults(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		{"", "is empty"},
		{"localhost:6379", "has no scheme"},
		{"http://u:hunter2@h", `unknown scheme`},
		{"redis-sentinel://h", "redis+sentinel"},
		{"redis://u:hun ter2@h", "percent-encode"},
		{"redis://u:hunter2/x@h", "%2F"},
		{"redis://u:12?hunter2@h", "%3F"},
		{"redis://u:12#hunter2@h", "%23"},
		{"redis://u:hunter2%zz@h", "%25"},
		{"redis://u:hunter2", "port is not a number"},
		{"redis://u:hunter2@h:x", "port is not a number"},
		{"redis://u:hunter2@h:0", "use 1 to 65535"},
		{"redis://u:hunter2@h:65536", "use 1 to 65535"},
		{"redis://u:hunter2@h:1:2", "host:port"},
		{"redis://u:hunter2@::1", "host:port"},
		{"redis://u:hunter2@h/one", "not a number from 0"},
		{"redis://u:hunter2@h/-1", "not a number from 0"},
		{"redis://u:hunter2@h/0/1", "more than the number of the database"},
		{"redis://u:hunter2@h/%zz", "in the path"},
		{"redis://u:hunter2@h1,h2", "several hosts need"},
		{"redis://u:hunter2@h?pool_size=-1", "pool_size is not a number from 0 to 10000"},
		{"redis://u:hunter2@h?pool_size=99999999", "pool_size is not a number from 0 to 10000"},
		{"redis://u:hunter2@h?pool_siz=1", "unexpected option: pool_siz"},
		{"redis://u:hunter2@h?read_timeout=soon", "read_timeout"},
		{"redis://u:hunter2@h?x=1;y=2", "name=value"},
		{"redis://u@h?password=hunter2", "before the '@'"},
		{"unix://", "path is missing"},
		{"unix://run/redis.sock", "begins with '/'"},
		{"unix:///%zz", "in the path"},
		{"redis+sentinel://u:hunter2@h", "not the master's name"},
		{"redis+sentinel://u:hunter2@h/m/0/x", "not the master's name"},
		{"redis+sentinel://u:hunter2@h/m/x", "not a number from 0"},
		{"redis+sentinel://u:hunter2@h1,/m", "host 2 of 2 has no name"},
		{"redis+sentinel://h1,h1/m", "host 2 of 2 is listed twice"},
		{"redis+sentinel:///m", "the host has no name"},
		{"redis+sentinel://h/m?sentinel_password=hunter2&hunter2=x", "%26"},
		{"redis+sentinel://h/m?route_randomly=true", "replicas lag behind"},
		{"redis+sentinel://h/m?master_name=m", "write it as the path"},
		{"redis+cluster://u:hunter2@n1/1", "database 0 only"},
		{"redis+cluster://u:hunter2@n1?db=1", "database 0 only"},
		{"redis+cluster://n1?addr=n2:1", "list the hosts with commas"},
		{"redis+cluster://n1?read_only=true", "replicas lag behind"},
		{"rediss+cluster://n1?skip_verify=true", "unexpected option: skip_verify"},
	} {
		t.Run(c.raw, func(t *testing.T) {
			_, err := Open(c.raw, 0)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "an example: ")
			assert.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func TestOpen_ExamplesAreRead(t *testing.T) {
	for scheme, raw := range examples {
		assert.True(t, strings.HasPrefix(raw, scheme+"://"), scheme)
		c, err := Open(raw, 0)
		require.NoError(t, err, scheme)
		require.NoError(t, c.Close())
	}
}

func TestOpen_PoolSize(t *testing.T) {
	for _, c := range []struct {
		raw  string
		size int
		want int
	}{
		{"redis://h", 42, 42},
		{"redis://h?pool_size=7", 42, 42},
		{"redis://h?pool_size=77", 42, 77},
		{"redis://h?pool_size=7", 0, 7},
		{"redis+sentinel://h/m", 42, 42},
	} {
		client, err := Open(c.raw, c.size)
		require.NoError(t, err)
		o := client.(*redis.Client).Options()
		assert.Equal(t, c.want, o.PoolSize, c.raw)
		assert.True(t, o.ContextTimeoutEnabled, c.raw)
		require.NoError(t, client.Close())
	}
	cluster, err := Open("redis+cluster://h", 42)
	require.NoError(t, err)
	assert.Equal(t, 42, cluster.(*redis.ClusterClient).Options().PoolSize)
	assert.True(t, cluster.(*redis.ClusterClient).Options().ContextTimeoutEnabled)
	assert.Equal(t, time.Second, cluster.(*redis.ClusterClient).Options().ClusterStateReloadInterval)
	require.NoError(t, cluster.Close())

	for _, size := range []int{-1, maxConns + 1} {
		_, err = Open("redis://h", size)
		require.ErrorContains(t, err, "out of range")
	}
}

// asynq's own parser drops the user name and so logs in as somebody else.
func TestOpen_LogsInAsTheACLUser(t *testing.T) {
	s := redistest.Start(t)
	admin := s.Client(t)
	require.NoError(t, admin.Do(t.Context(), "ACL", "SETUSER", "shop", "on", ">p@ss/w0rd", "allkeys", "allcommands").Err())
	require.NoError(t, admin.Do(t.Context(), "ACL", "SETUSER", "default", "off").Err())
	for _, raw := range []string{
		strings.Replace(s.URL(), "://", "://shop:p%40ss%2Fw0rd@", 1),
		strings.Replace(s.SocketURL(), "://", "://shop:p%40ss%2Fw0rd@", 1),
	} {
		client, err := Open(raw, 4)
		require.NoError(t, err)
		who, err := client.Do(t.Context(), "ACL", "WHOAMI").Text()
		require.NoError(t, err)
		assert.Equal(t, "shop", who)
		require.NoError(t, client.Close())
	}
}

func TestOpen_Cluster(t *testing.T) {
	s := redistest.Start(t, "--cluster-enabled", "yes")
	require.NoError(t, s.Client(t).Do(t.Context(), "CLUSTER", "ADDSLOTSRANGE", 0, 16383).Err())
	client, err := Open("redis+cluster"+strings.TrimPrefix(s.URL(), "redis"), 4)
	require.NoError(t, err)
	defer func() { require.NoError(t, client.Close()) }()
	require.Eventually(t, func() bool { // the cluster's state turns ok by its cron
		return client.Set(t.Context(), "k", "v", 0).Err() == nil
	}, 10*time.Second, 50*time.Millisecond)
}
