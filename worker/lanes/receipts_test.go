package lanes

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/receipt"
	"github.com/edgepurge/edgepurge/tasks"
)

// open opens a receipt as a producer does.
func (r *rig) open(id string, total int) {
	r.t.Helper()
	require.NoError(r.t, r.rdb.HSet(r.ctx(), receipt.Key(id), receipt.Project, "prj", receipt.Total, total).Err())
	require.NoError(r.t, r.rdb.PExpire(r.ctx(), receipt.Key(id), receipt.Kept).Err())
}

func (r *rig) take(id string) bool {
	r.t.Helper()
	known, err := r.Take(r.ctx(), "acme", id, id, 0)
	require.NoError(r.t, err)
	return known
}

// follow absorbs a tracked request under its receipt's name.
func (r *rig) follow(id string, lane tasks.Lane, items ...string) Absorbed {
	r.t.Helper()
	return r.ask(Absorption{Request: id, Receipt: id, Lane: lane, Items: items})
}

func (r *rig) settle(b Batch, outcome Outcome) {
	r.t.Helper()
	require.NoError(r.t, r.Settle(r.ctx(), "acme", b, outcome))
}

type counted struct{ purged, dead int }

func (r *rig) counted(id string) counted {
	r.t.Helper()
	fields, err := r.rdb.HGetAll(r.ctx(), receipt.CountsKey("acme", id)).Result()
	require.NoError(r.t, err)
	n := counted{integer(fields[receipt.Purged]), integer(fields[receipt.Dead])}
	if n != (counted{}) {
		require.NotEmpty(r.t, fields[receipt.Changed])
	}
	return n
}

// waiting is which receipts wait for which item, "item receipt".
func (r *rig) waiting(key string) []string {
	r.t.Helper()
	members, err := r.rdb.ZRange(r.ctx(), key, 0, -1).Result()
	require.NoError(r.t, err)
	list := []string{}
	for _, m := range members {
		part := strings.Split(m, "\n")
		require.Len(r.t, part, 3)
		list = append(list, part[0]+" "+part[2])
	}
	return list
}

func TestReceipts_ADuplicateIsCountedByTheCallOfItsTwin(t *testing.T) {
	each(t, func(r *rig) {
		r.follow("r1", normal, "a", "b")
		assert.Equal(t, Absorbed{Added: 1, Duplicate: 1}, r.follow("r2", normal, "a", "c"))
		assert.Equal(t, Absorbed{Duplicate: 1}, r.follow("r3", urgent, "a"), "moves up")
		r.absorb(normal, "d") // not tracked

		b := r.claim(urgent)
		assert.True(t, b.Tracked)
		assert.Equal(t, []string{"a"}, b.Items)
		assert.Equal(t, []string{"b r1", "c r2"}, r.waiting(keysOf("acme").receipts(normal)))
		assert.Zero(t, r.counted("r1"), "claimed is not purged")
		r.settle(b, Purged)
		r.settle(b, Purged) // carried out again after a lost reply
		r.finish(b, true)
		for _, id := range []string{"r1", "r2", "r3"} {
			assert.Equal(t, counted{purged: 1}, r.counted(id), id)
		}

		b = r.claim(normal)
		r.settle(b, Died)
		assert.Equal(t, counted{1, 1}, r.counted("r1"))
		assert.Equal(t, counted{1, 1}, r.counted("r2"))
		assert.Equal(t, counted{1, 0}, r.counted("r3"))
		assert.Zero(t, r.rdb.Exists(r.ctx(), keysOf("acme").receipts(normal), keysOf("acme").carried(b.ID)).Val(), "nothing is left behind")
	})
}

// Receipts of an item do not reach the calls of another whose name begins alike,
// nor those of another lane.
func TestReceipts_OfTheItemAndLaneOnly(t *testing.T) {
	each(t, func(r *rig) {
		images := normal
		images.Kind = tasks.SrcImage
		r.pace.MaxItems, r.pace.Full = 1, 1
		r.follow("r1", normal, "a")
		r.follow("r2", normal, "a b", "a\U0001F389", "aa", "A", "a[", "a(")
		r.follow("r3", images, "a")
		r.follow("r4", inProject("other"), "a")
		for b := r.claim(normal); ; b = r.claim(normal) {
			if b.Items[0] == "a" {
				r.settle(b, Purged)
				break
			}
		}
		for _, id := range []string{"r2", "r3", "r4"} {
			assert.Zero(t, r.counted(id), id)
		}
		assert.Equal(t, counted{purged: 1}, r.counted("r1"))
	})
}

