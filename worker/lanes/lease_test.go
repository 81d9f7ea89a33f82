package lanes

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/tasks"
)

// A worker that dies costs a lease.
func TestInvariant1_ItemsOfADeadWorkerGoBack(t *testing.T) {
	each(t, func(r *rig) {
		r.pace.Lease = 30 * time.Millisecond
		r.absorb(normal, numbered(20)...)
		b := r.claim(normal)
		if r.time().Sub(b.ClaimedAt) < 25*time.Millisecond { // unless this machine stood still
			assert.Empty(r.t, r.expired())
			assert.False(r.t, r.restore(b, true), "the lease runs")
		}
		r.pass(31 * time.Millisecond)
		require.Equal(r.t, []Batch{b}, r.expired())
		assert.True(r.t, r.restore(b, true))
		assert.False(r.t, r.restore(b, true), "another worker was first")
		assert.Empty(r.t, r.expired())
		assert.Empty(r.t, r.status().InFlight)
		assert.Equal(r.t, Superseded, r.acquire(b, 2, false).Refused, "no attempt runs any more")

		second := r.claim(normal)
		assert.Equal(r.t, b.Items, second.Items, "they are the oldest")
		assert.Equal(r.t, b.Due.UnixMilli(), second.Due.UnixMilli())
		r.finish(b, true) // the dead worker was merely slow
		assert.Len(r.t, r.status().InFlight, 1)
	})
}

func TestRestore_NotAfterFinish(t *testing.T) {
	each(t, func(r *rig) {
		r.absorb(normal, "a")
		b := r.claim(normal)
		r.finish(b, true)
		assert.False(r.t, r.restore(b, true))
		assert.Empty(r.t, r.items(normal))
		r.finish(b, true) // no error
	})
}

// A 429 or a refused attempt hands items back while the lease runs, or without any.
func TestRestore_HandsBack(t *testing.T) {
	each(t, func(r *rig) {
		r.pace.Linger = time.Hour
		r.absorb(normal, numbered(16)...)
		b := r.claim(normal)
		assert.True(r.t, r.restore(b, false))
		before := r.dump()
		assert.False(r.t, r.restore(b, false), "idempotent")
		assert.Equal(r.t, before, r.dump())
		assert.Len(r.t, r.peek().Ready, 1)
		assert.ElementsMatch(r.t, b.Items, r.claim(normal).Items)

		// An attempt of asynq's that was refused: its batch is not leased.
		old := Batch{ID: "old", Lane: normal, Items: []string{"x"}, Due: r.time().Add(-2 * time.Hour)}
		assert.True(r.t, r.restore(old, false))
		assert.Equal(r.t, []string{"x"}, r.claim(normal).Items, "it has lingered long ago")
	})
}

func TestRestore_MergesWithNewerTwins(t *testing.T) {
	for _, c := range []struct {
		name  string
		twin  Absorption
		at    tasks.Lane
		again map[string]string
	}{
		{"due too", Absorption{Lane: normal}, normal, map[string]string{}},
		{"due later", Absorption{Lane: normal, Settle: 1500 * time.Millisecond}, normal, map[string]string{"a": "1800000012000"}},
		{"due later, with a rebound", Absorption{Lane: normal, Settle: time.Second, Rebound: time.Minute}, normal, map[string]string{"a": "1800000011000+60000"}},
		{"more urgent", Absorption{Lane: urgent}, urgent, map[string]string{}},
		{"less urgent", Absorption{Lane: bulk, Settle: time.Second}, normal, map[string]string{"a": "1800000011000"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := simulated(t)
			r.absorb(normal, "a")
			b := r.claim(normal)
			r.pass(10 * time.Second)
			c.twin.Items = []string{"a"}
			require.Equal(t, Absorbed{Added: 1}, r.ask(c.twin))
			require.True(t, r.restore(b, false))
			for _, lane := range []tasks.Lane{urgent, normal, bulk} {
				if lane == c.at {
					assert.Equal(t, map[string]int64{"a": epoch.UnixMilli()}, r.pending(lane))
					assert.Equal(t, c.again, r.again(lane))
				} else {
					assert.Empty(t, r.pending(lane))
					assert.Empty(t, r.again(lane))
				}
			}
			r.claim(c.at)
		})
	}
}

// The rebound counts from the call that succeeds, however often one before it was
// handed back, and how long that took.
func TestRestore_KeepsTheRebound(t *testing.T) {
	for _, pause := range []time.Duration{time.Second, 2 * time.Minute} {
		t.Run(pause.String(), func(t *testing.T) {
			r := simulated(t)
			r.pace.Lease = time.Hour
			r.ask(Absorption{Lane: normal, Items: []string{"a", "b"}, Rebound: time.Minute})
			for range 3 {
				b := r.claim(normal)
				assert.Equal(t, epoch, b.Due)
				r.pass(pause)
				require.True(t, r.restore(b, false))
			}
			first := int(3 * pause / time.Second)
			assert.Equal(t, []int{first, first + 60}, r.calls("a"))
			assert.Empty(t, r.again(normal))
		})
	}
}

func TestRestore_NoteIsKeptTenMinutes(t *testing.T) {
	r := simulated(t)
	for range 3 {
		r.absorb(normal, "a")
		require.True(t, r.restore(r.claim(normal), false))
		r.claim(normal)
		r.pass(10*time.Minute + time.Millisecond)
	}
	assert.Equal(t, int64(1), r.rdb.ZCard(r.ctx(), keysOf("acme").superseded()).Val())
}

