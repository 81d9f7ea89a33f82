package lanes

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
)

func (r *rig) collapse(lane tasks.Lane, to string, items ...string) int {
	r.t.Helper()
	n, err := r.Collapse(r.ctx(), r.pace, lane, r.id("collapse-"), to, items)
	require.NoError(r.t, err)
	return n
}

func (r *rig) matching(lane tasks.Lane, match string) []string {
	r.t.Helper()
	names := []string{}
	for page, err := range r.Matching(r.ctx(), "acme", lane, match, r.time()) {
		require.NoError(r.t, err)
		for _, item := range page {
			names = append(names, item.Name)
		}
	}
	slices.Sort(names)
	return names
}

// Only what is pending in the lane and due is replaced, by an item that is due since the
// oldest of them was.
func TestCollapse(t *testing.T) {
	r := simulated(t)
	r.absorb(normal, "post-1")
	r.pass(time.Second)
	r.absorb(normal, "post-2", "home")
	r.ask(Absorption{Lane: normal, Items: []string{"post-3"}, Settle: time.Minute})
	r.absorb(bulk, "post-4")
	r.absorb(inProject("blog"), "post-5")
	assert.Equal(t, 2, r.collapse(normal, "posts", "post-1", "post-2", "post-3", "post-4", "post-5", "gone"))
	start := epoch.UnixMilli()
	assert.Equal(t, map[string]int64{"posts": start, "home": start + 1000, "post-3": start + 61_000}, r.pending(normal))
	assert.Equal(t, []string{"post-4"}, r.items(bulk))
	assert.Equal(t, []string{"post-5"}, r.items(inProject("blog")))

	assert.Zero(t, r.collapse(normal, "posts", "posts"), "what takes their place is not replaced")
	assert.Zero(t, r.collapse(normal, "all", "gone"), "nothing was replaced")
	assert.Equal(t, map[string]int64{"posts": start, "home": start + 1000, "post-3": start + 61_000}, r.pending(normal))
	b := r.claim(normal)
	assert.Equal(t, []string{"posts", "home"}, b.Items)
	assert.Equal(t, epoch, b.Due, "it waits since the oldest did, and no spread keeps it longer")
}

// go-redis sends a script again when its reply was lost: what was asked for since then
// stays, and the answer, which is what is counted, is the first one.
func TestCollapse_Again(t *testing.T) {
	each(t, func(r *rig) {
		r.absorb(normal, "a", "b")
		for range 2 {
			n, err := r.Collapse(r.ctx(), r.pace, normal, "c1", "all", []string{"a", "b"})
			require.NoError(t, err)
			assert.Equal(t, 2, n)
			r.absorb(normal, "a")
		}
		assert.ElementsMatch(t, []string{"all", "a"}, r.items(normal))
		assert.InDelta(t, 30_000, r.rdb.PTTL(r.ctx(), keysOf("acme").collapsed("c1")).Val().Milliseconds(), 5_000)
	})
}

// A search may find an item twice: it is one.
func TestCollapse_NamedTwice(t *testing.T) {
	r := simulated(t)
	r.absorb(normal, "a", "b")
	assert.Equal(t, 2, r.collapse(normal, "all", "a", "b", "a"))
	assert.Equal(t, []string{"all"}, r.items(normal))
}

// The item in their place is pending once over the priorities, at the more urgent one,
// and a later purge of it stays.
func TestCollapse_Twin(t *testing.T) {
	for _, p := range tasks.Priorities {
		t.Run(string(p), func(t *testing.T) {
			r := simulated(t)
			r.absorb(normal, "a", "b")
			r.ask(Absorption{Lane: normal.With(p), Items: []string{"all"}, Settle: time.Minute, Rebound: time.Second})
			r.pass(time.Second)
			require.Equal(t, 2, r.collapse(normal, "all", "a", "b"))
			want := normal
			if p == tasks.Urgent {
				want = urgent
			}
			for _, lane := range []tasks.Lane{urgent, normal, bulk} {
				if lane == want {
					assert.Equal(t, map[string]int64{"all": epoch.UnixMilli()}, r.pending(lane))
					assert.Equal(t, map[string]string{"all": fmt.Sprintf("%d+1000", epoch.UnixMilli()+60_000)}, r.again(lane))
				} else {
					assert.Empty(t, r.pending(lane))
					assert.Empty(t, r.again(lane))
				}
			}
			assert.Equal(t, []string{"all"}, r.claim(want).Items)
		})
	}
}

