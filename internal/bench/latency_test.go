package bench

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/worker"
)

// BenchmarkIdleLatency: one request on an idle system, linger 0, from before
// the enqueue to the arrival of the call.
func BenchmarkIdleLatency(b *testing.B) {
	b.Run("edgepurge", func(b *testing.B) {
		rdb := redistest.Start(b).Client(b)
		a := newAPI(b)
		startWorker(b, rdb, a.URL, func(c *worker.Config) { c.Projects[0].Linger = 0 })
		client := asynq.NewClientFromRedisClient(rdb)
		n := 0
		measureLatency(b, a, func(tag string) {
			n++
			enqueue(b, client, fmt.Sprint("r", n), tag)
		})
	})
	b.Run("obvious", func(b *testing.B) {
		rdb := redistest.Start(b).Client(b)
		a := newAPI(b)
		startObvious(b, rdb, a.URL)
		client := asynq.NewClientFromRedisClient(rdb)
		measureLatency(b, a, func(tag string) {
			_, err := client.Enqueue(asynq.NewTask("tag", []byte(tag)))
			require.NoError(b, err)
		})
	})
}

func measureLatency(b *testing.B, a *api, enqueue func(tag string)) {
	time.Sleep(2 * time.Second) // the servers settle
	var took []time.Duration
	for b.Loop() {
		tag := fmt.Sprint("tag-", len(took))
		start := time.Now()
		enqueue(tag)
		for !a.has(tag) {
			time.Sleep(500 * time.Microsecond)
		}
		took = append(took, a.arrival(tag).Sub(start))
		// Out of step with every polling interval.
		time.Sleep(200*time.Millisecond + time.Duration(len(took)*37%100)*time.Millisecond)
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Milliseconds()), "p50-ms")
	b.ReportMetric(float64(took[min(len(took)-1, len(took)*99/100)].Milliseconds()), "p99-ms")
	b.ReportMetric(0, "ns/op")
}

// far delays every command of a client, as a Redis 1 ms away would.
type far struct{ delay time.Duration }

func (f far) DialHook(next redis.DialHook) redis.DialHook { return next }
func (f far) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		time.Sleep(f.delay)
		return next(ctx, cmd)
	}
}

func (f far) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		time.Sleep(f.delay)
		return next(ctx, cmds)
	}
}

// BenchmarkIntakeFarRedis: single-tag requests a second that one worker takes in
// when Redis is 1 ms away.
func BenchmarkIntakeFarRedis(b *testing.B) {
	for _, servers := range []int{1, 2, 4, 8} {
		b.Run(fmt.Sprintf("servers=%d", servers), func(b *testing.B) {
			s := redistest.Start(b)
			near := s.Client(b)
			client := asynq.NewClientFromRedisClient(near)
			const requests = 6000
			for i := range requests {
				enqueue(b, client, fmt.Sprint("r", i), fmt.Sprint("tag-", i))
			}
			rdb := s.Client(b)
			rdb.AddHook(far{time.Millisecond})
			a := newAPI(b)
			start := time.Now()
			startWorker(b, rdb, a.URL, func(c *worker.Config) {
				c.Servers = servers
				c.Projects[0].Linger = time.Hour
				c.Accounts[0].Budget = worker.Budget{Calls: 1, Per: time.Hour, InFlight: 1}
			})
			ctx := context.Background()
			for {
				n, err := near.ZCard(ctx, "edgepurge:{default}:pending:p:tag:delete:all:none:normal").Result()
				require.NoError(b, err)
				if n >= requests-16 {
					break
				}
				time.Sleep(2 * time.Millisecond)
			}
			took := time.Since(start)
			for b.Loop() { //nolint:revive // the figure was measured above, once
			}
			b.ReportMetric(requests/took.Seconds(), "requests/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}
