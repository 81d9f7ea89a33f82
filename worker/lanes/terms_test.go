package lanes

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/tasks"
)

// mixed absorbs four items that differ in due time and rebound.
func (r *rig) mixed() {
	r.ask(Absorption{Request: "r1", Source: "cms", Lane: normal, Items: []string{"a"}})
	r.pass(time.Second)
	r.ask(Absorption{Request: "r2", Lane: normal, Items: []string{"b"}, Rebound: time.Minute})
	r.pass(time.Second)
	r.ask(Absorption{Request: "r3", Lane: normal, Items: []string{"c"}, Rebound: time.Hour})
	r.ask(Absorption{Request: "r4", Lane: normal, Items: []string{"b"}, NotBefore: epoch.Add(time.Hour), Rebound: time.Minute})
}

// attempt acquires a batch some time later, as a task brings it.
func (r *rig) attempt(b Batch, id string) Batch {
	r.pass(10 * time.Second)
	task := Batch{ID: id, Lane: b.Lane, Items: b.Items, ClaimedAt: b.ClaimedAt, Due: b.ClaimedAt, Attempt: 1, Origins: b.Origins}
	task.DecodeTerms(b.EncodeTerms())
	return *r.acquire(task, 1, false).Batch
}

// A batch that goes back leaves the lane as it was, whatever way it went.
func TestRestore_LeavesTheLaneAsItWas(t *testing.T) {
	back := map[string]func(r *rig, b Batch){
		"429":         func(r *rig, b Batch) { require.True(r.t, r.restore(b, false)) },
		"lease ended": func(r *rig, b Batch) { r.pass(time.Minute); require.True(r.t, r.restore(r.expired()[0], true)) },
		"claim's copy": func(r *rig, b Batch) {
			got, _ := r.Claim(r.ctx(), r.pace, normal, b.ID)
			require.True(r.t, r.restore(*got.Batch, false))
		},
		"refused attempt": func(r *rig, b Batch) {
			r.finish(b, false)
			task := Batch{ID: b.ID, Lane: b.Lane, Items: b.Items, ClaimedAt: b.ClaimedAt, Due: b.ClaimedAt, Attempt: 1, Origins: b.Origins}
			task.DecodeTerms(b.EncodeTerms())
			require.True(r.t, r.restore(task, false))
		},
		"lease of an attempt ended": func(r *rig, b Batch) {
			r.finish(b, false)
			b.Attempt = 1
			require.NotNil(r.t, r.acquire(b, 1, false).Batch)
			r.pass(time.Minute)
			require.True(r.t, r.restore(r.expired()[0], true))
		},
		"429 to a later attempt": func(r *rig, b Batch) {
			r.finish(b, false)
			require.True(r.t, r.restore(r.attempt(b, b.ID), false))
		},
		"429 to what a later attempt stored": func(r *rig, b Batch) {
			r.finish(b, false)
			second := r.attempt(b, b.ID)
			r.finish(second, false)
			require.True(r.t, r.restore(r.attempt(second, b.ID+".0"), false))
		},
		"halves": func(r *rig, b Batch) {
			r.finish(b, false)
			for i, cut := range [][2]int{{0, 1}, {1, 3}} {
				half := b
				half.ID, half.Items = fmt.Sprintf("%s.%d", b.ID, i), b.Items[cut[0]:cut[1]]
				half.Terms, half.Origins = b.Terms.Slice(cut[0], cut[1]), b.Origins.Slice(cut[0], cut[1])
				require.True(r.t, r.restore(half, false))
			}
		},
	}
	for name, restore := range back {
		t.Run(name, func(t *testing.T) {
			r := simulated(t)
			r.pace.Lease = 30 * time.Second
			r.mixed()
			pending, again, origins := r.pending(normal), r.again(normal), r.origins(normal)
			b := r.claim(normal)
			require.Equal(t, []string{"a", "b", "c"}, b.Items)
			restore(r, b)
			assert.Equal(t, pending, r.pending(normal))
			assert.Equal(t, again, r.again(normal))
			b = r.claim(normal)
			assert.Equal(t, map[string]string{"a": "r1", "b": "r2", "c": "r3"}, whoOf(b))
			require.True(t, r.restore(b, false))
			assert.Len(t, r.origins(normal), len(origins))
			first := int(r.time().Sub(epoch) / time.Second)
			assert.Equal(t, []int{first, first + 3600}, r.calls("c"))
			assert.Empty(t, r.again(normal))
			assert.Empty(t, r.origins(normal))
		})
	}
}

