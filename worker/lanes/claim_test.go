package lanes

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/tasks"
)

func TestClaim_OldestFirst(t *testing.T) {
	each(t, func(r *rig) {
		r.pace.MaxItems = 2
		now := r.time()
		for i, item := range []string{"third", "first", "fourth", "second"} {
			age := []int{30, 50, 20, 40}[i]
			k := keysOf("acme").pending(normal)
			r.absorb(normal, item)
			// As if it had been absorbed that long ago.
			require.NoError(r.t, r.rdb.ZIncrBy(r.ctx(), k, -float64(age*1000), item).Err())
		}
		b := r.claim(normal)
		assert.Equal(r.t, []string{"first", "second"}, b.Items)
		assert.WithinDuration(r.t, now.Add(-50*time.Second), b.Due, 5*time.Second)
		assert.Equal(r.t, []string{"third", "fourth"}, r.claim(normal).Items)
	})
}

func TestClaim_Batch(t *testing.T) {
	each(t, func(r *rig) {
		r.pace.MaxItems = 8
		lane := tasks.Lane{
			Project: "prj_abc", Kind: tasks.Tag, Operation: tasks.Delete, Target: tasks.Preview, DeadlineSeconds: 31_536_000, Priority: tasks.Bulk,
		}
		r.absorb(lane, numbered(9)...)
		before := r.time()
		b := r.claim(lane)
		assert.Equal(r.t, lane, b.Lane)
		assert.Equal(r.t, numbered(9)[:8], b.Items)
		assert.Equal(r.t, 31_536_000, b.DeadlineSeconds)
		assert.WithinRange(r.t, b.ClaimedAt, before.Truncate(time.Millisecond), r.time())
		assert.False(r.t, b.Due.After(b.ClaimedAt))
		assert.False(r.t, b.Probe)
		assert.Equal(r.t, tasks.NoDeadline, func() int { r.absorb(normal, "a"); return r.claim(normal).DeadlineSeconds }())
	})
}

func TestInvariant3_NoBatchBreaksALimit(t *testing.T) {
	for _, c := range []struct {
		name            string
		items, maxItems int
		maxBytes, size  int
		want            []int
	}{
		{name: "16 tags", items: 40, maxItems: 16, want: []int{16, 16, 8}},
		{name: "8 images", items: 17, maxItems: 8, want: []int{8, 8, 1}},
		// 9 bytes and a comma each, the last without: 819*10-1 = 8189, 820*10-1 = 8199.
		{name: "string form over several chunks", items: 2000, maxItems: 8196, maxBytes: 8196, want: []int{819, 819, 362}},
		{name: "exactly as long as may be", items: 20, maxItems: 8196, maxBytes: 99, want: []int{10, 10}},
		{name: "a byte too short", items: 20, maxItems: 8196, maxBytes: 98, want: []int{9, 9, 2}},
		{name: "at least one", items: 2, maxItems: 8196, maxBytes: 5, want: []int{1, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(r *rig) {
				r.pace.MaxItems, r.pace.MaxBytes = c.maxItems, c.maxBytes
				r.absorb(normal, numbered(c.items)...)
				var sizes []int
				var all []string
				for range c.want {
					b := r.claim(normal)
					sizes = append(sizes, len(b.Items))
					all = append(all, b.Items...)
					if c.maxBytes > 0 && len(b.Items) > 1 {
						assert.LessOrEqual(r.t, len(strings.Join(b.Items, ",")), c.maxBytes)
					}
				}
				assert.Equal(r.t, c.want, sizes)
				assert.ElementsMatch(r.t, numbered(c.items), all)
				r.refused(normal, RefusedEmpty)
			})
		})
	}
}

func TestClaim_StringFormTakesTheLongestCallOfShortTags(t *testing.T) {
	each(t, func(r *rig) {
		r.pace.MaxItems, r.pace.MaxBytes = 8196, 8196
		var short []string
		for a := range 70 {
			for b := range 70 {
				short = append(short, string([]rune{rune('0' + a), rune('0' + b)}))
			}
		}
		r.absorb(normal, short...)
		assert.Len(r.t, r.claim(normal).Items, 8197/3)
	})
}