// What an item is to be purged for later stays its own; a rebound is of the item in its
// place, after the longest wait.
func TestCollapse_LaterAndRebound(t *testing.T) {
	r := simulated(t)
	r.ask(Absorption{Lane: normal, Items: []string{"a"}, Rebound: 2 * time.Second})
	r.ask(Absorption{Lane: normal, Items: []string{"b"}, Rebound: 5 * time.Second})
	r.absorb(normal, "c")
	r.ask(Absorption{Lane: normal, Items: []string{"a", "c"}, Settle: 10 * time.Second})
	r.ask(Absorption{Lane: normal, Items: []string{"c"}, Settle: 20 * time.Second, Rebound: time.Second})
	require.Equal(t, 3, r.collapse(normal, "all", "a", "b", "c"))
	start := epoch.UnixMilli()
	assert.Equal(t, map[string]int64{"all": start, "a": start + 10_000, "c": start + 10_000}, r.pending(normal))
	assert.Equal(t, map[string]string{"all": "+5000", "c": fmt.Sprintf("%d+1000", start+20_000)}, r.again(normal))

	r.claim(normal)
	assert.Equal(t, start+5000, r.pending(normal)["all"], "the rebound")
	r.pass(10 * time.Second)
	assert.Equal(t, []string{"all", "a", "c"}, r.claim(normal).Items, "and what was asked for later")
}

// Whatever an entry of `again` holds, nothing of it is lost: what is due by now goes to the
// item in their place, with its rebound, and what is due later stays, each with its own.
func TestCollapse_EveryFormOfAgain(t *testing.T) {
	start := epoch.UnixMilli()
	at := func(text string) string { // @n: n seconds after the beginning
		return regexp.MustCompile(`@\d+`).ReplaceAllStringFunc(text, func(s string) string {
			n, err := strconv.ParseInt(s[1:], 10, 64)
			require.NoError(t, err)
			return strconv.FormatInt(start+n*1000, 10)
		})
	}
	for _, c := range []struct {
		before    string // of the item
		due       int64  // of the item afterwards, in seconds; 0: it is gone
		after, to string // of the item, and of the one in its place
	}{
		{"", 0, "", ""},
		{"+700", 0, "", "+700"},
		{"@5", 0, "", ""}, // due by now: covered
		{"@5+700", 0, "", "+700"},
		{"@5+700,+900", 0, "", "+900"},
		{"@5+900,@9+1000,+700", 0, "", "+1000"},
		{"@10+700", 0, "", "+700"}, // at this instant
		{"@11", 11, "", ""},
		{"@11+700", 11, "+700", ""},
		{"@11+700,+900", 11, "+700", "+900"},
		{"@11,+900", 11, "", "+900"},
		{"@11+20000,@100+700,@200", 11, "@100+700,@200,+20000", ""},
		{"@200,@100+700,@11+20000,+900", 11, "@100+700,@200,+20000", "+900"}, // in any order
		{"@5+800,@11,@12+600,+100", 11, "@12+600", "+800"},
		{"@9+800,@100+700,+900", 100, "+700", "+900"},
	} {
		for _, had := range []string{"", "+100", "+950", "@100+300", "@100,+100"} { // of the one in its place, that waits
			t.Run(c.before+"_"+had, func(t *testing.T) {
				r := simulated(t)
				again := keysOf("acme").again(normal)
				r.absorb(normal, "a")
				r.pass(10 * time.Second)
				if c.before != "" {
					require.NoError(t, r.rdb.HSet(r.ctx(), again, "a", at(c.before)).Err())
				}
				if had != "" {
					r.absorb(normal, "all")
					require.NoError(t, r.rdb.HSet(r.ctx(), again, "all", at(had)).Err())
				}
				require.Equal(t, 1, r.collapse(normal, "all", "a"))
				pending, entries := map[string]int64{"all": start}, map[string]string{}
				if c.due > 0 {
					pending["a"] = start + c.due*1000
				}
				if c.after != "" {
					entries["a"] = at(c.after)
				}
				later, _, _ := strings.Cut(had, ",")
				if !strings.HasPrefix(later, "@") {
					later = ""
				}
				longest := max(reboundOf(had), reboundOf(c.to))
				switch {
				case later != "" && longest > 0:
					entries["all"] = at(fmt.Sprintf("%s,+%d", later, longest))
				case later != "":
					entries["all"] = at(later)
				case longest > 0:
					entries["all"] = fmt.Sprintf("+%d", longest)
				}
				assert.Equal(t, pending, r.pending(normal))
				assert.Equal(t, entries, r.again(normal))
			})
		}
	}
}

