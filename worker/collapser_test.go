package worker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redisacl"
	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

func collapsing(url string, rules ...Collapse) Config {
	c := testConfig(url)
	c.Projects[0].Collapse = rules
	return c
}

var manyTags = Collapse{Match: "tag-*", Over: 200, To: "tags"}

// put absorbs tags as the intake does.
func (l *lab) put(p tasks.Purge) {
	l.t.Helper()
	require.NoError(l.t, l.intake.ProcessTask(l.t.Context(), requestTask(l.t, filled(p))))
}

// Ten thousand tags that are asked for at once go out as one.
func TestCollapser_BeforeTheFirstCall(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		api := answering(t, nil)
		l := newLab(t, collapsing(api.URL, manyTags), rdb).start()
		at := l.request(tasks.Purge{Tags: append(items(10_000), "home")})
		eventually(t, func() bool { return api.purged("tags", at) && api.purged("home", at) && l.idle() }, "it is purged")
		sent := 0
		for _, c := range api.all() {
			sent += len(c.Items)
			assert.True(t, slices.Contains(c.Items, "tags") || slices.Equal(c.Items, []string{"home"}), "%v", c.Items)
		}
		// The tags arrive by the thousand; so many may come between a look and its claim.
		assert.LessOrEqual(t, sent, 10*tasks.MaxTagsPerCall+1)
		collapsed := l.metric("edgepurge_collapsed_items_total", "project", "*", "to", "tags")
		assert.GreaterOrEqual(t, collapsed, 10_000.0-10*tasks.MaxTagsPerCall)
		assert.True(t, l.logs.has(`"rule":"tag-* (over 200)","items":`))
		assert.True(t, l.logs.has(`"project":"prj"`))
	})
}

// While a hold, the budget or the spread lets nothing go, backlogs grow: they are
// collapsed all the same.
func TestCollapser_WhileNothingMayGo(t *testing.T) {
	for name, block := range map[string]func(*lab){
		"account held": func(l *lab) { l.holdBy(lanes.ScopeAccount) },
		"project held": func(l *lab) { l.holdBy(lanes.ScopeProject("prj")) },
		"paused":       func(l *lab) { require.NoError(l.t, l.lanes.Pause(l.t.Context(), "default", time.Hour, 0)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
				api := answering(t, nil)
				l := newLab(t, collapsing(api.URL, manyTags), rdb)
				l.put(tasks.Purge{Tags: []string{"first"}})
				block(l)
				l.start()
				l.put(tasks.Purge{Tags: items(200)})
				l.put(tasks.Purge{Tags: items(201), Priority: tasks.Bulk})
				time.Sleep(10 * time.Millisecond)
				assert.Len(t, l.pending(tagLane("prj")), 201, "not more than 200 match: those of the bulk are pending here")
				l.put(tasks.Purge{Tags: append(items(200), "tag-a", "tag-b")})
				eventually(t, func() bool {
					return slices.Equal(l.pending(tagLane("prj")), []string{"tags", "first"}) ||
						slices.Equal(l.pending(tagLane("prj")), []string{"first", "tags"})
				}, "they are collapsed")
				assert.Empty(t, api.all())
			})
		})
	}
}

func (l *lab) holdBy(scope string) {
	l.t.Helper()
	_, err := l.lanes.Hold(l.t.Context(), "default", scope, "forbidden", "no", lanes.Batch{ID: "b", Lane: tagLane("prj")}, 1)
	require.NoError(l.t, err)
}

// A receipt counts each tag that was asked for.
func TestCollapser_Receipts(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		l := newLab(t, collapsing(newAPI(t, emulator.Config{}, nil).URL, manyTags, Collapse{Match: "other-*", Age: time.Hour, To: "*"}), rdb)
		l.holdBy(lanes.ScopeAccount)
		l.start()
		l.follow("r1", tasks.Purge{Tags: append(items(300), "other-1"), Rebound: 10 * time.Millisecond})
		l.follow("r2", tasks.Purge{Tags: items(250), SrcImages: []string{"/a.png"}, Priority: tasks.Urgent})
		eventually(t, func() bool { return l.metric("edgepurge_collapsed_items_total") > 200 }, "they are collapsed")
		assert.Zero(t, l.ended("r1"))
		_, err := l.lanes.Release(t.Context(), "default", lanes.ScopeAccount)
		require.NoError(t, err)
		l.ends("r1", ended{purged: 301})
		l.ends("r2", ended{purged: 251})
	})
}

// searches counts the commands of looks.
type searches struct{ backlogs, pages atomic.Int64 }

