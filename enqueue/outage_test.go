package enqueue

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
)

// lossy is a connection that loses one reply: the script has run when it breaks.
type lossy struct {
	net.Conn
	armed *atomic.Bool
	lose  bool
}

func (c *lossy) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("evalsha")) && c.armed.CompareAndSwap(true, false) {
		c.lose = true
	}
	return c.Conn.Write(b)
}

func (c *lossy) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err == nil && c.lose {
		_ = c.Close()
		return 0, io.EOF
	}
	return n, err
}

func TestPurge_LostReplyIsSuccess(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		options := *rdb.(*redis.Client).Options()
		var armed atomic.Bool
		lossyClient := redis.NewClient(&redis.Options{
			Addr: options.Addr,
			Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
				var d net.Dialer
				conn, err := d.DialContext(ctx, network, addr)
				return &lossy{Conn: conn, armed: &armed}, err
			},
		})
		t.Cleanup(func() { assert.NoError(t, lossyClient.Close()) })
		client := newClient(t, Config{Client: lossyClient})
		_, err := client.Purge(t.Context(), valid(func(p *tasks.Purge) { p.ID = "loads-the-script" }))
		require.NoError(t, err)

		armed.Store(true)
		receipt, err := client.Purge(t.Context(), valid())
		require.NoError(t, err)
		assert.Equal(t, Receipt{"req-1", 1, 1}, receipt)
		assert.False(t, armed.Load(), "a reply was lost")
		assert.Len(t, pending(t, rdb, tasks.QueueIntake), 2)
	})
}

func TestPurge_SentAgainWithTheSameID(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	client := newClient(t, Config{Client: rdb})
	for range 2 {
		receipt, err := client.Purge(t.Context(), valid())
		require.NoError(t, err)
		assert.Equal(t, Receipt{"req-1", 1, 1}, receipt)
	}
	assert.Len(t, pending(t, rdb, tasks.QueueIntake), 1)
}

// refusing lets n scripts pass and fails the ones after them.
type refusing struct{ left atomic.Int32 }

func (*refusing) DialHook(next redis.DialHook) redis.DialHook { return next }

func (*refusing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h *refusing) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "evalsha" && h.left.Add(-1) < 0 {
			cmd.SetErr(fmt.Errorf("OOM command not allowed when used memory > 'maxmemory'"))
			return cmd.Err()
		}
		return next(ctx, cmd)
	}
}

func TestPurge_FailureInTheMiddleSaysHowFarItCame(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	client := newClient(t, Config{Client: rdb})
	_, err := client.Purge(t.Context(), valid(func(p *tasks.Purge) { p.ID = "loads-the-script" }))
	require.NoError(t, err)

	h := &refusing{}
	h.left.Store(2)
	rdb.AddHook(h)
	p := valid(func(p *tasks.Purge) {
		p.Tags = nil
		for i := range 200_000 {
			p.Tags = append(p.Tags, fmt.Sprintf("post-%d-of-the-blog", i))
		}
	})
	receipt, err := client.Purge(t.Context(), p)
	require.ErrorContains(t, err, "enqueue request req-1 (2 of 5 tasks stored, it is safe to send it again) in Redis: ")
	require.ErrorContains(t, err, "OOM command not allowed")
	require.NotErrorIs(t, err, tasks.ErrInvalid)
	assert.Zero(t, receipt)

	h.left.Store(1000)
	receipt, err = client.Purge(t.Context(), p)
	require.NoError(t, err)
	assert.Equal(t, 5, receipt.Tasks)
	assert.Len(t, pending(t, rdb, tasks.QueueIntake), 1+5, "what was stored before is not stored again")
}

func TestPurge_NobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	client := newClient(t, Config{Redis: "redis://u:hunter2@" + addr + "/0?max_retries=-1"})

	_, err = client.Purge(t.Context(), valid())
	require.ErrorContains(t, err, "enqueue request req-1 (0 of 1 tasks stored, it is safe to send it again) in redis://u:xxxxx@"+addr+"/0?max_retries=-1: ")
	require.ErrorContains(t, err, "connection refused")
	assert.NotContains(t, err.Error(), "hunter2")
	require.ErrorContains(t, client.Ping(t.Context()), "enqueue: ping redis://u:xxxxx@"+addr+"/0?max_retries=-1: ")
}

func TestPurge_EndsWithItsContext(t *testing.T) {
	s := redistest.Start(t)
	client := newClient(t, Config{Redis: s.URL()})
	_, err := client.Purge(t.Context(), valid())
	require.NoError(t, err)
	s.Pause(t)

	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err = client.Purge(ctx, valid(func(p *tasks.Purge) { p.ID = "req-2" }))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "0 of 1 tasks stored")
	require.ErrorIs(t, client.Ping(ctx), context.DeadlineExceeded)
	assert.Less(t, time.Since(began), 2*time.Second)
	s.Resume(t)

	cancelled, stop := context.WithCancel(t.Context())
	stop()
	_, err = client.Purge(cancelled, valid(func(p *tasks.Purge) { p.ID = "req-3" }))
	require.ErrorIs(t, err, context.Canceled)
}

func TestPurge_SurvivesARestart(t *testing.T) {
	s := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	client := newClient(t, Config{Redis: s.URL()})
	_, err := client.Purge(t.Context(), valid())
	require.NoError(t, err)
	s.Kill(t)
	s.Restart(t)
	_, err = client.Purge(t.Context(), valid(func(p *tasks.Purge) { p.ID = "req-2" }))
	require.NoError(t, err)
	assert.Len(t, pending(t, s.Client(t), tasks.QueueIntake), 2)
}