func TestClaim_Linger(t *testing.T) {
	each(t, func(r *rig) {
		r.pace.Linger = time.Hour
		r.absorb(normal, numbered(15)...)
		assert.InDelta(r.t, time.Hour, r.refused(normal, RefusedLinger), float64(10*time.Second))
		r.absorb(normal, "the 16th")
		assert.Len(r.t, r.peek().Ready, 1)
		assert.Len(r.t, r.claim(normal).Items, 16, "a full batch waits for nobody")

		r.absorb(normal, "late")
		r.refused(normal, RefusedLinger)
		r.absorb(urgent, "now")
		assert.Equal(r.t, []string{"now"}, r.claim(urgent).Items, "urgent items do not linger")
	})
}

func TestClaim_LingerEnds(t *testing.T) {
	r := simulated(t)
	r.pace.Linger = time.Second
	r.absorb(normal, "a")
	r.pass(600 * time.Millisecond)
	r.absorb(normal, "b")
	assert.Equal(t, 400*time.Millisecond, r.refused(normal, RefusedLinger), "the first item's time counts")
	r.pass(399 * time.Millisecond)
	assert.Empty(t, r.peek().Ready)
	r.refused(normal, RefusedLinger)
	r.pass(time.Millisecond)
	assert.Equal(t, []string{"a", "b"}, r.claim(normal).Items)
}

// A partial rest of a backlog has lingered long enough.
func TestClaim_LingerCountsFromTheDueTime(t *testing.T) {
	r := simulated(t)
	r.pace.Linger = time.Second
	r.absorb(normal, numbered(20)...)
	assert.Len(t, r.claim(normal).Items, 16)
	assert.Equal(t, time.Second, r.refused(normal, RefusedLinger))
	r.pass(time.Second)
	assert.Len(t, r.claim(normal).Items, 4)
}

// What is not due yet neither fills a batch nor travels with one.
func TestClaim_TakesOnlyWhatIsDue(t *testing.T) {
	r := simulated(t)
	r.pace.Linger = time.Second
	r.ask(Absorption{Lane: normal, Items: numbered(30), Settle: time.Minute})
	r.absorb(normal, "due")
	r.refused(normal, RefusedLinger)
	r.pass(time.Second)
	assert.Equal(t, []string{"due"}, r.claim(normal).Items)
	assert.Equal(t, 59*time.Second, r.refused(normal, RefusedLinger), "by then 16 are due")
	r.pass(59 * time.Second)
	assert.Len(t, r.claim(normal).Items, 16)
}

func TestClaim_IsIdempotentByItsBatch(t *testing.T) {
	each(t, func(r *rig) {
		r.pace.Calls = 1
		r.absorb(normal, numbered(20)...)
		first, err := r.Claim(r.ctx(), r.pace, normal, "b1")
		require.NoError(r.t, err)
		before := r.dump()
		second, err := r.Claim(r.ctx(), r.pace, normal, "b1")
		require.NoError(r.t, err)
		assert.Equal(r.t, first, second)
		assert.Equal(r.t, before, r.dump())
	})
}

// A claim that go-redis sends again after the lease has ended and the items have
// gone back must not lease the fenced id: nobody could restore that batch.
func TestInvariant1_NoClaimUnderASupersededID(t *testing.T) {
	each(t, func(r *rig) {
		r.absorb(normal, "a")
		b := r.claim(normal)
		require.True(r.t, r.restore(b, false))
		again, err := r.Claim(r.ctx(), r.pace, normal, b.ID)
		require.NoError(r.t, err)
		assert.Equal(r.t, Superseded, again.Refused)
		assert.Nil(r.t, again.Batch)
		assert.Equal(r.t, []string{"a"}, r.claim(normal).Items)
	})
}

func TestClaim_InFlight(t *testing.T) {
	each(t, func(r *rig) {
		r.pace.InFlight, r.pace.MaxItems = 2, 1
		r.absorb(normal, "a", "b", "c")
		first := r.claim(normal)
		second := r.claim(normal)
		assert.Positive(r.t, r.refused(normal, RefusedInFlight))
		assert.Equal(r.t, RefusedInFlight, r.acquire(Batch{ID: "other", Lane: normal, Items: []string{"x"}}, 2, false).Refused)
		assert.True(r.t, RefusedInFlight.OfAccount())
		assert.Len(r.t, r.status().InFlight, 2)
		r.finish(first, true)
		third := r.claim(normal)
		r.finish(second, false)
		r.finish(third, true)
		assert.Empty(r.t, r.status().InFlight)
	})
}

