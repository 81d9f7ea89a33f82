package bench

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
)

// BenchmarkMemory: bytes of Redis for each pending tag of 23 bytes.
func BenchmarkMemory(b *testing.B) {
	for _, n := range size([]int{100_000, 140_000, 500_000}, []int{10_000}) {
		b.Run(fmt.Sprintf("tags=%d", n), func(b *testing.B) {
			f := figures{}
			for b.Loop() {
				ours := memory(b, n, func(r *rig) {
					stops := len(r.stops)
					r.worker(holdBack)
					const each = 1000
					produce(n/each, func(i int) {
						tags := make([]string, each)
						for t := range tags {
							tags[t] = tagOf(i*each + t)
						}
						r.purge(tags...)
					})
					r.await("all is taken in", func() bool { return r.pending() >= n-heldBackCall })
					r.stop(stops)
				})
				bare := memory(b, n, func(r *rig) {
					ctx := context.Background()
					const each = 1000
					for i := 0; i < n; i += each {
						members := make([]redis.Z, each)
						for m := range members {
							members[m] = redis.Z{Score: 1.8e12 + float64(i), Member: tagOf(i + m)}
						}
						require.NoError(b, r.rdb.ZAdd(ctx, "set", members...).Err())
					}
				})
				tasks := n / 10 // one a tag; more cost the same each and take long
				obvious := memory(b, tasks, func(r *rig) {
					enqueue := r.enqueueTask()
					produce(tasks, func(i int) { enqueue(tagOf(i)) })
				})
				f.add("B/tag", ours)
				f.add("bare-B/tag", bare)
				f.add("obvious-B/tag", obvious)
				f.add("x-obvious", ours/obvious)
			}
			f.report(b)
		})
	}
}

// memory is how much Redis grows for each of n tags. What its clients' buffers
// hold is left out: it depends on the clients, not on the tags.
func memory(b *testing.B, n int, fill func(r *rig)) float64 {
	r := newRig(b, emulator.Config{})
	defer r.close()
	used := func() float64 { return r.info("memory", "used_memory") - r.info("memory", "mem_clients_normal") }
	before := used()
	fill(r)
	// Redis resizes its tables and frees buffers by and by.
	last := math.Inf(1)
	r.await("Redis's memory comes to rest", func() bool {
		time.Sleep(300 * time.Millisecond)
		now := used()
		rests := math.Abs(now-last) < 0.0005*now
		last = now
		return rests
	})
	return (last - before) / float64(n)
}
