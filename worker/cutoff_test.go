package worker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
)

// When a stop cuts Redis off, by how Redis answers and whether a call is in hand.
func TestCutoff_Watch(t *testing.T) {
	const most = 16 * time.Second
	refused := errorReply("NOAUTH Authentication required.")
	for name, c := range map[string]struct {
		ping   error
		inHand time.Duration // from the beginning of the stop
		want   time.Duration
	}{
		"silent, nothing in hand": {context.DeadlineExceeded, 0, silence},
		"silent, a call in hand":  {context.DeadlineExceeded, 10 * time.Second, 10 * time.Second},
		"silent for ever":         {context.DeadlineExceeded, time.Hour, most},
		"answers":                 {nil, 0, most},
		"refuses":                 {refused, 0, most},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cut, start := newCutoff(), time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				go cut.watch(ctx, func(context.Context) error { return c.ping }, most,
					func() bool { return time.Since(start) < c.inHand })
				<-cut.done()
				assert.GreaterOrEqual(t, time.Since(start), c.want)
				assert.LessOrEqual(t, time.Since(start), c.want+cutCheck)
			})
		})
	}
}

func TestCutoff_EndsWithTheStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cut := newCutoff()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		cut.watch(ctx, func(context.Context) error { return context.DeadlineExceeded }, time.Minute, func() bool { return false })
		time.Sleep(time.Hour)
		assert.False(t, cut.isCut(), "all had ended in time")
	})
}

// Commands without an end of their own, which are most of asynq's, end with the cut, and
// so do others; the client serves again after a reset.
func TestCutoff_EndsCommands(t *testing.T) {
	server := redistest.Start(t)
	rdb := server.Client(t)
	cut := newCutoff()
	rdb.AddHook(cut)
	require.NoError(t, rdb.Ping(t.Context()).Err())
	server.Pause(t)
	defer server.Resume(t)
	type key struct{}
	ends := make(chan error, 3)
	go func() { ends <- rdb.Ping(context.WithValue(context.Background(), key{}, 1)).Err() }()
	go func() { ends <- rdb.Ping(t.Context()).Err() }()
	go func() {
		_, err := rdb.Pipelined(context.Background(), func(p redis.Pipeliner) error { p.Ping(context.Background()); return nil })
		ends <- err
	}()
	time.Sleep(100 * time.Millisecond)
	cut.cut()
	for range 3 {
		select {
		case err := <-ends:
			require.Error(t, err)
		case <-time.After(6 * time.Second): // one read of 3 s, instead of four
			t.Fatal("a command goes on")
		}
	}
	require.ErrorIs(t, rdb.Ping(t.Context()).Err(), errCutOff)
	_, err := rdb.Pipelined(t.Context(), func(p redis.Pipeliner) error { p.Ping(t.Context()); return nil })
	require.ErrorIs(t, err, errCutOff)
	server.Resume(t)
	cut.reset()
	require.NoError(t, rdb.Ping(t.Context()).Err())
}

// A stop while Redis hangs, with nothing in hand. It took two minutes.
func TestRun_StopsWhileRedisHangs(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	rdb := server.Client(t)
	api := newAPI(t, emulator.Config{}, nil)
	l := newLab(t, testConfig(api.URL), rdb)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	eventually(t, func() bool { return l.logs.has(`"message":"working"`) }, "it works")
	at := l.request(tasks.Purge{Tags: []string{"x"}})
	eventually(t, func() bool { return api.purged("x", at) }, "it works")
	server.Pause(t)
	defer server.Resume(t)
	time.Sleep(time.Second)
	start := time.Now()
	cancel()
	require.NoError(t, <-done)
	assert.Less(t, time.Since(start), 20*time.Second)
	assert.True(t, l.logs.has("stopping without it"))
}

// A stop before Redis has ever answered.
func TestRun_StopsBeforeRedisAnswers(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Pause(t)
	defer server.Resume(t)
	w, err := New(testConfig(nowhere), Options{Redis: server.Client(t), Log: zerolog.Nop()})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := w.Run(ctx); err != nil {
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
	assert.Less(t, time.Since(start), 20*time.Second)
}
