package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/edgepurge/edgepurge/internal/receipt"
	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

var epoch = time.UnixMilli(1_800_000_000_000)

func ago(seconds int) time.Time { return epoch.Add(-time.Duration(seconds) * time.Second) }

// ready is a lane that has been ready, and whose project was last served, that many seconds ago.
func ready(project string, p tasks.Priority, since, served int) lanes.Ready {
	return lanes.Ready{Lane: tagLane(project).With(p), Since: ago(since), ProjectServed: ago(served)}
}

func TestOrder(t *testing.T) {
	never := ready("never", tasks.Normal, 1, 0)
	never.ProjectServed = time.Time{}
	for _, c := range []struct {
		name string
		view []lanes.Ready
		want []string
	}{
		{"nothing", nil, []string{}},
		{
			"urgent first, however late it came",
			[]lanes.Ready{ready("a", tasks.Normal, 50, 50), ready("b", tasks.Bulk, 500, 500), ready("c", tasks.Urgent, 0, 0)},
			[]string{"c urgent", "b bulk", "a normal"},
		},
		{
			"the project that was served longest ago",
			[]lanes.Ready{ready("a", tasks.Normal, 9, 1), ready("b", tasks.Normal, 1, 2), never},
			[]string{"never normal", "b normal", "a normal"},
		},
		{
			"urgent ones by the same rule",
			[]lanes.Ready{ready("a", tasks.Urgent, 9, 1), ready("b", tasks.Urgent, 1, 2)},
			[]string{"b urgent", "a urgent"},
		},
		{
			"bulk last while it is patient",
			[]lanes.Ready{ready("a", tasks.Bulk, 59, 500), ready("b", tasks.Normal, 0, 0)},
			[]string{"b normal", "a bulk"},
		},
		{
			"bulk competes after a minute",
			[]lanes.Ready{ready("b", tasks.Normal, 0, 0), ready("a", tasks.Bulk, 60, 500)},
			[]string{"a bulk", "b normal"},
		},
		{
			"and is not preferred then",
			[]lanes.Ready{ready("a", tasks.Bulk, 60, 1), ready("b", tasks.Normal, 0, 2)},
			[]string{"b normal", "a bulk"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := []string{}
			for _, lane := range order(lanes.View{Now: epoch, Ready: c.view}) {
				got = append(got, lane.Project+" "+string(lane.Priority))
			}
			assert.Equal(t, c.want, got)
		})
	}
}

func TestOrder_WithinAProjectTheLaneThatWaitsLongest(t *testing.T) {
	short, long := ready("a", tasks.Normal, 1, 3), ready("a", tasks.Normal, 2, 3)
	long.Lane.Operation = tasks.Invalidate
	got := order(lanes.View{Now: epoch, Ready: []lanes.Ready{short, long}})
	assert.Equal(t, []tasks.Lane{long.Lane, short.Lane}, got)
}

// Else an urgent lane of the project that failed would take every probe.
func TestOrder_AProbePrefersAnotherProject(t *testing.T) {
	bad, good := ready("bad", tasks.Urgent, 50, 50), ready("good", tasks.Bulk, 0, 0)
	view := lanes.View{Now: epoch, Ready: []lanes.Ready{bad, good}, Failed: "bad"}
	assert.Equal(t, []tasks.Lane{good.Lane, bad.Lane}, order(view))
	view.Failed = ""
	assert.Equal(t, []tasks.Lane{bad.Lane, good.Lane}, order(view))
}

func TestOrder_StableAndLeavesTheViewAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var view lanes.View
		view.Now = epoch
		for i := range rapid.IntRange(0, 30).Draw(t, "n") {
			r := ready(fmt.Sprintf("p%d", i), rapid.SampledFrom(tasks.Priorities[:]).Draw(t, "priority"),
				rapid.IntRange(0, 3).Draw(t, "since")*30, rapid.IntRange(0, 2).Draw(t, "served"))
			view.Ready = append(view.Ready, r)
		}
		before := slices.Clone(view.Ready)
		first := order(view)
		if !slices.Equal(before, view.Ready) {
			t.Fatal("the view was changed")
		}
		if len(first) != len(before) {
			t.Fatalf("%d lanes became %d", len(before), len(first))
		}
		// What is equal in every respect stays in the order of the view.
		place := map[tasks.Lane]int{}
		for i, lane := range first {
			place[lane] = i
		}
		for i := range before {
			for j := i + 1; j < len(before); j++ {
				a, b := before[i], before[j]
				if a.Lane.Priority == b.Lane.Priority && a.Since.Equal(b.Since) && a.ProjectServed.Equal(b.ProjectServed) &&
					place[a.Lane] > place[b.Lane] {
					t.Fatalf("lanes %d and %d changed places", i, j)
				}
			}
		}
	})
}