// The call that is under way started before the second request was made.
func TestReceipts_TwinAlreadyClaimed(t *testing.T) {
	each(t, func(r *rig) {
		r.follow("r1", normal, "a")
		first := r.claim(normal)
		assert.Equal(t, Absorbed{Added: 1}, r.follow("r2", normal, "a"))
		r.settle(first, Purged)
		r.finish(first, true)
		assert.Equal(t, counted{purged: 1}, r.counted("r1"))
		assert.Zero(t, r.counted("r2"))
		r.settle(r.claim(normal), Purged)
		assert.Equal(t, counted{purged: 1}, r.counted("r1"))
		assert.Equal(t, counted{purged: 1}, r.counted("r2"))
	})
}

// A call that starts before the settle time is over counts for the others only.
func TestReceipts_SettleAndNotBefore(t *testing.T) {
	r := simulated(t)
	r.follow("now", normal, "a")
	r.ask(Absorption{Request: "settles", Receipt: "settles", Lane: normal, Items: []string{"a"}, Settle: 1500 * time.Millisecond})
	r.ask(Absorption{Request: "embargo", Receipt: "embargo", Lane: normal, Items: []string{"a"}, NotBefore: epoch.Add(time.Hour)})
	purge := func(now, settles, embargo int) {
		t.Helper()
		b := r.claim(normal)
		r.settle(b, Purged)
		r.finish(b, true)
		assert.Equal(t, []int{now, settles, embargo}, []int{r.counted("now").purged, r.counted("settles").purged, r.counted("embargo").purged})
	}
	purge(1, 0, 0)
	r.pass(1500 * time.Millisecond)
	r.refused(normal, RefusedLinger) // later purges are due at whole seconds
	r.pass(500 * time.Millisecond)
	purge(1, 1, 0)
	r.pass(time.Hour - 2*time.Second)
	purge(1, 1, 1)
	r.refused(normal, RefusedEmpty)
}

// Asked for at once after a purge that is due later: the earlier call is made for the second one.
func TestReceipts_ThePendingPurgeMovesEarlier(t *testing.T) {
	r := simulated(t)
	r.ask(Absorption{Request: "later", Receipt: "later", Lane: normal, Items: []string{"a"}, Settle: time.Minute})
	r.follow("now", urgent, "a")
	r.settle(r.claim(urgent), Purged)
	assert.Equal(t, counted{purged: 1}, r.counted("now"))
	assert.Zero(t, r.counted("later"))
	r.pass(time.Minute)
	r.settle(r.claim(urgent), Purged)
	assert.Equal(t, counted{purged: 1}, r.counted("later"))
}

func TestReceipts_TheFirstPurgeCountsNotTheRebound(t *testing.T) {
	r := simulated(t)
	r.ask(Absorption{Request: "r1", Receipt: "r1", Lane: normal, Items: []string{"a"}, Rebound: time.Minute})
	r.settle(r.claim(normal), Purged)
	assert.Equal(t, counted{purged: 1}, r.counted("r1"))
	r.pass(time.Minute)
	b := r.claim(normal)
	assert.False(t, b.Tracked)
	r.settle(b, Died)
	assert.Equal(t, counted{purged: 1}, r.counted("r1"))
}

func TestReceipts_ReturnWithTheItems(t *testing.T) {
	each(t, func(r *rig) {
		r.follow("r1", normal, "a", "b")
		b := r.claim(normal)
		r.follow("r2", urgent, "a")
		require.True(t, r.restore(b, false))
		require.False(t, r.restore(b, false))
		r.settle(b, Purged) // by the superseded worker, late: its call started before
		assert.Zero(t, r.counted("r1"))
		assert.Equal(t, []string{"a r1", "a r2", "b r1"}, r.waiting(keysOf("acme").receipts(normal)))
		r.settle(r.claim(urgent), Purged)
		r.settle(r.claim(normal), Purged)
		assert.Equal(t, counted{purged: 2}, r.counted("r1"))
		assert.Equal(t, counted{purged: 1}, r.counted("r2"))
	})
}

func TestReceipts_ReturnWhenTheLeaseEnds(t *testing.T) {
	each(t, func(r *rig) {
		r.pace.Lease = 20 * time.Millisecond
		r.follow("r1", normal, "a")
		b := r.claim(normal)
		require.False(t, r.restore(b, true))
		r.pass(25 * time.Millisecond)
		expired := r.expired()
		require.Len(t, expired, 1)
		assert.True(t, expired[0].Tracked)
		require.True(t, r.restore(expired[0], true))
		again := r.claim(normal)
		assert.True(t, again.Tracked)
		r.settle(b, Purged)
		assert.Zero(t, r.counted("r1"))
		r.settle(again, Purged)
		assert.Equal(t, counted{purged: 1}, r.counted("r1"))
	})
}

