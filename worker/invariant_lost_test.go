package worker

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// Invariant 1: for every accepted request and each of its items there is a
// successful call that started after the request was accepted. A duplicate may
// be dropped only while its twin is pending.
func TestInvariant1_NoPurgeIsLost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		twin func(t *testing.T)
	}{
		{"twin pending", twinPending},
		{"twin claimed", twinClaimed},
		{"twin in flight", twinInFlight},
		{"twin waits for a retry", twinWaitsForRetry},
		{"twin dead", twinDead},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.twin(t)
		})
	}
}

var post = tasks.Purge{Tags: []string{"post"}}

func twinPending(t *testing.T) {
	rdb := redistest.Start(t).Client(t)
	api := answering(t, nil)
	l := newLab(t, testConfig(api.URL), rdb)
	require.NoError(t, l.lanes.Pause(t.Context(), "default", time.Hour, 0))
	l.start()
	l.request(post)
	last := l.request(post)
	eventually(t, func() bool { return l.metric("edgepurge_requests_total", "outcome", "absorbed") == 2 }, "both are absorbed")
	require.NoError(t, l.lanes.Resume(t.Context(), "default"))
	eventually(t, func() bool { return api.purged("post", last) && l.idle() }, "one call covers both")
	assert.Len(t, api.with("post"), 1)
	assert.InDelta(t, 1, l.metric("edgepurge_items_total", "outcome", "accepted"), 0)
	assert.InDelta(t, 1, l.metric("edgepurge_items_total", "outcome", "duplicate"), 0)
}

// again asks for the item once more, and wants a call that starts afterwards.
func (l *lab) again(api *api) {
	l.t.Helper()
	last := l.request(post)
	eventually(l.t, func() bool { return api.purged("post", last) }, "a call that started after the second request")
	assert.Zero(l.t, l.metric("edgepurge_items_total", "outcome", "duplicate"))
}

func twinClaimed(t *testing.T) {
	rdb := redistest.Start(t).Client(t)
	api := answering(t, nil)
	l := newLab(t, testConfig(api.URL), rdb)
	l.claimed("post") // by a worker that has yet to make the call
	l.start().again(api)
	eventually(t, func() bool { return len(l.status().InFlight) == 1 }, "the twin's call has still not been made")
	assert.Len(t, api.with("post"), 1)
}

func twinInFlight(t *testing.T) {
	rdb := redistest.Start(t).Client(t)
	gate := make(chan struct{})
	release := sync.OnceFunc(func() { close(gate) })
	var first sync.Once
	api := newAPI(t, emulator.Config{}, func(call) *reply {
		first.Do(func() { <-gate })
		return nil
	})
	t.Cleanup(release)
	l := newLab(t, testConfig(api.URL), rdb).start()
	l.request(post)
	eventually(t, func() bool { return len(api.with("post")) == 1 }, "the first call is under way")
	// The first must not hold up the others by its lock; only its own answer waits.
	api.setAnswer(nil)
	l.again(api)
	assert.Zero(t, api.with("post")[0].Status, "the first call is under way all the same")
	release()
	eventually(t, l.idle, "both are done")
	assert.Len(t, api.with("post"), 2)
}

func twinWaitsForRetry(t *testing.T) {
	rdb := redistest.Start(t).Client(t)
	api := answering(t, &reply{status: http.StatusServiceUnavailable, header: map[string]string{"Retry-After": "3600"}})
	l := newLab(t, testConfig(api.URL), rdb).start()
	l.request(post)
	eventually(t, func() bool { return len(api.with("post")) == 1 && len(l.status().InFlight) == 0 && queued(t, rdb) == 1 }, "it waits for its retry")
	api.setAnswer(nil)
	l.again(api)
	assert.Equal(t, 1, queued(t, rdb), "the retry still waits")
}

func twinDead(t *testing.T) {
	rdb := redistest.Start(t).Client(t)
	api := answering(t, &reply{status: http.StatusBadRequest})
	l := newLab(t, testConfig(api.URL), rdb).start()
	l.request(post)
	eventually(t, func() bool { return len(letters(t, rdb)) == 1 && queued(t, rdb) == 0 }, "it is dead")
	api.setAnswer(nil)
	l.again(api)
	assert.Len(t, letters(t, rdb), 1, "and the letter is still there")
}

