package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/edgepurge/edgepurge/internal/loglines"
	"github.com/edgepurge/edgepurge/internal/queues"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

func TestMain(m *testing.M) {
	// go-redis looks once a second whether a server that was away is back, and sees
	// only then that its client was closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

const (
	testToken = "vc_tok_Zm9vYmFyMDEyMzQ1Njc4OQ"
	// patience bounds every wait for something that must happen.
	patience = 30 * time.Second
)

// call is one API call as it arrived.
type call struct {
	Start   time.Time
	Project string
	Path    string
	Items   []string
	Status  int // 0: not answered yet
}

// reply is an answer in place of the emulator's.
type reply struct {
	status int
	header map[string]string
	body   string
}

// api is the far side of the wire: the emulator, which is strict about every
// call, unless a test's own answer comes first.
type api struct {
	*httptest.Server
	emulator *emulator.Emulator
	mu       sync.Mutex
	calls    []*call
	answer   func(call) *reply // may block
}

func newAPI(t *testing.T, c emulator.Config, answer func(call) *reply) *api {
	t.Helper()
	e, err := emulator.New(c)
	require.NoError(t, err)
	a := &api{emulator: e, answer: answer}
	a.Server = httptest.NewServer(a)
	t.Cleanup(func() {
		_ = e.Close()
		a.Close()
	})
	return a
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	seen := &call{Start: time.Now(), Path: r.URL.Path, Project: r.URL.Query().Get("projectIdOrName"), Items: itemsOf(body)}
	a.mu.Lock()
	a.calls = append(a.calls, seen)
	copied, answer := *seen, a.answer
	a.mu.Unlock()
	var own *reply
	if answer != nil {
		own = answer(copied)
	}
	noted := &statusWriter{ResponseWriter: w, note: func(status int) {
		a.mu.Lock()
		seen.Status = status
		a.mu.Unlock()
	}}
	if own == nil {
		a.emulator.ServeHTTP(noted, r)
		return
	}
	for k, v := range own.header {
		w.Header().Set(k, v)
	}
	noted.WriteHeader(own.status)
	_, _ = io.WriteString(w, own.body)
}

func (a *api) setAnswer(answer func(call) *reply) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = answer
}

// forget forgets the calls so far.
func (a *api) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls = nil
}

func (a *api) all() []call {
	a.mu.Lock()
	defer a.mu.Unlock()
	calls := make([]call, len(a.calls))
	for i, c := range a.calls {
		calls[i] = *c
	}
	return calls
}

// with lists the calls that hold an item, in the order of their arrival.
func (a *api) with(item string) []call {
	return slices.DeleteFunc(a.all(), func(c call) bool { return !slices.Contains(c.Items, item) })
}

// purged reports whether a call with the item that started after t succeeded.
func (a *api) purged(item string, t time.Time) bool {
	return slices.ContainsFunc(a.with(item), func(c call) bool { return c.Status == http.StatusOK && c.Start.After(t) })
}

type statusWriter struct {
	http.ResponseWriter
	note func(int)
}

func (w *statusWriter) WriteHeader(status int) {
	w.note(status)
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func itemsOf(body []byte) []string {
	var b struct {
		Tags      json.RawMessage `json:"tags"`
		SrcImages []string        `json:"srcImages"`
	}
	_ = json.Unmarshal(body, &b)
	var list []string
	var text string
	switch {
	case b.SrcImages != nil:
		return b.SrcImages
	case json.Unmarshal(b.Tags, &list) == nil:
		return list
	case json.Unmarshal(b.Tags, &text) == nil:
		return strings.Split(text, ",")
	}
	return nil
}

// testConfig has no budget, hardly any linger and quick retries.
func testConfig(url string) Config {
	c := DefaultConfig()
	c.VercelURL, c.Timeout, c.Servers, c.Concurrency = url, 5*time.Second, 2, 16
	c.Accounts[0].Token = testToken
	c.Accounts[0].Budget = Budget{Per: time.Second, InFlight: 4}
	c.Accounts[0].Retry = Retry{MaxAttempts: 20, Base: 10 * time.Millisecond, Cap: 50 * time.Millisecond}
	c.Projects[0].Linger = 20 * time.Millisecond
	return c
}

// lab is a worker with what a test looks at.
type lab struct {
	*Worker
	t     *testing.T
	rdb   redis.UniversalClient
	lanes *lanes.Lanes
	logs  *logBuffer
	reg   *prometheus.Registry
	stop  func()
}

func newLab(t *testing.T, c Config, rdb redis.UniversalClient) *lab {
	t.Helper()
	l := &lab{t: t, rdb: rdb, lanes: lanes.New(rdb), logs: &logBuffer{}, reg: prometheus.NewRegistry()}
	var err error
	l.Worker, err = New(c, Options{Redis: rdb, Log: zerolog.New(l.logs), Registerer: l.reg})
	require.NoError(t, err)
	l.unknown.patience = 0 // what is unknown dies at once, but for tests about that
	t.Cleanup(func() {
		assert.Empty(t, l.logs.repeated(), "a reader of the log keeps one of them")
		if t.Failed() {
			s, err := l.lanes.Status(context.Background(), "default", time.Minute)
			t.Logf("state of the account: %+v (error %v)", s, err)
			t.Logf("log of the worker:\n%s", l.logs.tail(8000))
		}
	})
	return l
}

// start runs the worker until stop or the end of the test, and insists on a
// graceful end.
func (l *lab) start() *lab {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	l.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			assert.NoError(l.t, err) // stop may be called from any goroutine
		case <-time.After(patience):
			l.t.Error("the worker does not stop")
		}
	})
	l.t.Cleanup(l.stop)
	return l
}

