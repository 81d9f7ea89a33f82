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

// BenchmarkMemory: bytes of Redis for each pending tag of 23 bytes. The sizes
// matter: a sorted set's table of pointers doubles at powers of two, so 140,000
// is about the worst case, 500,000 a good one.
func BenchmarkMemory(b *testing.B) {
	for _, n := range size([]int{100_000, 140_000, 500_000}, []int{10_000}) {
		b.Run(fmt.Sprintf("tags=%d", n), func(b *testing.B) {
			f := figures{}
			for b.Loop() {
				ours := memory(b, n, fillPending)
				obvious := memory(b, n/10, fillTasks) // more cost the same each and take long
				f.add("B/tag", ours)
				f.add("bare-B/tag", memory(b, n, fillSet))
				f.add("obvious-B/tag", obvious)
				f.add("x-obvious", ours/obvious)
			}
			f.report(b)
		})
	}
}

// each is how many tags go at once.
const each = 1000

// fillPending has a worker take in tags and stops it.
func fillPending(r *rig, from, to int) {
	stops := len(r.stops)
	r.worker(holdBack)
	produce((to-from)/each, func(i int) { r.purge(someTags(from + i*each)...) })
	r.await("all is taken in", func() bool { return r.pending() >= to-heldBackCall })
	r.stop(stops)
}

// fillSet is the least that a list of tags and times can take.
func fillSet(r *rig, from, to int) {
	for ; from < to; from += each {
		members := make([]redis.Z, each)
		for i, tag := range someTags(from) {
			members[i] = redis.Z{Score: float64(time.Now().UnixMilli()), Member: tag}
		}
		require.NoError(r.tb, r.rdb.ZAdd(context.Background(), "set", members...).Err())
	}
}

func fillTasks(r *rig, from, to int) {
	enqueue := r.enqueueTask()
	produce(to-from, func(i int) { enqueue(tagOf(from + i)) })
}

func someTags(from int) []string {
	tags := make([]string, each)
	for i := range tags {
		tags[i] = tagOf(from + i)
	}
	return tags
}

// memory is how much Redis grows for each of n tags after the first ones, which
// bring with them what does not depend on n: scripts, buffers, the fixed keys.
func memory(b *testing.B, n int, fill func(r *rig, from, to int)) float64 {
	r := newRig(b, emulator.Config{})
	defer r.close()
	fill(r, 0, each)
	before := r.usedMemory()
	fill(r, each, each+n)
	return (r.usedMemory() - before) / float64(n)
}

// usedMemory waits until Redis has resized its tables and freed its buffers.
// What it keeps for its clients depends on them, not on the tags: it is left out.
func (r *rig) usedMemory() float64 {
	last, now := math.Inf(1), 0.0
	r.await("Redis's memory comes to rest", func() bool {
		time.Sleep(300 * time.Millisecond)
		last, now = now, r.info("memory", "used_memory")-r.info("memory", "mem_clients_normal")
		return math.Abs(now-last) < 0.0005*now
	})
	return now
}