// Many requests for few items, faults of every kind, two workers: whatever was
// accepted last for an item, a successful call started after it.
func TestInvariant1_UnderFaults(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	api := newAPI(t, emulator.Config{Seed: 1, Faults: emulator.Faults{
		Status: map[int]float64{503: 0.05, 500: 0.03, 429: 0.05, 408: 0.02}, Reset: 0.03, AfterEffect: 0.5,
		Latency: 2 * time.Millisecond, LatencyJitter: 30 * time.Millisecond, HTML: 0.5,
	}}, nil)
	c := testConfig(api.URL)
	c.Accounts[0].Budget.Per = 100 * time.Millisecond // how long a 429 pauses
	var labs []*lab
	for range 2 {
		labs = append(labs, newLab(t, c, server.Client(t)).start())
	}
	rdb := server.Client(t)
	last := map[string]time.Time{}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 300 {
		p := tasks.Purge{Priority: tasks.Priorities[random.IntN(3)]}
		for range 1 + random.IntN(20) {
			p.Tags = append(p.Tags, fmt.Sprintf("tag-%d", random.IntN(60)))
		}
		at := enqueueRequest(t, rdb, p)
		for _, tag := range p.Tags {
			last[tag] = at
		}
		if i%20 == 0 {
			time.Sleep(50 * time.Millisecond) // requests come over a while
		}
	}
	eventually(t, labs[0].idle, "the queue drains")
	assert.Empty(t, letters(t, rdb))
	assert.Empty(t, lost(api, last), "items without a call after their last request")
	statuses := map[int]int{}
	for _, c := range api.all() {
		statuses[c.Status]++
	}
	for _, status := range []int{0, http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		assert.Positive(t, statuses[status], "the test met no %d: %v", status, statuses)
	}
	assert.Greater(t, labs[0].metric("edgepurge_items_total", "outcome", "duplicate")+
		labs[1].metric("edgepurge_items_total", "outcome", "duplicate"), 0.0)
}

// lost lists the items that no call purged after they were asked for last.
func lost(api *api, last map[string]time.Time) []string {
	done := map[string]bool{}
	for _, c := range api.all() {
		for _, item := range c.Items {
			done[item] = done[item] || c.Status == http.StatusOK && c.Start.After(last[item])
		}
	}
	var lost []string
	for item := range last {
		if !done[item] {
			lost = append(lost, item)
		}
	}
	return lost
}

// Invariant 6: every accepted item is called, in the archive, or visibly held;
// every drop and every letter is counted under a named reason.
func TestInvariant6_NothingDroppedSilently(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	poison := []string{"tag-7", "tag-77", "tag-170"}
	api := newAPI(t, emulator.Config{Faults: emulator.Faults{
		PoisonTags: poison, Projects: map[string]int{"gone": 410}, Status: map[int]float64{503: 0.05},
	}}, nil)
	c := testConfig(api.URL)
	c.Projects = []Project{{Project: "prj", Account: "default"}, {Project: "gone", Account: "default"}}
	rdb := server.Client(t)
	l := newLab(t, c, rdb).start()

	last, accepted := map[string]time.Time{}, 0
	for i := range 20 {
		p := tasks.Purge{}
		for j := range 20 {
			p.Tags = append(p.Tags, fmt.Sprintf("tag-%d", (i*10+j)%200))
		}
		at := l.request(p)
		for _, tag := range p.Tags {
			last[tag] = at
		}
		accepted += len(p.Tags)
	}
	gone := items(40)
	for i := range gone {
		gone[i] = "gone-" + gone[i]
	}
	l.request(tasks.Purge{Project: "gone", Tags: gone})
	l.request(tasks.Purge{Project: "stray", Tags: []string{"stray"}})
	enqueueRaw(t, rdb, tasks.TypeRequest, []byte(`{"v":9}`))
	accepted += len(gone)

	held := tagLane("gone")
	eventually(t, func() bool {
		waiting, quiet := l.quiet()
		waiting = slices.DeleteFunc(waiting, func(s lanes.LaneStatus) bool { return s.Lane == held })
		return quiet && len(waiting) == 0 && len(l.pending(held)) > 0
	}, "all but the held project drains")

	text := ""
	byReason := map[string]int{}
	for _, letter := range letters(t, rdb) {
		text += string(letter.Payload)
		reason, _, _ := strings.Cut(letter.LastErr, ":")
		byReason[reason]++
	}
	assert.Equal(t, "gone", l.holds()[0].Scope[len("project:"):])
	waiting := strings.Join(l.pending(held), " ")
	for _, item := range gone {
		assert.NotEqual(t, strings.Contains(text, `"`+item+`"`), strings.Contains(waiting+" ", item+" "), "%s is in a letter or held", item)
	}
	for _, item := range lost(api, last) {
		assert.Contains(t, text, `"`+item+`"`, "it is in a letter")
	}
	assert.ElementsMatch(t, poison, lost(api, last), "and only these are")
	for reason, n := range byReason {
		assert.InDelta(t, n, l.metric("edgepurge_buried_total", "reason", reason), 0, reason)
	}
	assert.InDelta(t, len(letters(t, rdb)), l.metric("edgepurge_buried_total"), 0)
	assert.Equal(t, 1, byReason["project_gone"])
	assert.Equal(t, 1, byReason["no_account"])
	assert.Equal(t, 1, byReason["invalid"])
	assert.GreaterOrEqual(t, byReason["bad_request"], len(poison))
	assert.InDelta(t, accepted, l.metric("edgepurge_items_total", "outcome", "accepted")+
		l.metric("edgepurge_items_total", "outcome", "duplicate"), 0, "each item is counted once")
	assert.InDelta(t, 23, l.metric("edgepurge_requests_total"), 0)
}
