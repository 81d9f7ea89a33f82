package worker

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// note adds a call that ended at a second.
func (r *recent) note(id string, unix int64, verdict Verdict, items ...string) {
	r.add("acme", &lanes.Batch{Lane: tagLane("prj"), Items: items}, 1, &Judgment{Verdict: verdict}, 200, id, time.Unix(unix, 0), time.Millisecond)
}

func TestRecent_KeepsTheNewest(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 99, 100, 101, 250} {
		r := newRecent(nil)
		for i := range n {
			r.note(fmt.Sprint(i), 1000, Done, "a", "b")
		}
		calls, seconds := r.take()
		require.Len(t, calls, min(n, lanes.RecentCalls))
		for i, c := range calls {
			assert.Equal(t, fmt.Sprint(n-len(calls)+i), c.RequestID, "of %d: the newest, in their order", n)
		}
		assert.Equal(t, []lanes.Second{{Unix: 1000, Calls: n, Items: 2 * n}}, seconds, "the figures count those too that are not shown")
		calls, seconds = r.take()
		assert.Empty(t, calls)
		assert.Empty(t, seconds)
	}
}

func TestRecent_CountsSeconds(t *testing.T) {
	t.Parallel()
	r := newRecent(nil)
	r.note("", 1000, Done, "a")
	r.note("", 1001, Dead, "a", "b")
	r.note("", 1000, TryAgain, "c") // late
	r.note("", 999, Done, "d")      // later than all
	_, seconds := r.take()
	assert.Equal(t, []lanes.Second{{Unix: 1000, Calls: 3, Failed: 1, Items: 3}, {Unix: 1001, Calls: 1, Failed: 1, Items: 2}}, seconds)

	for at := range int64(1000) { // Redis hangs
		r.note("", at, Done, "a")
	}
	_, seconds = r.take()
	require.Len(t, seconds, recentSeconds)
	assert.Equal(t, int64(999), seconds[recentSeconds-1].Unix)
	assert.Equal(t, int64(990), seconds[0].Unix)
}

// writes counts the commands that change what people look at.
type writes struct {
	mu   sync.Mutex
	n    int
	fail error
}

func (w *writes) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (w *writes) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (w *writes) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		for _, c := range commands {
			if c.Name() == "lpush" && c.Args()[1] == lanes.KeyCalls {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.n++
				if w.fail != nil {
					return w.fail
				}
				break
			}
		}
		return next(ctx, commands)
	}
}

func (w *writes) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.n
}

// An idle worker writes nothing; a busy one about once a second, whatever the
// number of calls; what cannot be written is dropped.
func TestRecent_WritesSeldom(t *testing.T) {
	t.Parallel()
	rdb, _ := redistest.Mini(t)
	w := &writes{}
	rdb.AddHook(w)
	l := lanes.New(rdb)
	r := newRecent(l)
	ctx, stop := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() { r.run(ctx) })
	time.Sleep(50 * time.Millisecond)
	assert.Zero(t, w.count(), "idle")

	shown := func() int {
		calls, _, err := l.Recent(t.Context())
		require.NoError(t, err)
		return len(calls)
	}
	start := time.Now()
	r.note("first", start.Unix(), Done, "a")
	eventually(t, func() bool { return shown() == 1 }, "the first is written at once")
	assert.Less(t, time.Since(start), recentEvery)
	for range 60 {
		r.note("more", start.Unix(), Done, "a")
	}
	eventually(t, func() bool { return shown() == 61 }, "the others follow")
	assert.GreaterOrEqual(t, time.Since(start), recentEvery)
	assert.Equal(t, 2, w.count())

	w.mu.Lock()
	w.fail = assert.AnError
	w.mu.Unlock()
	r.note("lost", start.Unix(), Done, "a")
	eventually(t, func() bool { return w.count() == 3 }, "the write that fails")
	w.mu.Lock()
	w.fail = nil
	w.mu.Unlock()
	r.note("kept", start.Unix(), Done, "a")
	eventually(t, func() bool { return shown() == 62 }, "the next call is shown")
	calls, _, err := l.Recent(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "kept", calls[0].RequestID)
	assert.Equal(t, "more", calls[1].RequestID, "the lost one is not tried again")
	stop()
	wait.Wait()
}