func TestClaim_EmptyLaneLeaves(t *testing.T) {
	each(t, func(r *rig) {
		r.absorb(normal, "a")
		assert.Len(r.t, r.status().Lanes, 1)
		r.claim(normal)
		for _, key := range []string{keysOf("acme").ready(tasks.Normal), keysOf("acme").lanes(), keysOf("acme").pending(normal)} {
			assert.Zero(r.t, r.rdb.Exists(r.ctx(), key).Val(), key)
		}
		r.refused(normal, RefusedEmpty)
		assert.Empty(r.t, r.peek().Ready)
	})
}

// The pacer serves the project that was served longest ago; the scripts keep the books.
func TestPeek_Fairness(t *testing.T) {
	r := simulated(t)
	one, two := inProject("one"), inProject("two")
	r.absorb(one, numbered(40)...)
	r.pass(time.Second)
	r.absorb(two, "a")
	r.absorb(urgent, "u")
	view := r.peek()
	require.Len(t, view.Ready, 3)
	assert.Equal(t, []tasks.Lane{urgent, one, two}, []tasks.Lane{view.Ready[0].Lane, view.Ready[1].Lane, view.Ready[2].Lane})
	assert.True(t, view.Ready[1].ProjectServed.IsZero(), "never")

	r.pass(time.Second)
	r.claim(one)
	view = r.peek()
	assert.Equal(t, two, view.Ready[1].Lane, "a served lane goes to the end of the queue")
	assert.Equal(t, epoch.Add(time.Second), view.Ready[1].Since)
	assert.Equal(t, one, view.Ready[2].Lane)
	assert.Equal(t, epoch.Add(2*time.Second), view.Ready[2].ProjectServed)

	r.absorb(one, "new")
	assert.Equal(t, two, r.peek().Ready[1].Lane, "new items do not bring a lane forward")
	assert.Equal(t, epoch.Add(2*time.Second), view.Now)
}

// Nor do they send it to the end of the queue.
func TestPeek_NewItemsKeepTheLanesPlace(t *testing.T) {
	r := simulated(t)
	r.absorb(normal, "a")
	r.pass(time.Second)
	r.absorb(normal, "b")
	require.Len(t, r.peek().Ready, 1)
	assert.Equal(t, epoch, r.peek().Ready[0].Since)
}

func TestPeek_Next(t *testing.T) {
	r := simulated(t)
	assert.True(t, r.peek().Next.IsZero())
	r.pace.Linger = time.Second
	r.absorb(normal, "a")
	r.ask(Absorption{Lane: bulk, Items: []string{"b"}, Settle: time.Minute})
	assert.Empty(t, r.peek().Ready)
	assert.Equal(t, epoch.Add(time.Second), r.peek().Next)
}

// Only what matters of who was served when is kept.
func TestClaim_ServedIsForgotten(t *testing.T) {
	r := simulated(t)
	r.absorb(inProject("one"), "a")
	r.claim(inProject("one"))
	r.pass(25 * time.Hour)
	r.absorb(inProject("two"), "a")
	r.claim(inProject("two"))
	assert.Equal(t, []string{"two"}, r.rdb.ZRange(r.ctx(), keysOf("acme").served(), 0, -1).Val())
}

func TestClaim_LearnedMaximum(t *testing.T) {
	r := simulated(t)
	r.absorb(normal, numbered(40)...)
	require.NoError(t, r.LearnMax(r.ctx(), "acme", tasks.Tag, 10))
	require.NoError(t, r.LearnMax(r.ctx(), "acme", tasks.SrcImage, 1))
	assert.Len(t, r.claim(normal).Items, 10)
	r.pass(time.Hour + time.Second)
	assert.Len(t, r.claim(normal).Items, 16, "it is not believed for ever")
	require.NoError(t, r.LearnMax(r.ctx(), "acme", tasks.Tag, 100))
	assert.Len(t, r.claim(normal).Items, 14, "more than documented is not believed at all")
}