func (*searches) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *searches) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		args := cmd.Args()
		switch {
		case cmd.Name() == "zscan":
			h.pages.Add(1)
		case cmd.Name() == "evalsha" && len(args) == 4 && strings.Contains(fmt.Sprint(args[3]), ":pending:prj"):
			h.backlogs.Add(1)
		}
		return next(ctx, cmd)
	}
}

func (*searches) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// A search in vain is not repeated at once, however often it is asked for; one that
// replaced a good part of what is due is, for as much may have come meanwhile.
func TestCollapser_BoundsItsSearches(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	hook := &searches{}
	rdb.AddHook(hook)
	l := newLab(t, collapsing(nowhere, manyTags), rdb)
	c := l.pacers["default"].collapser
	look := func() {
		t.Helper()
		done, err := c.look(t.Context(), tagLane("prj"))
		require.NoError(t, err)
		assert.True(t, done)
	}
	others := make([]string, 500)
	for i := range others {
		others[i] = fmt.Sprintf("other-%d", i)
	}
	l.put(tasks.Purge{Tags: items(200)})
	look()
	assert.Zero(t, hook.pages.Load(), "200 are not over 200, whatever they are")
	l.put(tasks.Purge{Tags: others})
	for range 5 {
		look()
	}
	assert.EqualValues(t, 1, hook.pages.Load(), "once a second at most")
	l.put(tasks.Purge{Tags: items(900)})
	look()
	assert.EqualValues(t, 1, hook.pages.Load())
	assert.Len(t, l.pending(tagLane("prj")), 1400)

	c.rests[tagLane("prj").ID()] = time.Now()
	look()
	assert.Len(t, l.pending(tagLane("prj")), 501)
	assert.EqualValues(t, 3+1, hook.pages.Load(), "found, replaced, and looked for once more")
	assert.EqualValues(t, 9, hook.backlogs.Load(), "one a round")

	require.NoError(t, rdb.FlushAll(t.Context()).Err())
	clear(c.rests)
	for range 3 {
		l.put(tasks.Purge{Tags: items(400)})
		look()
		assert.Equal(t, []string{"tags"}, l.pending(tagLane("prj")))
	}
}

// A look that has no time left leaves the rest to the next one, and the lane alone.
func TestCollapser_Unfinished(t *testing.T) {
	rdb := redistest.Start(t).Client(t)
	l := newLab(t, collapsing(nowhere, manyTags), rdb)
	c := l.pacers["default"].collapser
	l.put(tasks.Purge{Tags: items(5000)})
	lane := tagLane("prj")
	rules := c.account.rules(lane)
	more, err := c.round(t.Context(), lane, rules, time.Now())
	require.NoError(t, err)
	assert.True(t, more, "there is more to do")
	n := l.metric("edgepurge_collapsed_items_total")
	assert.Positive(t, n)
	assert.Len(t, l.pending(lane), 5000-int(n)+1, "every one of them is covered at any time")
	done, err := c.look(t.Context(), lane)
	require.NoError(t, err)
	assert.True(t, done)
	assert.Equal(t, []string{"tags"}, l.pending(lane))
	assert.InDelta(t, 5000, l.metric("edgepurge_collapsed_items_total"), 0)

	require.True(t, c.begin(lane)) // as if the sweep were at it
	batch, wait, err := l.pacers["default"].claim(t.Context())
	require.NoError(t, err)
	assert.Nil(t, batch, "not before it is done")
	assert.LessOrEqual(t, wait, stillLooking)
	c.end(lane)
	require.NoError(t, c.all(t.Context()))
	batch, _, err = l.pacers["default"].claim(t.Context())
	require.NoError(t, err)
	require.NotNil(t, batch)
	assert.Equal(t, []string{"tags"}, batch.Items)
}

// By age: only the old ones' rule fires, and takes the young ones that match with them.
func TestCollapser_Age(t *testing.T) {
	rdb, server := redistest.Mini(t)
	l := newLab(t, collapsing(nowhere, Collapse{Match: "tag-*", Age: time.Minute, To: "tags"}), rdb)
	c := l.pacers["default"].collapser
	server.SetTime(epoch)
	l.put(tasks.Purge{Tags: []string{"tag-1", "other"}})
	look := func() []string {
		clear(c.rests)
		_, err := c.look(t.Context(), tagLane("prj"))
		require.NoError(t, err)
		return l.pending(tagLane("prj"))
	}
	server.SetTime(epoch.Add(time.Minute - time.Millisecond))
	l.put(tasks.Purge{Tags: []string{"tag-2"}})
	assert.Len(t, look(), 3)
	server.SetTime(epoch.Add(time.Minute))
	assert.Equal(t, []string{"other", "tags"}, look())
	server.SetTime(epoch.Add(time.Hour))
	l.put(tasks.Purge{Tags: []string{"tag-3"}})
	assert.Equal(t, []string{"other", "tags", "tag-3"}, look(), "what is old does not match")
}

