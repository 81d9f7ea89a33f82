package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/worker"
)

// BenchmarkIntakeFarRedis: single-tag requests a second that one worker takes
// in when Redis is 1 ms away. The requests are there before it starts.
func BenchmarkIntakeFarRedis(b *testing.B) {
	normal := worker.DefaultConfig().Servers
	for _, servers := range size([]int{2, 4, normal, 16}, []int{normal}) {
		b.Run(fmt.Sprintf("servers=%d", servers), func(b *testing.B) {
			f := figures{}
			for b.Loop() {
				ours := intakeFar(b, size(8000, 1000), servers)
				theirs := intakeFarObvious(b, size(2000, 200))
				f.add("requests/s", ours)
				f.add("x-obvious", ours/theirs)
			}
			f.report(b)
		})
	}
}

func intakeFar(b *testing.B, requests, servers int) (rate float64) {
	r := newRig(b, emulator.Config{})
	defer r.close()
	produce(requests, func(i int) { r.purge(tagOf(i)) })
	start := time.Now()
	r.worker(func(c *worker.Config) {
		c.Servers = servers
		holdBack(c)
	}, far{time.Millisecond})
	r.await("all is taken in", func() bool { return r.pending() >= requests-heldBackCall })
	return float64(requests) / time.Since(start).Seconds()
}

// intakeFarObvious includes its calls, which the obvious program cannot do without.
func intakeFarObvious(b *testing.B, requests int) (rate float64) {
	r := newRig(b, emulator.Config{})
	defer r.close()
	enqueue := r.enqueueTask()
	produce(requests, func(i int) { enqueue(tagOf(i)) })
	start := time.Now()
	r.obvious(far{time.Millisecond})
	return float64(requests) / end(r.awaitCalls(requests, 1)).Sub(start).Seconds()
}

// heldBackCall is how many items leave in spite of holdBack.
const heldBackCall = 16

// holdBack keeps what is taken in pending, but for one call.
func holdBack(c *worker.Config) {
	c.Projects[0].Linger = time.Hour
	c.Accounts[0].Budget = worker.Budget{Calls: 1, Per: 24 * time.Hour, InFlight: 1}
}

// far delays every command of a client, as a Redis further away would.
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