// play serves the first of the order once a second, as claims do, and notes in
// which rounds each lane was served. Every lane is always ready.
func play(all []lanes.Ready, rounds int) map[tasks.Lane][]int {
	served := map[tasks.Lane][]int{}
	now := epoch
	for round := range rounds {
		first := order(lanes.View{Now: now, Ready: all})[0]
		served[first] = append(served[first], round)
		for i := range all {
			if all[i].Lane == first {
				all[i].Since = now
			}
			if all[i].Lane.Project == first.Project {
				all[i].ProjectServed = now
			}
		}
		now = now.Add(time.Second)
	}
	return served
}

func longestGap(rounds []int, end int) int {
	gap, last := 0, 0
	for _, r := range append(slices.Clone(rounds), end) {
		gap, last = max(gap, r-last), r
	}
	return gap
}

func TestOrder_ManyLanesDoNotStarveOne(t *testing.T) {
	const rounds = 1000
	all := []lanes.Ready{ready("small", tasks.Normal, 0, 0)}
	for i := range 50 {
		big := ready("big", tasks.Normal, 100, 100)
		big.Lane.DeadlineSeconds = i
		all = append(all, big)
	}
	served := play(all, rounds)
	small := served[tagLane("small")]
	assert.InDelta(t, rounds/2, len(small), 1)
	assert.LessOrEqual(t, longestGap(small, rounds), 2)
	for _, r := range all[1:] {
		assert.InDelta(t, rounds/2/50, len(served[r.Lane]), 1, "the lanes of one project share its turns")
	}
}

func TestOrder_BulkIsNotStarved(t *testing.T) {
	const rounds = 1000
	var all []lanes.Ready
	for i := range 10 {
		all = append(all, ready(fmt.Sprintf("p%d", i), tasks.Normal, 0, 0))
	}
	lone, beside := ready("bulk", tasks.Bulk, 0, 0), ready("p3", tasks.Bulk, 0, 0)
	served := play(append(all, lone, beside), rounds)
	for _, bulk := range []lanes.Ready{lone, beside} {
		got := served[bulk.Lane]
		require.NotEmpty(t, got)
		assert.GreaterOrEqual(t, got[0], 60, "it waits a minute behind the normal ones")
		// A minute of patience and one turn of every project.
		assert.LessOrEqual(t, longestGap(got, rounds), 60+12)
	}
}

func TestPacer_WakeNeverBlocks(t *testing.T) {
	p := &pacer{wakeups: make(chan struct{}, 1)}
	for range 3 {
		p.wake()
	}
	assert.Len(t, p.wakeups, 1)
}

// A long backlog finishes a call and claims the next one in one exchange. What
// must be written down besides is, all the same.
func TestPacer_AStreakSettlesReceipts(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	api := newAPI(t, emulator.Config{}, nil)
	l := newLab(t, testConfig(api.URL), rdb).start()
	p := filled(tasks.Purge{Track: true})
	for i := range 20 * tasks.MaxTagsPerCall {
		p.Tags = append(p.Tags, fmt.Sprintf("tag-%d", i))
	}
	require.NoError(t, rdb.HSet(t.Context(), receipt.Key(p.ID), receipt.Total, len(p.Tags)).Err())
	l.request(p)
	eventually(t, func() bool {
		n, err := rdb.HGet(t.Context(), receipt.CountsKey("default", p.ID), receipt.Purged).Int()
		return err == nil && n == len(p.Tags)
	}, "all items are counted as purged")
}

// unfinished refuses a finish in a pipeline once.
type unfinished struct{ left atomic.Int64 }