func TestRestore_ManyItems(t *testing.T) {
	each(t, func(r *rig) {
		r.pace.MaxItems = 3000
		r.absorb(normal, numbered(2500)...)
		b := r.claim(normal)
		require.Len(r.t, b.Items, 2500)
		require.True(r.t, r.restore(b, false))
		assert.Equal(r.t, b.Items, r.claim(normal).Items)
		assert.NotNil(r.t, r.acquire(Batch{ID: "b", Lane: normal, Items: b.Items}, 2, false).Batch)
	})
}

func TestExpired_IsBounded(t *testing.T) {
	r := simulated(t)
	r.pace.MaxItems, r.pace.InFlight = 1, 1000
	r.absorb(normal, numbered(expiredMost+10)...)
	for range expiredMost + 10 {
		r.claim(normal)
	}
	r.pass(2 * time.Minute)
	assert.Len(t, r.expired(), expiredMost)
}

func TestAcquire(t *testing.T) {
	each(t, func(r *rig) {
		r.pace.Calls, r.pace.Rate, r.pace.Burst = 5, 0.001, 100
		r.absorb(normal, numbered(16)...)
		b := r.claim(normal)
		r.finish(b, false)
		b.DeadlineSeconds = 45
		got := r.acquire(b, 2, false)
		require.NotNil(r.t, got.Batch)
		assert.Equal(r.t, b.Items, got.Batch.Items)
		assert.Equal(r.t, 45, got.Batch.DeadlineSeconds)
		assert.Equal(r.t, b.Due.UnixMilli(), got.Batch.Due.UnixMilli())

		again := r.acquire(b, 2, false)
		assert.Equal(r.t, got, again, "asked twice, one attempt")
		assert.Equal(r.t, int64(2), r.status().Used)
		left, err := r.rdb.HGet(r.ctx(), keysOf("acme").spread("prj"), "tokens").Float64()
		require.NoError(r.t, err)
		assert.InDelta(r.t, 100-2*16, left, 0.1, "both attempts, each once")
	})
}

// asynq may run one attempt a second time, when the answer to the first could
// not be written down. The lease must last for that call too.
func TestAcquire_AgainExtendsTheLease(t *testing.T) {
	r := simulated(t)
	r.pace.Lease = 10 * time.Second
	b := Batch{ID: "b", Lane: normal, Items: []string{"x"}, DeadlineSeconds: tasks.NoDeadline}
	require.NotNil(t, r.acquire(b, 2, false).Batch)
	r.pass(8 * time.Second)
	require.NotNil(t, r.acquire(b, 2, false).Batch)
	r.pass(8 * time.Second)
	assert.Empty(t, r.expired())
	r.pass(2 * time.Second)
	assert.Len(t, r.expired(), 1)
}

// A worker that was slow to say that its attempt ended does not end the next one.
func TestFinish_OfAnEarlierAttempt(t *testing.T) {
	each(t, func(r *rig) {
		r.pace.Calls = 5
		r.absorb(normal, "a")
		b := r.claim(normal)
		require.NotNil(r.t, r.acquire(b, 2, false).Batch)
		r.finish(b, true)
		assert.Len(r.t, r.status().InFlight, 1)
		_, err := r.Finish(r.ctx(), "acme", b, 2, true)
		require.NoError(r.t, err)
		assert.Empty(r.t, r.status().InFlight)
		assert.Equal(r.t, int64(2), r.status().Used)
	})
}

// The note on a replayed dead letter's first death must not stop the replay.
func TestAcquire_Replay(t *testing.T) {
	r := simulated(t)
	r.absorb(normal, "a")
	b := r.claim(normal)
	require.True(t, r.restore(b, false))
	assert.Equal(t, Superseded, r.acquire(b, 1, false).Refused)
	r.pass(10*time.Minute + time.Millisecond)
	assert.NotNil(t, r.acquire(b, 1, false).Batch)
}

func TestVerdict(t *testing.T) {
	r := simulated(t)
	take := func(batch string) bool {
		found, err := r.TakeVerdict(r.ctx(), "acme", batch)
		require.NoError(t, err)
		return found
	}
	require.NoError(t, r.NoteVerdict(r.ctx(), "acme", "b1"))
	assert.True(t, take("b1"))
	assert.False(t, take("b1"), "a replay makes its call")

	require.NoError(t, r.NoteVerdict(r.ctx(), "acme", "never enqueued"))
	r.pass(25 * time.Hour)
	require.NoError(t, r.NoteVerdict(r.ctx(), "acme", "b2"))
	assert.False(t, take("never enqueued"), "it is not kept for ever")
	assert.True(t, take("b2"))
}

// A record that cannot be read costs itself alone.
func TestExpired_ListsTheOthers(t *testing.T) {
	r := simulated(t)
	for i := range 3 {
		r.absorb(normal, fmt.Sprint("tag-", i))
		r.pass(time.Second)
		r.claim(normal)
	}
	k := keysOf(r.pace.Account)
	ids := r.rdb.HKeys(r.ctx(), k.batches()).Val()
	require.Len(t, ids, 3)
	require.NoError(t, r.rdb.HSet(r.ctx(), k.batches(), ids[1], "no record").Err())
	r.pass(time.Hour)
	expired, err := r.Expired(r.ctx(), r.pace.Account)
	require.ErrorContains(t, err, ids[1])
	assert.Len(t, expired, 2)
}
