package redisaway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
)

type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

func TestWatch_SaysItOnceAMinute(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w, now := New(zerolog.New(&out)), time.Unix(1_800_000_000, 0)
	lines := func() int { return strings.Count(out.String(), "\n") }
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	for _, none := range []error{nil, redis.Nil, reply("OOM"), context.Canceled, redis.ErrClosed} {
		w.note(none, now)
		assert.False(t, w.Away())
	}
	assert.Zero(t, lines())
	for range 150 { // 2 min 30 s
		w.note(refused, now)
		w.note(context.Canceled, now)
		assert.True(t, w.Away())
		now = now.Add(time.Second)
	}
	assert.Equal(t, 3, lines(), out.String())
	w.note(nil, now)
	assert.True(t, w.Away(), "others may still fail")
	now = now.Add(settled)
	w.note(reply("LOADING Redis is loading the dataset in memory"), now)
	assert.True(t, w.Away(), "it is there and serves nothing")
	now = now.Add(settled)
	w.note(reply("OOM"), now)
	assert.False(t, w.Away())
	assert.Equal(t, 4, lines())
	assert.Contains(t, out.String(), "Redis answers again")
	for _, outage := range []error{io.EOF, context.DeadlineExceeded, refused, redis.ErrPoolTimeout, reply("LOADING Redis is loading the dataset in memory")} {
		w.note(outage, now)
		assert.True(t, w.Away(), "%v", outage)
		now = now.Add(settled)
		w.note(nil, now)
		assert.False(t, w.Away())
	}
}
