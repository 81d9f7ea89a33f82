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
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
)

// randomItem returns a valid item that is at most most bytes long and often
// exactly that.
func randomItem(r *rand.Rand, kind tasks.Kind, most int) string {
	size := most
	if r.IntN(4) > 0 {
		size = 1 + r.IntN(most)
	}
	alphabet := []rune(`abcXYZ019:/*_-."\<>&' ` + "éß世界🎉\u2028")
	for {
		var b strings.Builder
		for b.Len() < size {
			c := alphabet[r.IntN(len(alphabet))]
			if b.Len()+utf8.RuneLen(c) > size {
				c = 'x'
			}
			b.WriteRune(c)
		}
		if item := b.String(); tasks.CheckItem(kind, item) == nil && item != tasks.AllTags {
			return item
		}
	}
}

// Invariant 3: no call breaks a limit of the API, and every item is in one. The
// emulator checks each call against Vercel's schema and answers 400 if not.
func TestInvariant3_NoCallBreaksALimit(t *testing.T) {
	t.Parallel()
	for _, batch := range []Batch{
		{Form: FormArray, MaxTags: 16, MaxSrcImages: 8},
		{Form: FormString, MaxTags: 16, MaxSrcImages: 8},
		{Form: FormArray, MaxTags: 5, MaxSrcImages: 3},
	} {
		t.Run(fmt.Sprintf("%s %d", batch.Form, batch.MaxTags), func(t *testing.T) {
			t.Parallel()
			rdb := redistest.Start(t).Client(t)
			api := answering(t, nil)
			c := testConfig(api.URL)
			c.Accounts[0].Batch = batch
			l := newLab(t, c, rdb).start()
			r := rand.New(rand.NewPCG(3, uint64(batch.MaxTags)))
			last := map[string]time.Time{}
			deadline := 60
			for i := range 12 {
				p := tasks.Purge{Priority: tasks.Priorities[i%3]}
				switch i % 4 {
				case 0:
					p.Operation = tasks.Invalidate
				case 1:
					p.DeadlineSeconds, p.Target = &deadline, tasks.Preview
				case 2:
					p.Target = tasks.Production
				}
				for range 1 + r.IntN(60) {
					p.Tags = append(p.Tags, randomItem(r, tasks.Tag, tasks.MaxTagBytes))
				}
				for range (i % 2) * r.IntN(14) {
					p.SrcImages = append(p.SrcImages, randomItem(r, tasks.SrcImage, tasks.MaxSrcImageBytes))
				}
				at := l.request(p)
				for _, item := range append(p.Tags, p.SrcImages...) {
					last[item] = at
				}
			}
			eventually(t, l.idle, "the queue drains")
			assert.Empty(t, lost(api, last))
			assert.Empty(t, letters(t, rdb))
			fullest := 0
			for _, c := range api.all() {
				require.Equal(t, http.StatusOK, c.Status)
				most := batch.MaxTags
				if strings.HasSuffix(c.Path, "src-images") {
					most = batch.MaxSrcImages
				} else if batch.Form == FormString {
					assert.LessOrEqual(t, len(strings.Join(c.Items, ",")), tasks.MaxTagStringBytes)
					most = tasks.MaxTagStringBytes
				}
				assert.LessOrEqual(t, len(c.Items), most)
				fullest = max(fullest, len(c.Items))
			}
			if batch.Form == FormString {
				assert.Greater(t, fullest, tasks.MaxTagsPerCall, "the string form is made use of")
			} else {
				assert.Equal(t, batch.MaxTags, fullest)
			}
		})
	}
}

// Invariant 4: in any window the calls of an account stay within its budget over
// the whole fleet; retries and splits count. The API allows exactly the budget.
func TestInvariant4_BudgetOverTheFleet(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	const calls, per = 20, time.Second
	poison := []string{"tag-5", "tag-300"}
	api := newAPI(t, emulator.Config{
		Limit: emulator.Limit{Calls: calls, Per: per, Mode: emulator.Sliding},
		Faults: emulator.Faults{
			Status: map[int]float64{503: 0.1}, Reset: 0.05, PoisonTags: poison, LatencyJitter: 60 * time.Millisecond,
		},
	}, nil)
	c := testConfig(api.URL)
	c.Accounts[0].Budget = Budget{Calls: calls, Per: per, InFlight: 10}
	var labs []*lab
	for range 3 {
		labs = append(labs, newLab(t, c, server.Client(t)).start())
	}
	at := labs[0].request(tasks.Purge{Tags: items(450)})
	last := map[string]time.Time{}
	for _, item := range items(450) {
		last[item] = at
	}
	last["urgent"] = labs[0].request(tasks.Purge{Tags: []string{"urgent"}, Priority: tasks.Urgent})
	eventually(t, labs[0].idle, "the queue drains")

	all := api.all()
	statuses := map[int]int{}
	for _, c := range all {
		statuses[c.Status]++
	}
	assert.Zero(t, statuses[http.StatusTooManyRequests], "%v", statuses)
	assert.Positive(t, statuses[http.StatusServiceUnavailable]+statuses[0], "there were retries: %v", statuses)
	assert.GreaterOrEqual(t, statuses[http.StatusBadRequest], 2*4, "there were splits: %v", statuses)
	assert.LessOrEqual(t, api.emulator.Stats().PeakArrived, calls)
	assert.ElementsMatch(t, poison, lost(api, last))
	assert.Len(t, letters(t, server.Client(t)), len(poison))
	// The budget is not only kept but used.
	assert.Less(t, all[len(all)-1].Start.Sub(all[0].Start), time.Duration(len(all))*per/calls*4)
	callers := 0
	for _, l := range labs {
		if l.metric("edgepurge_calls_total") > 0 {
			callers++
		}
	}
	assert.Greater(t, callers, 1, "the fleet shares the work")
}

