package lanes

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
)

// tag is a tag of 23 bytes.
func tag(i int) string { return fmt.Sprintf("product-detail-%08d", i) }

func tagsFrom(start, n int) []string {
	tags := make([]string, n)
	for i := range tags {
		tags[i] = tag(start + i)
	}
	return tags
}

// fill puts n tags into the normal lane, past the scripts.
func fill(b *testing.B, rdb redis.UniversalClient, n int) {
	b.Helper()
	const chunk = 5000
	at := float64(time.Now().UnixMilli())
	for start := 0; start < n; start += chunk {
		members := make([]redis.Z, 0, chunk)
		for i := start; i < min(start+chunk, n); i++ {
			members = append(members, redis.Z{Score: at, Member: tag(i)})
		}
		require.NoError(b, rdb.ZAdd(context.Background(), keysOf("acme").pending(normal), members...).Err())
	}
}

var backlogs = []int{1_000, 500_000}

// perTag reports the time by tag, the work of b's loop being n tags a turn.
func perTag(b *testing.B, n int) {
	b.Helper()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/1000/float64(b.N)/float64(n), "µs/tag")
}

func BenchmarkAbsorb(b *testing.B) {
	for _, pending := range backlogs {
		rdb := redistest.Start(b).Client(b)
		fill(b, rdb, pending)
		r := newRig(b, rdb)
		for _, n := range []int{1, 16, 100, 1000} {
			b.Run(fmt.Sprintf("pending=%d/new=%d", pending, n), func(b *testing.B) {
				items := tagsFrom(pending, n)
				members := make([]any, n)
				for i, item := range items {
					members[i] = item
				}
				for b.Loop() {
					if got := r.absorb(normal, items...); got.Added != n {
						b.Fatal(got)
					}
					b.StopTimer()
					require.NoError(b, rdb.ZRem(r.ctx(), keysOf("acme").pending(normal), members...).Err())
					b.StartTimer()
				}
				perTag(b, n)
			})
			b.Run(fmt.Sprintf("pending=%d/duplicates=%d", pending, n), func(b *testing.B) {
				items := tagsFrom(0, n)
				for b.Loop() {
					if got := r.absorb(normal, items...); got.Duplicate != n {
						b.Fatal(got)
					}
				}
				perTag(b, n)
			})
		}
	}
}

func BenchmarkClaimAndFinish(b *testing.B) {
	for _, pending := range backlogs {
		b.Run(fmt.Sprintf("pending=%d", pending), func(b *testing.B) {
			rdb := redistest.Start(b).Client(b)
			fill(b, rdb, pending)
			r := newRig(b, rdb)
			r.pace.Calls, r.pace.Per, r.pace.Rate, r.pace.MaxDelay = 1_000_000, time.Minute, 1e9, time.Minute
			for b.Loop() {
				batch := r.claim(normal)
				r.finish(batch, true)
				b.StopTimer()
				members := make([]redis.Z, len(batch.Items))
				for i, item := range batch.Items {
					members[i] = redis.Z{Score: float64(batch.Due.UnixMilli()), Member: item}
				}
				require.NoError(b, rdb.ZAdd(r.ctx(), keysOf("acme").pending(normal), members...).Err())
				b.StartTimer()
			}
			perTag(b, 16)
		})
	}
}

func BenchmarkCollapse(b *testing.B) {
	for _, receipts := range []int{0, 1} {
		b.Run(fmt.Sprintf("receipts=%d", receipts), func(b *testing.B) {
			rdb := redistest.Start(b).Client(b)
			fill(b, rdb, 500_000)
			r := newRig(b, rdb)
			items := tagsFrom(0, MostCollapsed)
			for b.Loop() {
				b.StopTimer()
				fill(b, rdb, MostCollapsed)
				for range receipts {
					r.follow(r.id("r"), normal, items...)
				}
				b.StartTimer()
				if got := r.collapse(normal, "products", items...); got != len(items) {
					b.Fatal(got)
				}
			}
			perTag(b, len(items))
		})
	}
}

// What is asked before each claim from a lane with rules, and what a rule that could fire
// but does not costs then.
func BenchmarkLook(b *testing.B) {
	rdb := redistest.Start(b).Client(b)
	fill(b, rdb, 500_000)
	r := newRig(b, rdb)
	b.Run("count", func(b *testing.B) {
		for b.Loop() {
			got, err := r.Backlog(r.ctx(), "acme", normal)
			require.NoError(b, err)
			require.Equal(b, 500_000, got.Due)
		}
	})
	for _, match := range []string{"page:*", "product-*"} {
		b.Run("search "+match, func(b *testing.B) {
			for b.Loop() {
				for _, err := range r.Matching(r.ctx(), "acme", normal, match, time.Now()) {
					require.NoError(b, err)
				}
			}
			perTag(b, 500_000)
		})
	}
}

func BenchmarkPeek(b *testing.B) {
	for _, lanes := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("lanes=%d", lanes), func(b *testing.B) {
			r := newRig(b, redistest.Start(b).Client(b))
			for i := range lanes {
				r.absorb(inProject(fmt.Sprintf("prj-%d", i)), "a")
			}
			for b.Loop() {
				r.peek()
			}
		})
	}
}

// A backlog of ten million tags must fit a Redis of a few gigabytes.
func TestPending_Memory(t *testing.T) {
	const tags, most = 100_000, 140
	r := newRig(t, redistest.Start(t).Client(t))
	r.absorb(normal, "warm up")
	before := r.usedMemory()
	for start := 0; start < tags; start += 10_000 {
		r.absorb(normal, tagsFrom(start, 10_000)...)
	}
	require.NoError(t, r.rdb.Del(r.ctx(), r.rdb.Keys(r.ctx(), keysOf("acme").absorbed("*")).Val()...).Err()) // they expire
	each := float64(r.usedMemory()-before) / tags
	t.Logf("%.1f bytes of Redis a pending tag of %d bytes", each, len(tag(0)))
	assert.Less(t, each, float64(most))
}

func (r *rig) usedMemory() int {
	r.t.Helper()
	info, err := r.rdb.Info(r.ctx(), "memory").Result()
	require.NoError(r.t, err)
	found := regexp.MustCompile(`used_memory:(\d+)`).FindStringSubmatch(info)
	require.NotNil(r.t, found)
	n, err := strconv.Atoi(found[1])
	require.NoError(r.t, err)
	return n
}