func TestRestore_OnBothServers(t *testing.T) {
	each(t, func(r *rig) {
		r.ask(Absorption{Lane: normal, Items: []string{"a", "b"}, Rebound: time.Minute})
		r.pass(3 * time.Millisecond)
		r.ask(Absorption{Lane: normal, Items: []string{"c"}})
		pending, again := r.pending(normal), r.again(normal)
		b := r.claim(normal)
		b.Attempt = 3
		r.restore(b, false)
		assert.Equal(t, pending, r.pending(normal))
		assert.Equal(t, again, r.again(normal))
		b = r.claim(normal)
		assert.Equal(t, 3, b.Attempt)
		assert.Equal(t, []string{"a", "b", "c"}, b.Items)
		assert.Equal(t, []int{60000, 60000, 0}, b.Terms.rebounds)
		assert.Empty(t, r.failures(normal))
	})
}

// Meanwhile somebody asked for the item at the very moment of its rebound, or with a
// rebound of its own: that purge stays.
func TestRestore_KeepsWhatOthersAskedFor(t *testing.T) {
	r := simulated(t)
	r.ask(Absorption{Lane: normal, Items: []string{"a"}, Rebound: time.Minute})
	b := r.claim(normal)
	r.ask(Absorption{Lane: normal, Items: []string{"a"}, NotBefore: epoch.Add(time.Minute), Rebound: 10 * time.Second})
	r.pass(time.Second)
	require.True(t, r.restore(b, false))
	assert.Equal(t, []int{1, 60, 61, 70}, r.calls("a"))
}

// The record and the task of a worker that kept no terms are restored as it would have.
func TestRestore_OfAnOlderWorker(t *testing.T) {
	r := simulated(t)
	r.mixed()
	b := r.claim(normal)
	var record map[string]any
	k := keysOf("acme").batches()
	require.NoError(t, json.Unmarshal([]byte(r.rdb.HGet(r.ctx(), k, b.ID).Val()), &record))
	delete(record, "after")
	delete(record, "rebounds")
	text, err := json.Marshal(record)
	require.NoError(t, err)
	require.NoError(t, r.rdb.HSet(r.ctx(), k, b.ID, text).Err())
	r.pass(time.Minute)
	require.True(t, r.restore(r.expired()[0], true))
	due := epoch.UnixMilli()
	assert.Equal(t, map[string]int64{"a": due, "b": due, "c": due}, r.pending(normal))

	old := Batch{ID: "old", Lane: normal, Items: []string{"x"}, ClaimedAt: epoch, Due: epoch}
	old.DecodeTerms("")
	require.True(t, r.restore(old, false))
	assert.Equal(t, due, r.pending(normal)["x"])
}

func (r *rig) failures(lane tasks.Lane) map[string]string {
	r.t.Helper()
	all, err := r.rdb.HGetAll(r.ctx(), keysOf(r.pace.Account).failed(lane)).Result()
	require.NoError(r.t, err)
	return all
}

// fail claims a batch and gives it back after one more failed attempt, as a refused
// attempt of asynq's does.
func (r *rig) fail(lane tasks.Lane) Batch {
	r.t.Helper()
	b := r.claim(lane)
	r.finishAttempt(b)
	b.Attempt++
	require.True(r.t, r.restore(b, false))
	return b
}

func (r *rig) finishAttempt(b Batch) {
	r.t.Helper()
	_, err := r.Finish(r.ctx(), r.pace.Account, b, b.Attempt, false)
	require.NoError(r.t, err)
}

// What failed comes back at its place, before what is due later, and its attempts count on.
func TestFailed_CountsOnAtItsPlace(t *testing.T) {
	each(t, func(r *rig) {
		r.pace.MaxItems = 4
		r.absorb(normal, numbered(4)...)
		r.pass(2 * time.Millisecond)
		r.absorb(normal, "later-1", "later-2")
		for attempt := 1; attempt <= 3; attempt++ {
			b := r.fail(normal)
			assert.Equal(r.t, numbered(4), b.Items)
			assert.Equal(r.t, attempt+1, b.Attempt)
		}
		b := r.claim(normal)
		assert.Equal(r.t, 4, b.Attempt)
		assert.Contains(r.t, r.rdb.HGet(r.ctx(), keysOf("acme").batches(), b.ID).Val(), `"attempt":4`)
		r.finishAttempt(b)
		assert.Empty(r.t, r.status().InFlight, "the lease is of that attempt")
		b = r.claim(normal)
		assert.Equal(r.t, []string{"later-1", "later-2"}, b.Items)
		assert.Equal(r.t, 1, b.Attempt)
		assert.Empty(r.t, r.failures(normal))
	})
}

// An item never dies of the attempts of others: a batch holds what failed equally often.
func TestFailed_ShareNoBatchWithOthers(t *testing.T) {
	r := simulated(t)
	r.absorb(normal, "bad")
	r.fail(normal)
	r.fail(normal)
	// Due as early: between the others by name.
	r.absorb(normal, "aaa", "ccc")
	b := r.claim(normal)
	assert.Equal(t, []string{"aaa", "ccc"}, b.Items, "the oldest decides, the other keeps its place")
	assert.Equal(t, 1, b.Attempt)
	r.absorb(normal, "ddd")
	b = r.claim(normal)
	assert.Equal(t, []string{"bad"}, b.Items)
	assert.Equal(t, 3, b.Attempt)
	assert.Equal(t, []string{"ddd"}, r.claim(normal).Items)
}