func TestReceipts_StayWithTheBatchOverRetries(t *testing.T) {
	each(t, func(r *rig) {
		r.follow("r1", normal, "a", "b")
		b := r.claim(normal)
		for attempt := 2; attempt < 5; attempt++ {
			_, err := r.Finish(r.ctx(), "acme", b, attempt-1, false)
			require.NoError(t, err)
			assert.Zero(t, r.counted("r1"))
			require.NoError(t, r.rdb.PExpire(r.ctx(), keysOf("acme").carried(b.ID), time.Hour).Err())
			got := r.acquire(b, attempt, false)
			require.NotNil(t, got.Batch)
			assert.True(t, got.Batch.Tracked)
			assert.Equal(t, got, r.acquire(b, attempt, false))
			assert.InDelta(t, receipt.Kept, r.rdb.PTTL(r.ctx(), keysOf("acme").carried(b.ID)).Val(), float64(time.Minute), "kept on")
			b = *got.Batch
		}
		r.settle(b, Died)
		assert.Equal(t, counted{dead: 2}, r.counted("r1"))

		r.absorb(normal, "c")
		untracked := r.claim(normal)
		assert.False(t, untracked.Tracked)
		r.finish(untracked, false)
		assert.False(t, r.acquire(untracked, 2, false).Batch.Tracked)
	})
}

// Each half settles its own items only; what is left goes back if the parent does.
func TestReceipts_Split(t *testing.T) {
	each(t, func(r *rig) {
		r.follow("r1", normal, "a", "b", "c", "d")
		b := r.claim(normal)
		half := func(name string, items ...string) Batch {
			got := r.acquire(Batch{ID: b.ID + name, Lane: b.Lane, Items: items}, 1, true)
			require.NotNil(t, got.Batch)
			return *got.Batch
		}
		r.settle(half(".0", "a", "b"), Purged)
		assert.Equal(t, counted{purged: 2}, r.counted("r1"))
		r.settle(half(".1.0", "c"), Died)
		assert.Equal(t, counted{2, 1}, r.counted("r1"))

		// The worker died before it ended the parent's lease.
		require.True(t, r.restore(b, false))
		late := half(".1.1", "d")
		assert.False(t, late.Tracked)
		r.settle(late, Purged)
		assert.Equal(t, counted{2, 1}, r.counted("r1"))
		r.settle(r.claim(normal), Purged)
		assert.Equal(t, counted{3, 1}, r.counted("r1"))
	})
}

// asynq may run a request again at any time, long after the absorb's own memory.
func TestReceipts_ARequestIsCountedOnce(t *testing.T) {
	r := simulated(t)
	items := numbered(absorbChunk + 1) // two chunks
	ask := func(more ...string) {
		r.ask(Absorption{Request: "r1", Receipt: "r1", Lane: normal, Items: append(items, more...)})
	}
	ask()
	ask()
	r.pace.MaxItems = len(items)
	r.settle(r.claim(normal), Purged)
	assert.Equal(t, counted{purged: len(items)}, r.counted("r1"))
	r.pass(time.Minute)
	ask()
	b := r.claim(normal)
	assert.Len(t, b.Items, len(items), "purged again, for the content may have changed")
	assert.False(t, b.Tracked)
	r.settle(b, Purged)
	assert.Equal(t, counted{purged: len(items)}, r.counted("r1"))
	// Another task of the same request is another part.
	r.ask(Absorption{Request: "r1-2", Receipt: "r1", Lane: normal, Items: []string{"more"}})
	r.settle(r.claim(normal), Purged)
	assert.Equal(t, counted{purged: len(items) + 1}, r.counted("r1"))
}