// A request may be due while the later purge that it asked for is not: that one begins with
// the next second. Who gives way then keeps that purge and its rebound, and its receipt
// counts with the item in its place.
func TestCollapse_LaterPurgeOfARequestThatIsDue(t *testing.T) {
	r := simulated(t)
	r.absorb(bulk, "a")
	r.ask(Absorption{Request: "r1", Receipt: "r1", Lane: normal, Items: []string{"a"}, Settle: 300 * time.Millisecond, Rebound: 20 * time.Second})
	r.pass(400 * time.Millisecond)
	require.Equal(t, 1, r.collapse(normal, "all", "a"))
	start := epoch.UnixMilli()
	assert.Equal(t, map[string]int64{"all": start, "a": start + 1000}, r.pending(normal))
	assert.Equal(t, map[string]string{"a": "+20000"}, r.again(normal))

	b := r.claim(normal)
	assert.Equal(t, []string{"all"}, b.Items)
	assert.Contains(t, b.Origins.All(), Origin{Request: "r1"})
	r.settle(b, Purged)
	r.finish(b, true)
	assert.Equal(t, counted{purged: 1}, r.counted("r1"), "the call began after the request was due")
	assert.Equal(t, []int{1, 21}, r.calls("a"))
}

// A member of a receipt is the item, the due time, the item that was asked for, if it is
// another one, and the receipt.
func (r *rig) members(key string) []string {
	r.t.Helper()
	members, err := r.rdb.ZRange(r.ctx(), key, 0, -1).Result()
	require.NoError(r.t, err)
	return members
}

// Each item that was asked for is counted once, over two collapses, however many items of
// a receipt are in one item now.
func TestCollapse_Receipts(t *testing.T) {
	each(t, func(r *rig) {
		r.follow("r1", normal, "post-1", "post-2", "posts", "home")
		r.follow("r2", normal, "post-1", "a\\b*")
		r.absorb(normal, "post-3")
		r.pass(2 * time.Millisecond)
		r.ask(Absorption{Request: "r3", Receipt: "r3", Lane: normal, Items: []string{"post-1"}, Settle: time.Hour})
		require.Equal(t, 3, r.collapse(normal, "posts", "post-1", "post-2", "post-3"))
		require.Equal(t, 3, r.collapse(normal, "*", "posts", "home", "a\\b*"))
		key := keysOf("acme").receipts(normal)
		require.Len(t, r.members(key), 7)
		assert.Regexp(t, `;\*\n\d{15}\npost-2\nr1;`, strings.Join(r.members(key), ";"))

		b := r.claim(normal)
		require.Equal(t, []string{"*"}, b.Items)
		require.True(t, b.Tracked)
		assert.Len(t, r.members(key), 1, "of post-1, in an hour")
		r.settle(b, Purged)
		r.settle(b, Purged)
		r.finish(b, true)
		assert.Equal(t, counted{purged: 4}, r.counted("r1"))
		assert.Equal(t, counted{purged: 2}, r.counted("r2"))
		assert.Zero(t, r.counted("r3"))
		assert.Zero(t, r.rdb.Exists(r.ctx(), keysOf("acme").carried(b.ID)).Val())
	})
}