func TestInvariant4_SpreadOverTheFleet(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	api := answering(t, nil)
	c := testConfig(api.URL)
	const rate, burst = 100, 20
	c.Projects[0].Spread = Spread{Rate: rate, Burst: burst}
	var labs []*lab
	for range 2 {
		labs = append(labs, newLab(t, c, server.Client(t)).start())
	}
	start := labs[0].request(tasks.Purge{Tags: items(200)})
	eventually(t, labs[0].idle, "the queue drains")
	// From the start on, not in any window: a call may be late on its way here.
	sum := 0
	for _, c := range api.all() {
		sum += len(c.Items)
		most := burst + tasks.MaxTagsPerCall + rate*c.Start.Sub(start).Seconds()
		assert.LessOrEqual(t, float64(sum), most)
	}
	assert.Equal(t, 200, sum)
}

// Invariant 5: one project's backlog does not starve another's, and urgent
// never waits behind bulk. Calls are held at the gate until both have their
// items pending, so that what counts is the order alone.
func TestInvariant5_NoStarving(t *testing.T) {
	t.Parallel()
	const inFlight = 2
	// behind makes a late request while a backlog is pending and returns how many
	// calls came before the last one of the late items.
	behind := func(t *testing.T, late tasks.Purge, backlog ...tasks.Purge) int {
		rdb := redistest.Start(t).Client(t)
		gate := make(chan struct{})
		release := sync.OnceFunc(func() { close(gate) })
		api := newAPI(t, emulator.Config{}, func(call) *reply {
			<-gate
			return nil
		})
		t.Cleanup(release)
		c := testConfig(api.URL)
		c.Accounts[0].Budget.InFlight = inFlight
		c.Projects[0].Linger = 0
		l := newLab(t, c, rdb).start()
		absorbed := func(n int) func() bool {
			return func() bool { return l.metric("edgepurge_requests_total", "outcome", "absorbed") == float64(n) }
		}
		least := 0
		for _, p := range backlog {
			l.request(p)
			least += len(p.Tags) / tasks.MaxTagsPerCall
		}
		eventually(t, absorbed(len(backlog)), "the backlog is pending")
		eventually(t, func() bool { return len(api.all()) == inFlight }, "its first calls")
		l.request(late)
		eventually(t, absorbed(len(backlog)+1), "the late request is pending")
		release()
		eventually(t, l.idle, "the queue drains")
		calls := api.all()
		assert.GreaterOrEqual(t, len(calls), least)
		before := -1
		for i, c := range calls {
			if slices.Contains(late.Tags, c.Items[0]) {
				before = i
			}
		}
		return before
	}
	// lanes is a backlog in ten lanes, each of which has waited longer.
	lanes := func(p tasks.Priority) []tasks.Purge {
		backlog := make([]tasks.Purge, 10)
		for deadline := range backlog {
			backlog[deadline] = tasks.Purge{Tags: items(100), Priority: p, DeadlineSeconds: &deadline}
		}
		return backlog
	}
	// crowd is a backlog in more lanes than a look at the account ever read.
	crowd := func(p tasks.Priority) []tasks.Purge {
		backlog := make([]tasks.Purge, 200)
		for deadline := range backlog {
			backlog[deadline] = tasks.Purge{Project: "a", Tags: items(1), Priority: p, DeadlineSeconds: &deadline}
		}
		return backlog
	}
	others := func(n int) []string {
		o := items(n)
		for i := range o {
			o[i] = "late-" + o[i]
		}
		return o
	}
	for _, c := range []struct {
		name    string
		late    tasks.Purge
		backlog []tasks.Purge
	}{
		{"a small project behind a big one", tasks.Purge{Project: "b", Tags: others(10)}, []tasks.Purge{{Project: "a", Tags: items(5000)}}},
		{"a project with a lane behind one with many", tasks.Purge{Project: "b", Tags: others(10)}, crowd(tasks.Normal)},
		{"an urgent one behind many urgent ones", tasks.Purge{Project: "b", Tags: others(10), Priority: tasks.Urgent}, crowd(tasks.Urgent)},
		{"urgent behind bulk", tasks.Purge{Tags: others(10), Priority: tasks.Urgent}, lanes(tasks.Bulk)},
		{"urgent behind normal", tasks.Purge{Tags: others(10), Priority: tasks.Urgent}, lanes(tasks.Normal)},
		{"normal behind bulk", tasks.Purge{Tags: others(10)}, lanes(tasks.Bulk)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			before := behind(t, c.late, c.backlog...)
			assert.GreaterOrEqual(t, before, inFlight)
			// Its claim comes next, once the wake-up has arrived, which on a loaded machine
			// takes some calls of the others. Starved, it would wait for some hundred.
			assert.LessOrEqual(t, before, 5*inFlight)
		})
	}
}