// Of a lane without rules nobody looks, and it has its streaks; one with rules is looked
// at before each claim.
func TestCollapser_OnlyLanesWithRules(t *testing.T) {
	c := collapsing(nowhere, manyTags)
	plain := DefaultProject()
	plain.Project = "plain"
	c.Projects = append(c.Projects, plain)
	rdb, _ := redistest.Mini(t)
	hook := &searches{}
	rdb.AddHook(hook)
	l := newLab(t, c, rdb)
	p := l.pacers["default"]
	a := p.account
	image := tagLane("prj")
	image.Kind = tasks.SrcImage
	assert.Empty(t, a.rules(image), "rules are for tags")
	assert.Empty(t, a.rules(tagLane("plain")))
	assert.Len(t, a.rules(tagLane("prj")), 1)
	for project, want := range map[string]bool{"plain": true, "prj": false} {
		p.streak.end()
		l.put(tasks.Purge{Project: project, Tags: items(40)})
		<-time.After(30 * time.Millisecond) // linger
		batch, _, err := p.claim(t.Context())
		require.NoError(t, err)
		require.NotNil(t, batch)
		_, goesOn := p.streak.next()
		assert.Equal(t, want, goesOn, project)
		require.NoError(t, rdb.FlushAll(t.Context()).Err())
	}
	assert.EqualValues(t, 1, hook.backlogs.Load())
	assert.Zero(t, hook.pages.Load())

	assert.True(t, a.hasRules())
	c.Projects[0].Collapse = nil
	l = newLab(t, c, rdb)
	assert.False(t, l.pacers["default"].account.hasRules())
	before := hook.backlogs.Load()
	l.put(tasks.Purge{Tags: items(400)})
	require.NoError(t, l.sweep.collapses(t.Context()))
	assert.Equal(t, before, hook.backlogs.Load())
	c.Projects[1].Collapse = []Collapse{manyTags}
	assert.True(t, newLab(t, c, rdb).pacers["default"].account.hasRules())
}

// The rests do not pile up for lanes that are no more.
func TestCollapser_ForgetsRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &collapser{rests: map[string]time.Time{}}
		c.rest(tagLane("a"), time.Second)
		c.rest(tagLane("b"), time.Minute)
		assert.True(t, c.isResting(tagLane("a")))
		time.Sleep(time.Second)
		assert.False(t, c.isResting(tagLane("a")))
		assert.True(t, c.isResting(tagLane("b")))
		c.rest(tagLane("c"), time.Second)
		assert.Len(t, c.rests, 2)
	})
}

// The rights that docs/redis.md names suffice.
func TestCollapser_Rights(t *testing.T) {
	server := redistest.Start(t)
	args := []any{"ACL", "SETUSER", "worker", "reset", "on", ">secret"}
	for _, rule := range redisacl.Worker.With(redisacl.Collapsing).Rules() {
		args = append(args, rule)
	}
	require.NoError(t, server.Client(t).Do(t.Context(), args...).Err())
	options, err := redis.ParseURL(server.URL())
	require.NoError(t, err)
	options.Username, options.Password = "worker", "secret"
	rdb := redis.NewClient(options)
	t.Cleanup(func() { _ = rdb.Close() })
	l := newLab(t, collapsing(nowhere, manyTags), rdb)
	l.put(tasks.Purge{Tags: items(1000)})
	require.NoError(t, l.sweep.collapses(t.Context()))
	found := server.Client(t).ZRange(t.Context(), "edgepurge:{default}:pending:"+tagLane("prj").ID(), 0, -1).Val()
	assert.Equal(t, []string{"tags"}, found)
}

// Every pair of an entry and what its rules put in the place of others shows from the start.
func TestCollapser_MetricShowsAsZero(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	c := collapsing(nowhere, manyTags, Collapse{Over: 1000, To: "*"})
	l := newLab(t, c, rdb)
	for _, to := range []string{"tags", "*"} {
		assert.Zero(t, l.metric("edgepurge_collapsed_items_total", "project", "*", "to", to))
	}
	assert.Equal(t, []string{"zscan"}, slices.DeleteFunc(l.rights().Commands, func(command string) bool {
		return slices.Contains(newLab(t, testConfig(nowhere), rdb).rights().Commands, command)
	}), "rights that rules need")
}
