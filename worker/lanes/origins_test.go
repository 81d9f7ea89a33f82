package lanes

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/tasks"
)

const someTrace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// who lists the requests of a batch.
func who(b Batch) []string {
	var ids []string
	for _, o := range b.Origins.All() {
		ids = append(ids, o.Request)
	}
	return ids
}

// whoOf lists, of each item of a batch, the requests.
func whoOf(b Batch) map[string]string {
	of := map[string]string{}
	for i, item := range b.Items {
		one := b
		one.Origins = b.Origins.Slice(i, i+1)
		of[item] = strings.Join(who(one), " ")
	}
	return of
}

func (r *rig) request(id string, lane tasks.Lane, items ...string) Absorbed {
	r.t.Helper()
	return r.ask(Absorption{Request: id, Lane: lane, Items: items})
}

// origins is what the hash of a lane holds.
func (r *rig) origins(lane tasks.Lane) map[string]string {
	r.t.Helper()
	all, err := r.rdb.HGetAll(r.ctx(), keysOf(r.pace.Account).origins(lane)).Result()
	require.NoError(r.t, err)
	return all
}

func TestOrigins_OfACall(t *testing.T) {
	each(t, func(r *rig) {
		r.ask(Absorption{Request: "r1", Source: "sanity/blog", Trace: someTrace, Lane: normal, Items: []string{"a", "b"}})
		assert.Equal(t, 1, r.request("r2", bulk, "b", "c").Duplicate)
		r.request("r3", urgent, "d")
		r.pass(time.Millisecond)
		assert.Equal(t, []string{"r3"}, who(r.claim(urgent)))
		b := r.claim(normal)
		assert.Equal(t, map[string]string{"a": "r1", "b": "r1 r2"}, whoOf(b), "a duplicate adds its request")
		assert.Equal(t, []Origin{{"r1", someTrace, "sanity/blog"}, {"r2", "", ""}}, b.Origins.All())
		assert.Equal(t, map[string]string{"c": "r2"}, r.origins(normal), "what a batch takes is gone")
		assert.Equal(t, []string{"r2"}, who(r.claim(bulk)))
		assert.Empty(t, r.origins(normal))
		r.request("r4", normal, "a")
		assert.Equal(t, []string{"r4"}, who(r.claim(normal)), "those of an earlier call are not of this one")
	})
}

// The reply to a claim, the record and a second claim say the same.
func TestOrigins_ClaimedBefore(t *testing.T) {
	each(t, func(r *rig) {
		r.request("r1", normal, "a", "b")
		r.request("r2", normal, "b")
		r.pass(time.Millisecond)
		first, err := r.Claim(r.ctx(), r.pace, normal, "b1")
		require.NoError(t, err)
		again, err := r.Claim(r.ctx(), r.pace, normal, "b1")
		require.NoError(t, err)
		assert.Equal(t, first.Batch, again.Batch)
		assert.Equal(t, []string{"r1", "r2"}, who(*again.Batch))
	})
}

func TestOrigins_KeepTheNewestFour(t *testing.T) {
	each(t, func(r *rig) {
		for i := range 7 {
			r.request(fmt.Sprintf("r%d", i), normal, "a")
		}
		r.request("r5", normal, "a")
		r.pass(time.Millisecond)
		b := r.claim(normal)
		assert.Equal(t, []string{"r3", "r4", "r5", "r6"}, who(b))
		// Those that come while a batch is under way are newer than its own.
		r.request("r7", normal, "a")
		r.pass(time.Millisecond)
		require.True(t, r.restore(b, false))
		r.pass(time.Millisecond)
		assert.Equal(t, []string{"r4", "r5", "r6", "r7"}, who(r.claim(normal)))
	})
}

// A backlog has them for its first 5,000 items; the others are purged all the same.
func TestOrigins_AreBounded(t *testing.T) {
	each(t, func(r *rig) {
		const most = 5000
		items := numbered(most + absorbChunk + 7)
		r.request("r1", normal, items[:most-1]...)
		r.request("r2", normal, items[most-1:]...)
		assert.Len(t, r.origins(normal), most)
		assert.Len(t, r.pending(normal), len(items))
		got := r.request("r3", normal, items...)
		assert.Equal(t, len(items), got.Duplicate)
		left := r.origins(normal)
		assert.Len(t, left, most, "a twin without origins gets none either")
		assert.Equal(t, "r2\nr3", left[items[most-1]], "one that has some gets more")

		r.pass(time.Millisecond)
		r.pace.MaxItems = len(items)
		b := r.claim(normal)
		require.Len(t, b.Items, len(items))
		assert.ElementsMatch(t, []string{"r1", "r3", "r2"}, who(b))
		assert.Zero(t, r.rdb.Exists(r.ctx(), keysOf("acme").origins(normal)).Val())
	})
}