func (*unfinished) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (*unfinished) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (h *unfinished) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if cmds[0].Name() != "evalsha" || h.left.Add(-1) < 0 {
			return next(ctx, cmds)
		}
		err := next(ctx, cmds[1:])
		cmds[0].SetErr(io.ErrUnexpectedEOF)
		return errors.Join(err, io.ErrUnexpectedEOF)
	}
}

// A claim that went through beside a finish that did not is called all the same,
// and the finish is done again: no lease must end first.
func TestPacer_AFinishThatFailsBesideAClaim(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	hook := &unfinished{}
	hook.left.Store(3)
	rdb.AddHook(hook)
	api := newAPI(t, emulator.Config{}, nil)
	l := newLab(t, testConfig(api.URL), rdb).start()
	p := filled(tasks.Purge{})
	for i := range 40 * tasks.MaxTagsPerCall {
		p.Tags = append(p.Tags, fmt.Sprintf("tag-%d", i))
	}
	l.request(p)
	eventually(t, l.idle, "everything is purged and nothing is leased")
	assert.Negative(t, hook.left.Load(), "finishes were refused")
	calls := len(api.all())
	assert.Equal(t, 40, calls, "no call was repeated")
}

// A look at an account takes its hint away only when nothing of it is pending or held:
// the command line finds accounts by their hints.
func TestPacer_KeepsTheHintOfWhatWaits(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		l := newLab(t, testConfig(answering(t, nil).URL), rdb)
		p := l.pacers["default"]
		hinted := func() bool {
			_, err := p.serve(t.Context())
			require.NoError(t, err)
			accounts, err := l.lanes.Accounts(t.Context())
			require.NoError(t, err)
			return slices.Contains(accounts, "default")
		}
		require.NoError(t, l.lanes.SetDue(t.Context(), "default", 0))
		assert.False(t, hinted(), "nothing is there")

		_, err := l.lanes.Hold(t.Context(), "default", lanes.ScopeAccount, "forbidden", "no", lanes.Batch{ID: "b"}, 1)
		require.NoError(t, err)
		assert.True(t, hinted(), "held")
		require.NoError(t, rdb.Del(t.Context(), lanes.KeyDue).Err())
		assert.True(t, hinted(), "held, and the hint was lost")
		_, err = l.lanes.Release(t.Context(), "default", lanes.ScopeAccount)
		require.NoError(t, err)
		assert.False(t, hinted(), "released")

		lane := tagLane("prj")
		_, err = l.lanes.Absorb(t.Context(), p.account.pace(lane), lanes.Absorption{
			Request: "r", Lane: lane, Items: []string{"a"}, NotBefore: time.Now().Add(time.Hour),
		})
		require.NoError(t, err)
		assert.True(t, hinted(), "pending, for later")
	})
}

// Lanes that were emptied behind the pacer's back hide no other of their project: a look
// shows two of each.
func TestPacer_EmptiedLanesHideNone(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		api := newAPI(t, emulator.Config{}, nil)
		c := testConfig(api.URL)
		c.Projects[0].Linger = 0
		l := newLab(t, c, rdb)
		put := func(item string, lane tasks.Lane) {
			_, err := l.lanes.Absorb(t.Context(), l.accounts["default"].pace(lane), lanes.Absorption{
				Request: item + lane.ID(), Lane: lane, Items: []string{item},
			})
			require.NoError(t, err)
		}
		var last tasks.Lane
		for i, item := range []string{"a", "b", "c"} {
			lane := tagLane("prj")
			lane.DeadlineSeconds = i + 1
			put(item, lane)
			last = lane
			if item == "c" {
				break
			}
			urgent := lane.With(tasks.Urgent) // the item moves up, and another worker calls it
			put(item, urgent)
			got, err := l.lanes.Claim(t.Context(), l.accounts["default"].pace(urgent), urgent, "elsewhere-"+item)
			require.NoError(t, err)
			require.NotNil(t, got.Batch, got.Refused)
		}
		p := l.pacers["default"]
		for range 5 {
			wait, err := p.serve(t.Context())
			require.NoError(t, err)
			if wait > time.Second {
				break
			}
		}
		p.calls.Wait()
		assert.Empty(t, l.pending(last))
	})
}