// However many receipts wait for one item, and one for however many.
func TestCollapse_ManyReceipts(t *testing.T) {
	each(t, func(r *rig) {
		for range 600 {
			r.follow(r.id("r"), normal, "post-0001")
		}
		r.follow("all", normal, numbered(700)...)
		require.Equal(t, 700, r.collapse(normal, "posts", numbered(700)...))
		members := r.members(keysOf("acme").receipts(normal))
		assert.Len(t, members, 1300)
		for _, m := range members {
			require.Regexp(t, `^posts\n\d{15}\npost-\d{4}\n(r\d+|all)$`, m)
		}
	})
}

// The receipts of what was collapsed stay with it when its batch goes back, is split, is
// tried again and dies.
func TestCollapse_ReceiptsOverRestoreSplitAndDeath(t *testing.T) {
	each(t, func(r *rig) {
		r.follow("r1", normal, "post-1", "post-2", "home")
		require.Equal(t, 2, r.collapse(normal, "posts", "post-1", "post-2"))
		b := r.claim(normal)
		require.ElementsMatch(t, []string{"posts", "home"}, b.Items)
		require.True(t, r.restore(b, false))
		assert.Len(t, r.members(keysOf("acme").receipts(normal)), 3)

		b = r.claim(normal)
		r.finish(b, false)
		for i, item := range []string{"home", "posts"} {
			half := b
			half.ID, half.Items = fmt.Sprintf("%s.%d", b.ID, i), []string{item}
			got := r.acquire(half, 1, true)
			require.NotNil(t, got.Batch)
			require.True(t, got.Batch.Tracked)
			if item == "home" {
				r.settle(*got.Batch, Purged)
				assert.Equal(t, counted{purged: 1}, r.counted("r1"))
			} else {
				r.settle(*got.Batch, Died)
			}
		}
		assert.Equal(t, counted{purged: 1, dead: 2}, r.counted("r1"))
		assert.Empty(t, r.members(keysOf("acme").carried(b.ID)))
	})
}

// A worker that dies between two chunks, or before it claims, loses nothing: each chunk
// is covered by an item that is pending once it is over.
func TestCollapse_DiesInBetween(t *testing.T) {
	each(t, func(r *rig) {
		r.absorb(normal, numbered(40)...)
		require.Equal(t, 20, r.collapse(normal, "all", numbered(20)...))
		require.Len(t, r.items(normal), 21)
		require.Contains(t, r.claim(normal).Items, "all", "in the first call")
		require.Equal(t, 5, r.collapse(normal, "all", numbered(40)[:40]...), "the other 15 are claimed")
		assert.Equal(t, []string{"all"}, r.items(normal), "once more, since that call began before")
	})
}

// A lane that has been emptied into a more urgent one is not in the way.
func TestCollapse_ReadyLanes(t *testing.T) {
	each(t, func(r *rig) {
		r.absorb(bulk, "a", "b")
		r.absorb(urgent, "all")
		require.Equal(t, 2, r.collapse(bulk, "all", "a", "b"))
		assert.Equal(t, []string{"all"}, r.items(urgent))
		r.refused(bulk, RefusedEmpty)
		ready := r.peek().Ready
		require.Len(t, ready, 1)
		assert.Equal(t, urgent, ready[0].Lane)
		r.claim(urgent)
		assert.Empty(t, r.peek().Ready)

		r.pace.Linger = time.Hour
		r.absorb(bulk, "c")
		assert.Equal(t, 1, r.collapse(bulk, "all", "c"))
		assert.NotEmpty(t, r.status().Lanes, "it is listed and waits as the other did")
	})
}