// Each kind of answer is shown, bounded, also that of a call that the stop
// waited for.
func TestRecent_ShowsEveryVerdict(t *testing.T) {
	t.Parallel()
	rdb, _ := redistest.Mini(t)
	long, gate := "a"+strings.Repeat("ö", 120), make(chan struct{})
	api := newAPI(t, emulator.Config{}, func(c call) *reply {
		switch c.Items[0] {
		case "bad":
			return &reply{status: 400, header: map[string]string{"X-Vercel-Id": "fra1::bad"}, body: `{"error":{"code":"bad_request","message":"` + strings.Repeat("no ", 200) + `"}}`}
		case "last":
			gate <- struct{}{}
			<-gate
		}
		return nil
	})
	l := newLab(t, testConfig(api.URL), rdb).start()
	last := func() lanes.MadeCall {
		calls, _, err := l.lanes.Recent(t.Context())
		require.NoError(t, err)
		if len(calls) == 0 {
			return lanes.MadeCall{}
		}
		return calls[0]
	}
	before := time.Now()
	l.request(tasks.Purge{Tags: []string{long, "zb", "zc", "zd"}})
	eventually(t, func() bool { return last().Verdict == "done" }, "a call that succeeds")
	c := last()
	assert.Equal(t, 4, c.Items)
	require.Len(t, c.First, 3)
	assert.Contains(t, c.First, "a"+strings.Repeat("ö", 39)+"…")
	assert.Equal(t, []string{"default", "prj", "delete", "tag"}, []string{c.Account, c.Project, string(c.Operation), string(c.Kind)})
	assert.Equal(t, 200, c.Status)
	assert.Equal(t, 1, c.Attempt)
	assert.WithinRange(t, c.At, before, time.Now())
	assert.LessOrEqual(t, c.TookMS, time.Since(before).Milliseconds())

	l.request(tasks.Purge{Tags: []string{"bad"}})
	eventually(t, func() bool { return last().Verdict == "dead" }, "a call that fails")
	c = last()
	assert.Equal(t, "bad_request", c.Reason)
	assert.Equal(t, 400, c.Status)
	assert.Equal(t, "fra1::bad", c.RequestID)
	assert.Contains(t, c.Message, "no no")
	assert.LessOrEqual(t, len(c.Message), recentMessageBytes+len("…"))

	l.request(tasks.Purge{Tags: []string{"last"}})
	<-gate
	stopped := make(chan struct{})
	go func() { defer close(stopped); l.stop() }()
	eventually(t, func() bool { return l.logs.has("stopping") }, "the stop begins")
	gate <- struct{}{}
	<-stopped
	assert.Equal(t, []string{"last"}, last().First, "the call that the stop waited for is shown")
	_, seconds, err := l.lanes.Recent(t.Context())
	require.NoError(t, err)
	var sum lanes.Second
	for _, s := range seconds {
		sum.Calls, sum.Failed, sum.Items = sum.Calls+s.Calls, sum.Failed+s.Failed, sum.Items+s.Items
	}
	assert.Equal(t, lanes.Second{Calls: 3, Failed: 1, Items: 6}, sum)
}

func TestCut(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "abc", "äöü", "日本語", strings.Repeat("x", 50), "a\xffb\xff\xffc"} {
		for most := range 12 {
			c := cut(s, most)
			if len(s) <= most {
				assert.Equal(t, s, c)
				continue
			}
			assert.LessOrEqual(t, len(c), most+len("…"))
			assert.True(t, strings.HasPrefix(s, strings.TrimSuffix(c, "…")))
			assert.True(t, !utf8.ValidString(s) || utf8.ValidString(c), "%q", c)
		}
	}
}

func BenchmarkRecent(b *testing.B) {
	r := newRecent(nil)
	batch := lanes.Batch{Lane: tagLane("prj"), Items: make([]string, 16)}
	j := Judgment{Verdict: Done}
	end := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		r.add("acme", &batch, 1, &j, 200, "fra1::x", end, time.Millisecond)
	}
}