func TestFailed_StringForm(t *testing.T) {
	r := simulated(t)
	r.pace.MaxItems, r.pace.MaxBytes, r.pace.Full = tasks.MaxTagStringBytes, tasks.MaxTagStringBytes, 400
	r.absorb(normal, numbered(2000)...)
	first := r.fail(normal)
	assert.Greater(t, len(first.Items), 800)
	second := r.claim(normal)
	assert.Equal(t, first.Items, second.Items)
	assert.Equal(t, 2, second.Attempt)
	third := r.claim(normal)
	assert.Equal(t, 1, third.Attempt)
	assert.NotContains(t, second.Items, third.Items[0])
	assert.Empty(t, r.failures(normal))
}

// A duplicate of what waits counts on with it; what is asked for once that is claimed
// begins at the first attempt, and meets it again when it goes back.
func TestFailed_AskedForAnew(t *testing.T) {
	r := simulated(t)
	r.absorb(normal, "a")
	r.fail(normal)
	r.pass(time.Second)
	assert.Equal(t, 1, r.absorb(urgent, "a").Duplicate)
	b := r.claim(urgent)
	assert.Equal(t, 2, b.Attempt, "more urgent, and the same purge")

	r.absorb(normal, "a")
	again := r.claim(normal)
	assert.Equal(t, 1, again.Attempt)
	r.absorb(normal, "a")
	b.Attempt++
	require.True(t, r.restore(b, false))
	require.True(t, r.restore(again, false))
	assert.Equal(t, 3, r.claim(urgent).Attempt)
}

// An entry that somebody left, a worker that knows none say, counts against no other purge.
func TestFailed_LeftBehind(t *testing.T) {
	r := simulated(t)
	r.absorb(normal, "a")
	r.fail(normal)
	require.NoError(t, r.rdb.ZRem(r.ctx(), keysOf("acme").pending(normal), "a").Err())
	r.pass(time.Second)
	r.absorb(normal, "a")
	assert.Equal(t, 1, r.claim(normal).Attempt)
	assert.Empty(t, r.failures(normal))
}

func TestFailed_IsBoundedAndExpires(t *testing.T) {
	r := simulated(t)
	r.pace.MaxItems = 1000
	key := keysOf("acme").failed(normal)
	r.absorb(normal, numbered(5500)...)
	var batches []Batch
	for range 6 {
		batches = append(batches, r.claim(normal))
	}
	for _, b := range batches {
		b.Attempt = 2
		require.True(t, r.restore(b, false))
	}
	assert.EqualValues(t, 5000, r.rdb.HLen(r.ctx(), key).Val())
	assert.Equal(t, 24*time.Hour, r.rdb.TTL(r.ctx(), key).Val())
	for i := range 6 {
		want := 2
		if i == 5 {
			want = 1
		}
		assert.Equal(t, want, r.claim(normal).Attempt, "batch %d", i)
	}
	assert.Zero(t, r.rdb.Exists(r.ctx(), key).Val())
}

func TestTerms_OfTasks(t *testing.T) {
	claimed := time.UnixMilli(1_800_000_000_000)
	b := Batch{Items: []string{"a", "b"}, ClaimedAt: claimed, Due: claimed.Add(-time.Hour), Terms: Terms{[]int{0, 5}, []int{60000}}}
	text := b.EncodeTerms()
	assert.JSONEq(t, `{"due":1799996400000,"after":[0,5],"rebounds":[60000]}`, text)
	got := Batch{Items: b.Items, ClaimedAt: claimed, Due: claimed}
	got.DecodeTerms(text)
	assert.Equal(t, b, got)
	assert.Equal(t, Terms{[]int{5}, []int{60000}}, b.Terms.Slice(1, 2))

	for _, text := range []string{``, `{`, `[]`, `{"after":[0,5]}`, `{"due":-4}`, `{"due":1900000000000,"rebounds":[60000]}`} {
		got := Batch{Items: b.Items, ClaimedAt: claimed, Due: claimed}
		got.DecodeTerms(text)
		assert.Equal(t, Batch{Items: b.Items, ClaimedAt: claimed, Due: claimed}, got, text)
	}
	for _, part := range []string{`"after":[1,2,3]`, `"rebounds":[-1,0]`, `"rebounds":[1e30]`, `"after":[0,1e15]`} {
		got := Batch{Items: b.Items, ClaimedAt: claimed, Due: claimed}
		got.DecodeTerms(`{"due":1799996400000,` + part + `}`)
		assert.Equal(t, Batch{Items: b.Items, ClaimedAt: claimed, Due: b.Due}, got, part)
	}
}