func TestReceipts_TakeAndBury(t *testing.T) {
	each(t, func(r *rig) {
		fields := func(id string) map[string]string { return r.rdb.HGetAll(r.ctx(), receipt.Key(id)).Val() }
		require.False(t, r.take("none"))
		require.NoError(t, r.Bury(r.ctx(), "none", "none", 3))
		assert.Empty(t, fields("none"), "what has expired does not come back")

		r.open("r1", 5)
		require.True(t, r.take("r1"))
		require.True(t, r.take("r1"))
		assert.Equal(t, map[string]string{"project": "prj", "total": "5", "account:acme": "1"}, fields("r1"))

		r.open("r2", 5)
		for range 2 {
			require.NoError(t, r.Bury(r.ctx(), "r2", "r2-1", 3))
		}
		require.NoError(t, r.Bury(r.ctx(), "r2", "r2-2", 0))
		got := fields("r2")
		at, err := strconv.ParseInt(got["changed"], 10, 64)
		require.NoError(t, err)
		assert.WithinDuration(t, r.time(), time.UnixMilli(at), time.Minute)
		delete(got, "changed")
		assert.Equal(t, map[string]string{"project": "prj", "total": "5", "dead:r2-1": "3", "dead:r2-2": "5"}, got)
		for task, want := range map[string]bool{"r2-1": false, "r2-3": true} {
			known, err := r.Take(r.ctx(), "acme", "r2", task, 0)
			require.NoError(t, err)
			assert.Equal(t, want, known, "%s: who is dead is not counted again", task)
		}
	})
}

// Everything about receipts ends by itself: 24 hours after what happened last.
func TestReceipts_Expire(t *testing.T) {
	r := simulated(t)
	r.pace.MaxItems, r.pace.Full = 1, 1
	r.open("r1", 3)
	known, err := r.Take(r.ctx(), "acme", "r1", "r1", time.Hour)
	require.NoError(t, err)
	require.True(t, known)
	r.ask(Absorption{Request: "r1", Receipt: "r1", Lane: normal, Items: []string{"a", "b", "c"}, Settle: time.Hour})
	k := keysOf("acme")
	ttl := func(key string, want time.Duration) {
		t.Helper()
		assert.InDelta(t, want, r.rdb.TTL(r.ctx(), key).Val(), float64(time.Minute), key)
	}
	ttl(receipt.Key("r1"), 25*time.Hour)
	ttl(receipt.CountsKey("acme", "r1"), 25*time.Hour)
	ttl(k.receipts(normal), 25*time.Hour)

	r.pass(20 * time.Hour)
	b := r.claim(normal)
	ttl(k.receipts(normal), 24*time.Hour)
	ttl(k.carried(b.ID), 24*time.Hour)
	r.settle(b, Purged)
	ttl(receipt.Key("r1"), 24*time.Hour)
	ttl(receipt.CountsKey("acme", "r1"), 24*time.Hour)
	b = r.claim(normal)
	require.True(t, b.Tracked)

	r.pass(24*time.Hour + time.Second)
	r.settle(b, Purged)
	r.pass(time.Minute)
	for _, key := range r.rdb.Keys(r.ctx(), "*").Val() {
		assert.NotContains(t, key, "receipt", "it has expired, and settling late has not brought it back")
		assert.NotContains(t, key, "carried")
	}
	assert.Len(t, r.pending(normal), 1, "the purge itself never expires")
	assert.False(t, r.claim(normal).Tracked)
}

// An item may have any number of receipts, a batch of the string form many items.
func TestReceipts_Many(t *testing.T) {
	each(t, func(r *rig) {
		k, items := keysOf("acme"), numbered(settleChunk+100)
		r.pace.MaxItems = len(items)
		r.follow("r1", normal, items...)
		hot := make([]redis.Z, 2*settleChunk+1)
		for i := range hot {
			hot[i].Member = fmt.Sprintf("%s\n%015d\nhot-%d", items[0], r.time().UnixMilli(), i)
		}
		require.NoError(t, r.rdb.ZAdd(r.ctx(), k.receipts(normal), hot...).Err())
		last := receipt.CountsKey("acme", fmt.Sprintf("hot-%d", len(hot)-1))
		require.NoError(t, r.rdb.HSet(r.ctx(), last, "hot/tag/0", 1).Err())

		r.pass(time.Millisecond)
		b := r.claim(normal)
		require.Len(t, b.Items, len(items))
		require.True(t, r.restore(b, false))
		b = r.claim(normal)
		assert.Equal(t, len(items)+len(hot), int(r.rdb.ZCard(r.ctx(), k.carried(b.ID)).Val()))
		r.settle(b, Purged)
		assert.Equal(t, counted{purged: len(items)}, r.counted("r1"))
		assert.Equal(t, "1", r.rdb.HGet(r.ctx(), last, receipt.Purged).Val())
		assert.Zero(t, r.rdb.Exists(r.ctx(), k.carried(b.ID), k.receipts(normal), receipt.CountsKey("acme", "hot-0")).Val())
	})
}
