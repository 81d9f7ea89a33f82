package redisacl

import (
	"errors"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/edgepurge/edgepurge/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// as connects as a new user that has exactly these rules.
func as(t *testing.T, s *redistest.Server, rules []string) redis.UniversalClient {
	t.Helper()
	args := []any{"acl", "setuser", "u", "reset", "on", ">secret"}
	for _, r := range rules {
		args = append(args, r)
	}
	require.NoError(t, s.Client(t).Do(t.Context(), args...).Err())
	options, err := redis.ParseURL(s.URL())
	require.NoError(t, err)
	options.Username, options.Password = "u", "secret"
	c := redis.NewClient(options)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestMissing_NamesEachRight(t *testing.T) {
	s := redistest.Start(t)
	for name, rights := range map[string]Rights{
		"producer": Producer.With(Replicas).With(Bounded), "old producer": OldProducer, "worker": Worker, "rules": Worker.With(Collapsing), "operator": Operator, "cluster": Worker.With(Cluster),
	} {
		t.Run(name, func(t *testing.T) {
			rules := rights.Rules()
			missing, err := rights.Missing(t.Context(), as(t, s, rules))
			require.NoError(t, err)
			assert.Empty(t, missing)
			for i, left := range rules {
				if left == "+eval" || left == "+hello" || strings.HasPrefix(left, "(+eval ") {
					continue // Redis names them itself
				}
				some := append(append([]string{}, rules[:i]...), rules[i+1:]...)
				missing, err := rights.Missing(t.Context(), as(t, s, some))
				require.NoError(t, err, "without %s", left)
				assert.Contains(t, missing, left)
				if left != "+publish" && !strings.HasPrefix(left, "&") { // one may not be told from the other
					assert.Len(t, missing, 1)
				}
			}
		})
	}
	_, err := Producer.Missing(t.Context(), as(t, s, []string{"+ping", "+hello"}))
	require.ErrorContains(t, err, "ask Redis for the rights of its user: NOPERM")
	require.ErrorContains(t, err, "'eval'")
}

func TestMissing_RedisThatCannotTell(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	missing, err := Worker.Missing(t.Context(), rdb)
	require.NoError(t, err)
	assert.Empty(t, missing)
}

func TestExplain(t *testing.T) {
	s := redistest.Start(t)
	rdb := as(t, s, []string{"+eval", "+hello", "+ping", "+sadd", "~asynq:*"})
	other := errors.New("connection refused")
	assert.Equal(t, other, Producer.Explain(t.Context(), rdb, other))
	require.NoError(t, Producer.Explain(t.Context(), rdb, nil))

	err := rdb.Eval(t.Context(), "return redis.call('LPUSH', KEYS[1], 'x')", []string{"asynq:queues"}).Err()
	require.Error(t, err)
	require.True(t, Refused(err), "%v", err)
	explained := Producer.Explain(t.Context(), rdb, err)
	require.ErrorIs(t, explained, err)
	require.ErrorContains(t, explained, "(the Redis user lacks &edgepurge:queued +publish (+eval +evalsha ")
}
