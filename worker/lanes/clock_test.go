package lanes

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
)

// clock is what TIME answers: miniredis's own, or hands on a redis-server.
type clock interface{ SetTime(at time.Time) }

// hands move the clock of a redis-server as one client sees it: TIME, in scripts
// too, answers what SetTime said. Only expiries go by the server's own clock;
// within a test they do not come.
type hands struct {
	tb      testing.TB
	rdb     *redis.Client
	at      time.Time
	scripts map[string]string // by SHA-1: the script that reads the hands instead
}

// wound starts a redis-server whose clock only its hands move.
func wound(tb testing.TB) (*redis.Client, *hands) {
	tb.Helper()
	options, err := redis.ParseURL(redistest.Start(tb).SocketURL())
	require.NoError(tb, err)
	h := &hands{tb: tb, rdb: redis.NewClient(options), scripts: map[string]string{}}
	tb.Cleanup(func() { _ = h.rdb.Close() })
	h.rdb.AddHook(h)
	return h.rdb, h
}

const handsKey = "hands"

func (h *hands) SetTime(at time.Time) {
	h.at = at
	require.NoError(h.tb, h.rdb.HSet(context.Background(), handsKey, "s", at.Unix(), "us", at.Nanosecond()/1000).Err())
}

func (h *hands) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *hands) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "time" {
			cmd.(*redis.TimeCmd).SetVal(h.at)
			return nil
		}
		h.rewrite(cmd)
		return next(ctx, cmd)
	}
}

func (h *hands) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			h.rewrite(cmd)
		}
		return next(ctx, cmds)
	}
}

// rewrite makes a script read the hands.
func (h *hands) rewrite(cmd redis.Cmder) {
	args := cmd.Args()
	switch cmd.Name() {
	case "eval":
		args[1] = h.reading(args[1].(string))
	case "evalsha":
		if script, ok := h.scripts[args[1].(string)]; ok {
			args[1] = sha(script)
		}
	}
}

// reading is a script with the hands in place of TIME.
func (h *hands) reading(script string) string {
	const before, after = `redis.call('TIME')`, `redis.call('HMGET', '` + handsKey + `', 's', 'us')`
	require.Equal(h.tb, 1, strings.Count(script, before))
	h.scripts[sha(script)] = strings.Replace(script, before, after, 1)
	return h.scripts[sha(script)]
}

// sha is what Redis names a script by.
func sha(script string) string {
	sum := sha1.Sum([]byte(script))
	return hex.EncodeToString(sum[:])
}

func TestHands_AreTheTimeOfScripts(t *testing.T) {
	rdb, hands := wound(t)
	r := newRig(t, rdb)
	r.clock = hands
	hands.SetTime(epoch)
	r.absorb(normal, "a")
	r.pass(90 * time.Second)
	r.absorb(normal, "b")
	require.Equal(t, map[string]int64{"a": epoch.UnixMilli(), "b": epoch.UnixMilli() + 90_000}, r.pending(normal))
	require.Equal(t, epoch.Add(90*time.Second), r.time())
}