// Of many requests for one batch it carries 16 KiB.
func TestOrigins_OfABatchAreBounded(t *testing.T) {
	each(t, func(r *rig) {
		const n, entry = 400, 60
		items := numbered(n)
		for _, item := range items {
			r.request(strings.Repeat("x", entry-len(item))+item, normal, item)
		}
		r.pass(time.Millisecond)
		r.pace.MaxItems = n
		b := r.claim(normal)
		require.Len(t, b.Items, n)
		assert.Len(t, b.Origins.All(), 16384/entry)
		assert.Empty(t, r.origins(normal))
		assert.True(t, r.restore(b, false))
		assert.Len(t, r.origins(normal), 16384/entry)
	})
}

// A batch whose worker died gives its items back with their origins.
func TestOrigins_ComeBackWithTheItems(t *testing.T) {
	each(t, func(r *rig) {
		r.pace.Lease = 10 * time.Millisecond
		r.request("r1", normal, "a", "b")
		r.request("r2", normal, "b")
		r.pass(time.Millisecond)
		want := whoOf(r.claim(normal))
		r.pass(20 * time.Millisecond)
		expired := r.expired()
		require.Len(t, expired, 1)
		assert.Equal(t, want, whoOf(expired[0]))
		require.True(t, r.restore(expired[0], true))
		require.False(t, r.restore(expired[0], true))
		r.pass(time.Millisecond)
		assert.Equal(t, want, whoOf(r.claim(normal)))
	})
}

// An attempt by asynq brings them along, each half its own.
func TestOrigins_OfAnAttempt(t *testing.T) {
	each(t, func(r *rig) {
		r.pace.Lease = 10 * time.Millisecond
		r.request("r1", normal, "a", "b")
		r.request("r2", normal, "b", "c")
		r.pass(time.Millisecond)
		b := r.claim(normal)
		require.Equal(t, []string{"a", "b", "c"}, b.Items)
		half := b
		half.ID, half.Items, half.Origins = b.ID+".1", b.Items[1:], b.Origins.Slice(1, 3)
		half.Origins = DecodeOrigins(half.Origins.Encode(), 2)
		got := r.acquire(half, 1, true)
		require.NotNil(t, got.Batch)
		assert.Equal(t, map[string]string{"b": "r1 r2", "c": "r2"}, whoOf(*got.Batch))
		r.pass(20 * time.Millisecond)
		for _, e := range r.expired() {
			if e.ID == half.ID {
				require.True(t, r.restore(e, true))
			}
		}
		assert.Equal(t, map[string]string{"b": "r1\nr2", "c": "r2"}, r.origins(normal))
	})
}

// A request whose call is not due yet waits for that call, and so does a rebound.
func TestOrigins_WaitForTheirOwnCall(t *testing.T) {
	r := simulated(t)
	r.request("now", normal, "a")
	r.ask(Absorption{Request: "embargo", Source: "me@home", Lane: normal, Items: []string{"a"}, NotBefore: epoch.Add(time.Hour)})
	r.ask(Absorption{Request: "rebound", Lane: normal, Items: []string{"a", "b"}, Rebound: time.Minute})
	r.ask(Absorption{Request: "settle", Lane: normal, Items: []string{"b"}, Settle: 2 * time.Second})
	assert.Equal(t, map[string]string{"a": "now rebound", "b": "rebound"}, whoOf(r.claim(normal)))
	r.pass(2 * time.Second)
	assert.Equal(t, map[string]string{"b": "settle"}, whoOf(r.claim(normal)))
	r.pass(time.Minute)
	assert.Equal(t, map[string]string{"a": "rebound", "b": "rebound"}, whoOf(r.claim(normal)))
	r.pass(time.Hour)
	b := r.claim(normal)
	assert.Equal(t, []Origin{{"embargo", "", "me@home"}}, b.Origins.All())
	assert.Empty(t, r.origins(normal))
	assert.Empty(t, r.items(normal))
}

// An absorb that go-redis sends twice adds nothing, nor does asynq's second try.
func TestOrigins_OfARepeat(t *testing.T) {
	r := simulated(t)
	for range 2 {
		r.request("r1", normal, "a")
	}
	r.request("r2", normal, "a")
	r.pass(31 * time.Second)
	r.request("r1", normal, "a")
	assert.Equal(t, map[string]string{"a": "r1\nr2"}, r.origins(normal))
}

// What a worker that knew no origins left behind is no origin of the next call.
func TestOrigins_LeftBehind(t *testing.T) {
	each(t, func(r *rig) {
		require.NoError(t, r.rdb.HSet(r.ctx(), keysOf("acme").origins(normal), "a", "old").Err())
		r.request("r1", normal, "b")
		r.request("r2", normal, "a", "b")
		r.pass(time.Millisecond)
		assert.Equal(t, map[string]string{"a": "r2", "b": "r1 r2"}, whoOf(r.claim(normal)))
	})
}

