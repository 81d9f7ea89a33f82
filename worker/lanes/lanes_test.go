package lanes

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/alicebob/miniredis/v2"
	"github.com/edgepurge/edgepurge/tasks"
)

func TestQuick(t *testing.T) {
	m := miniredis.RunT(t)
	m.ClockTTL(true)
	for _, addr := range []string{m.Addr(), "127.0.0.1:6399"} {
		rdb := redis.NewClient(&redis.Options{Addr: addr})
		rdb.FlushAll(context.Background())
		l := New(rdb)
		ctx := context.Background()
		pace := Pace{Account: "a", Calls: 2, Per: time.Second, Reserve: 0, InFlight: 4, Lease: time.Second, MaxItems: 16, Full: 16, Rate: 50, Burst: 100, MaxDelay: time.Minute,
			Weights: []Weight{{"layout:", true, 3}}}
		lane := tasks.Lane{Project: "p", Kind: tasks.Tag, Operation: tasks.Delete, DeadlineSeconds: -1, Priority: tasks.Normal}
		var items []string
		for i := range 20 {
			items = append(items, fmt.Sprint("layout:", i))
		}
		a, err := l.Absorb(ctx, pace, Absorption{Request: "r1", Lane: lane, Items: items, Rebound: time.Second})
		require.NoError(t, err)
		fmt.Println(a)
		a, err = l.Absorb(ctx, pace, Absorption{Request: "r2", Lane: lane, Items: items})
		require.NoError(t, err)
		fmt.Println(a)
		a, err = l.Absorb(ctx, pace, Absorption{Request: "r2", Lane: lane, Items: items})
		require.NoError(t, err)
		fmt.Println(a)
		v, err := l.Peek(ctx, "a")
		require.NoError(t, err)
		fmt.Println(v)
		c, err := l.Claim(ctx, pace, lane, "b1")
		require.NoError(t, err)
		fmt.Println(c.Batch, c.Refused)
		c, err = l.Claim(ctx, pace, lane, "b2")
		require.NoError(t, err)
		fmt.Println(c.Batch, c.Refused, c.Wait)
		s, err := l.Status(ctx, "a", time.Second)
		require.NoError(t, err)
		fmt.Printf("%+v\n", s)
	}
}