// request enqueues as package enqueue does and returns when it was accepted, or
// a moment earlier.
func (l *lab) request(p tasks.Purge) time.Time {
	l.t.Helper()
	return enqueueRequest(l.t, l.rdb, p)
}

func enqueueRequest(t *testing.T, rdb redis.UniversalClient, p tasks.Purge) time.Time {
	t.Helper()
	p = filled(p)
	payload, err := p.Encode()
	require.NoError(t, err)
	before := time.Now() // a call may start while the reply of Redis is on its way
	enqueueRaw(t, rdb, tasks.TypeRequest, payload)
	return before
}

func filled(p tasks.Purge) tasks.Purge {
	if p.ID == "" {
		p.ID = ulid.Make().String()
	}
	if p.Project == "" {
		p.Project = "prj"
	}
	if p.Operation == "" {
		p.Operation = tasks.Delete
	}
	return p
}

func enqueueRaw(t *testing.T, rdb redis.UniversalClient, typename string, payload []byte) {
	t.Helper()
	_, err := asynq.NewClientFromRedisClient(rdb).EnqueueContext(t.Context(), asynq.NewTask(typename, payload),
		asynq.Queue(tasks.QueueIntake), asynq.MaxRetry(1000), asynq.Timeout(patience))
	require.NoError(t, err)
}

// pending lists what waits in the lane of a request.
func (l *lab) pending(lane tasks.Lane) []string {
	l.t.Helper()
	items, err := l.rdb.ZRange(context.Background(), "edgepurge:{default}:pending:"+lane.ID(), 0, -1).Result()
	require.NoError(l.t, err)
	return items
}

func (l *lab) holds() []lanes.Hold {
	l.t.Helper()
	holds, err := l.lanes.Holds(context.Background(), "default")
	require.NoError(l.t, err)
	return holds
}

func (l *lab) status() lanes.Status {
	l.t.Helper()
	s, err := l.lanes.Status(context.Background(), "default", time.Minute)
	require.NoError(l.t, err)
	return s
}

// idle reports whether nothing waits and no call is under way or will be retried.
func (l *lab) idle() bool {
	l.t.Helper()
	waiting, quiet := l.quiet()
	return quiet && len(waiting) == 0
}

// quiet reports whether nothing moves, and what waits. Items move between
// queues, lanes and leases while it looks, so it believes the third look.
func (l *lab) quiet() (waiting []lanes.LaneStatus, quiet bool) {
	l.t.Helper()
	for range 3 {
		if queued(l.t, l.rdb) > 0 {
			return nil, false
		}
		s := l.status()
		if len(s.InFlight) > 0 {
			return nil, false
		}
		waiting = s.Lanes
	}
	return waiting, true
}

// eachQueue calls f for those of our queues that exist by now.
func eachQueue(t *testing.T, rdb redis.UniversalClient, f func(i *asynq.Inspector, queue string)) {
	t.Helper()
	inspector := asynq.NewInspectorFromRedisClient(rdb)
	names, err := inspector.Queues()
	require.NoError(t, err)
	for _, queue := range names {
		f(inspector, queue)
	}
}

// queued counts the tasks that asynq has still to run.
func queued(t *testing.T, rdb redis.UniversalClient) int {
	t.Helper()
	states, err := queues.Read(t.Context(), rdb, queues.All()...)
	require.NoError(t, err)
	sum := 0
	for _, s := range states {
		sum += s.Pending + s.Active + s.Scheduled + s.Retry
	}
	return sum
}

// letters lists the dead letters of all queues.
func letters(t *testing.T, rdb redis.UniversalClient) []*asynq.TaskInfo {
	t.Helper()
	var all []*asynq.TaskInfo
	eachQueue(t, rdb, func(i *asynq.Inspector, queue string) {
		found, err := i.ListArchivedTasks(queue, asynq.PageSize(1000))
		require.NoError(t, err)
		all = append(all, found...)
	})
	return all
}

// metric sums the values of a metric over the given pairs of label and value.
func (l *lab) metric(name string, labels ...string) float64 {
	l.t.Helper()
	families, err := l.reg.Gather()
	require.NoError(l.t, err)
	sum, found := 0.0, false
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		found = true
		for _, m := range f.GetMetric() {
			has := map[string]string{}
			for _, pair := range m.GetLabel() {
				has[pair.GetName()] = pair.GetValue()
			}
			match := true
			for i := 0; i < len(labels); i += 2 {
				match = match && has[labels[i]] == labels[i+1]
			}
			if match {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	require.True(l.t, found, "no metric %s", name)
	return sum
}

func eventually(t *testing.T, condition func() bool, what string, args ...any) {
	t.Helper()
	require.Eventuallyf(t, condition, patience, 10*time.Millisecond, what, args...)
}

// logBuffer keeps log lines; unlike bytes.Buffer it may be read meanwhile.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// repeated returns the first line that has a key twice, or "".
func (b *logBuffer) repeated() string {
	for line := range strings.Lines(b.String()) {
		if key := loglines.RepeatedKey([]byte(line)); key != "" {
			return key + " twice in " + line
		}
	}
	return ""
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *logBuffer) has(text string) bool { return strings.Contains(b.String(), text) }

func (b *logBuffer) tail(most int) string {
	s := b.String()
	return s[max(0, len(s)-most):]
}

func tagLane(project string) tasks.Lane {
	return tasks.Lane{Project: project, Kind: tasks.Tag, Operation: tasks.Delete, DeadlineSeconds: tasks.NoDeadline, Priority: tasks.Normal}
}