// They end by themselves, a day after the last request was due; purges do not.
func TestOrigins_Expire(t *testing.T) {
	r := simulated(t)
	key := keysOf("acme").origins(normal)
	ttl := func(want time.Duration) {
		t.Helper()
		assert.InDelta(t, want, r.rdb.TTL(r.ctx(), key).Val(), float64(time.Minute))
	}
	r.request("r1", normal, "a")
	ttl(24 * time.Hour)
	r.pass(20 * time.Hour)
	r.ask(Absorption{Request: "r2", Lane: normal, Items: []string{"b"}, Settle: time.Hour})
	ttl(25 * time.Hour)
	r.request("r3", normal, "c")
	ttl(25 * time.Hour)
	r.pass(25*time.Hour + 2*time.Minute)
	assert.Zero(t, r.rdb.Exists(r.ctx(), key).Val())
	b := r.claim(normal)
	assert.Equal(t, []string{"a", "b", "c"}, slices.Sorted(slices.Values(b.Items)))
	assert.Empty(t, who(b))
	assert.True(t, r.restore(b, false))
}

func TestOrigin_Line(t *testing.T) {
	for line, o := range map[string]Origin{
		"r1":                              {Request: "r1"},
		"r1 - sanity/blog":                {Request: "r1", Source: "sanity/blog"},
		"r1 " + someTrace:                 {Request: "r1", Trace: someTrace},
		"r1 " + someTrace + " my  own @s": {Request: "r1", Trace: someTrace, Source: "my  own @s"},
	} {
		assert.Equal(t, line, o.line())
		assert.Equal(t, o, parseOrigin(line))
	}
	assert.Equal(t, "r1 - a\uFFFDr2\uFFFD", Origin{Request: "r1", Source: "a\nr2\x00"}.line(), "a source begins no other origin")
}

// Whatever stands in the header of a task: it names nothing, rather than fail.
func TestDecodeOrigins(t *testing.T) {
	good := `{"origins":["r1\nr2","r3"],"origin_of":[1,0,2]}`
	o := DecodeOrigins(good, 3)
	assert.Equal(t, good, o.Encode())
	assert.JSONEq(t, `{"origins":["r3"],"origin_of":[0,1]}`, o.Slice(1, 3).Encode())
	assert.Empty(t, o.Slice(1, 2).Encode())
	assert.JSONEq(t, `{"origins":["r1"],"origin_of":[1,1]}`, DecodeOrigins(`{"origins":["r1"]}`, 2).Encode())
	assert.Empty(t, Origins{}.Slice(1, 2).Encode())
	for _, bad := range []string{
		"", "{", "[]", `{"origins":["r1","r2"]}`, `{"origin_of":[1,1,1]}`, `{"origins":["r1"],"origin_of":[1,2,1]}`,
		`{"origins":["r1"],"origin_of":[1,-1,1]}`, `{"origins":["r1"],"origin_of":[1,1]}`, `{"origins":"r1","origin_of":[1,1,1]}`,
	} {
		assert.Equal(t, Origins{}, DecodeOrigins(bad, 3), bad)
	}
	assert.Empty(t, DecodeOrigins(`{"origins":["`+strings.Repeat("x", 1000)+`","",""],"origin_of":[1,2,3]}`, 3).All())
}

// What takes the place of items is called for those who asked for them, too.
func TestOrigins_OfWhatIsCollapsed(t *testing.T) {
	r := simulated(t)
	r.request("r1", normal, "post-1", "post-2")
	r.ask(Absorption{Request: "r2", Lane: normal, Items: []string{"post-2"}, NotBefore: r.time().Add(time.Minute)})
	r.pass(time.Millisecond)
	assert.Equal(t, 2, r.collapse(normal, "posts", "post-1", "post-2"))
	assert.Equal(t, []string{"r1"}, who(r.claim(normal)))
	r.pass(time.Minute)
	assert.Equal(t, map[string]string{"post-2": "r2"}, whoOf(r.claim(normal)), "a later purge is its own item's")

	r.request("r3", normal, "posts")
	for i := range 5 {
		r.request(fmt.Sprint("r", 4+i), normal, fmt.Sprint("post-", i))
	}
	r.pass(time.Millisecond)
	assert.Equal(t, 5, r.collapse(normal, "posts", "post-0", "post-1", "post-2", "post-3", "post-4"))
	assert.Equal(t, []string{"r6", "r7", "r8", "r3"}, who(r.claim(normal)), "four, and who asked for it by name is one of them")
	assert.Empty(t, r.origins(normal))

	r.ask(Absorption{Request: "r9", Lane: normal, Items: []string{"post-1"}, Rebound: time.Minute})
	r.pass(time.Millisecond)
	assert.Equal(t, 1, r.collapse(normal, "posts", "post-1"))
	assert.Equal(t, []string{"r9"}, who(r.claim(normal)))
	assert.Equal(t, []string{"posts"}, slices.Collect(maps.Keys(r.origins(normal))), "its second purge is one of the tag in its place")
	r.pass(time.Minute)
	assert.Equal(t, []string{"r9"}, who(r.claim(normal)))
	assert.Empty(t, r.origins(normal))
}