// Names are matched by every character, whatever it means to Redis.
func TestMatching(t *testing.T) {
	each(t, func(r *rig) {
		odd := []string{`a*b`, `a?b`, `a[b]c`, `a\b`, `a^b`, `a-b`, `aXb`, `a`, `A`, "ä"}
		r.absorb(normal, odd...)
		r.ask(Absorption{Lane: normal, Items: []string{"a*later"}, Settle: time.Minute})
		sorted := slices.Sorted(slices.Values(odd))
		assert.Equal(t, sorted, r.matching(normal, ""))
		assert.Equal(t, sorted, r.matching(normal, "*"))
		for _, item := range odd {
			assert.Equal(t, []string{item}, r.matching(normal, item))
		}
		assert.Equal(t, []string{`a*b`}, r.matching(normal, `a**`))
		assert.Equal(t, []string{`a?b`}, r.matching(normal, `a?*`))
		assert.Equal(t, []string{`a[b]c`}, r.matching(normal, `a[b]*`))
		assert.Equal(t, []string{`a\b`}, r.matching(normal, `a\*`))
		assert.Empty(t, r.matching(normal, "b*"))
		assert.Empty(t, r.matching(bulk, ""))
	})
}

// A large lane comes in pages and completely, and stops coming when nobody asks.
func TestMatching_Pages(t *testing.T) {
	r := newRig(t, redistest.Start(t).Client(t))
	r.absorb(normal, numbered(5000)...)
	assert.Equal(t, numbered(5000), slices.Compact(r.matching(normal, "post-*")))
	pages := 0
	for page, err := range r.Matching(r.ctx(), "acme", normal, "post-*", r.time()) {
		require.NoError(t, err)
		assert.Less(t, len(page), 2000, "of a page")
		pages++
		break
	}
	assert.Equal(t, 1, pages)
	require.NoError(t, r.rdb.Set(r.ctx(), keysOf("acme").pending(bulk), "no set", 0).Err())
	for page, err := range r.Matching(r.ctx(), "acme", bulk, "", r.time()) {
		require.ErrorContains(t, err, "search lane")
		require.Empty(t, page)
	}
}

func TestBacklog(t *testing.T) {
	r := simulated(t)
	get := func() Backlog {
		got, err := r.Backlog(r.ctx(), "acme", normal)
		require.NoError(t, err)
		return got
	}
	assert.Equal(t, Backlog{Now: epoch}, get())
	r.ask(Absorption{Lane: normal, Items: []string{"later"}, Settle: time.Second})
	assert.Equal(t, Backlog{Now: epoch, Oldest: epoch.Add(time.Second)}, get())
	r.absorb(normal, "a", "b")
	r.pass(time.Minute)
	assert.Equal(t, Backlog{Now: epoch.Add(time.Minute), Due: 3, Oldest: epoch}, get())
}

func TestAll(t *testing.T) {
	each(t, func(r *rig) {
		r.absorb(normal, "a")
		r.absorb(urgent, "b")
		all, err := r.All(r.ctx(), "acme")
		require.NoError(t, err)
		assert.ElementsMatch(t, []tasks.Lane{normal, urgent}, all)
		require.NoError(t, r.rdb.HSet(r.ctx(), keysOf("acme").lanes(), "no lane", "").Err())
		_, err = r.All(r.ctx(), "acme")
		require.ErrorContains(t, err, "account acme")
	})
}

func TestCollapse_RedisAway(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialerRetries: 1, DialTimeout: time.Second, PoolSize: 100})
	t.Cleanup(func() { _ = rdb.Close() })
	r := newRig(t, rdb)
	_, err := r.Collapse(r.ctx(), r.pace, normal, "c", "all", []string{"a"})
	require.ErrorContains(t, err, "collapse items of lane "+normal.ID())
	_, err = r.Backlog(r.ctx(), "acme", normal)
	require.ErrorContains(t, err, "count what is due in lane "+normal.ID())
	_, err = r.All(r.ctx(), "acme")
	require.ErrorContains(t, err, "list the lanes")
}
