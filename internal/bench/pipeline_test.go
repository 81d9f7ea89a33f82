package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker"
)

// api answers at once and counts.
type api struct {
	*httptest.Server
	mu    sync.Mutex
	calls int
	items int
	last  map[string]time.Time
}

func newAPI(tb testing.TB) *api {
	a := &api{last: map[string]time.Time{}}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		var body struct {
			Tags []string `json:"tags"`
		}
		data, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(data, &body)
		a.mu.Lock()
		a.calls++
		a.items += len(body.Tags)
		for _, t := range body.Tags {
			a.last[t] = start
		}
		a.mu.Unlock()
	}))
	tb.Cleanup(a.Close)
	return a
}

func (a *api) distinct() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.last)
}

func (a *api) has(tag string) bool { return !a.arrival(tag).IsZero() }

// arrival is when the last call with the tag began.
func (a *api) arrival(tag string) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last[tag]
}

func (a *api) reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls, a.items, a.last = 0, 0, map[string]time.Time{}
}

func startWorker(tb testing.TB, rdb redis.UniversalClient, url string, change func(*worker.Config)) {
	c := worker.DefaultConfig()
	c.VercelURL = url
	c.Accounts[0].Token = "bench"
	c.Accounts[0].Budget.Calls, c.Accounts[0].Budget.Reserve = 0, 0
	if change != nil {
		change(&c)
	}
	w, err := worker.New(c, worker.Options{Redis: rdb, Log: zerolog.Nop()})
	require.NoError(tb, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	tb.Cleanup(func() { cancel(); require.NoError(tb, <-done) })
}

// obvious is the program that everybody writes first.
func startObvious(tb testing.TB, rdb redis.UniversalClient, url string) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
	s := asynq.NewServerFromRedisClient(rdb, asynq.Config{Concurrency: 10, LogLevel: asynq.FatalLevel})
	h := asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
		body, _ := json.Marshal(map[string]any{"tags": []string{string(t.Payload())}})
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/edge-cache/dangerously-delete-by-tags?projectIdOrName=p", bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer bench")
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return nil
	})
	require.NoError(tb, s.Start(h))
	tb.Cleanup(s.Shutdown)
}

func enqueue(tb testing.TB, client *asynq.Client, id string, tags ...string) {
	p := tasks.Purge{ID: id, Project: "p", Operation: tasks.Delete, Tags: tags}
	payload, err := p.Encode()
	require.NoError(tb, err)
	_, err = client.Enqueue(asynq.NewTask(tasks.TypeRequest, payload), asynq.Queue(tasks.QueueIntake), asynq.TaskID(id), asynq.MaxRetry(1000))
	require.NoError(tb, err)
}

const uniqueTags = 20000

// BenchmarkUniqueTags: 20,000 unique tags, from the first enqueue to the last call.
func BenchmarkUniqueTags(b *testing.B) {
	b.Run("edgepurge", func(b *testing.B) {
		s := redistest.Start(b)
		rdb := s.Client(b)
		a := newAPI(b)
		startWorker(b, rdb, a.URL, nil)
		client := asynq.NewClientFromRedisClient(rdb)
		time.Sleep(300 * time.Millisecond)
		run := 0
		for b.Loop() {
			a.reset()
			run++
			for r := range uniqueTags / 100 {
				tags := make([]string, 100)
				for i := range tags {
					tags[i] = fmt.Sprintf("tag-%d-%05d", run, r*100+i)
				}
				enqueue(b, client, fmt.Sprintf("run%d-%d", run, r), tags...)
			}
			for a.distinct() < uniqueTags {
				time.Sleep(time.Millisecond)
			}
		}
		b.ReportMetric(float64(uniqueTags)*float64(b.N)/b.Elapsed().Seconds(), "tags/s")
		b.ReportMetric(float64(a.calls)/float64(uniqueTags/16), "calls/fewest")
	})
	b.Run("obvious", func(b *testing.B) {
		s := redistest.Start(b)
		rdb := s.Client(b)
		a := newAPI(b)
		startObvious(b, rdb, a.URL)
		client := asynq.NewClientFromRedisClient(rdb)
		run := 0
		for b.Loop() {
			a.reset()
			run++
			for i := range uniqueTags {
				_, err := client.Enqueue(asynq.NewTask("tag", fmt.Appendf(nil, "tag-%d-%05d", run, i)))
				require.NoError(b, err)
			}
			for a.distinct() < uniqueTags {
				time.Sleep(time.Millisecond)
			}
		}
		b.ReportMetric(float64(uniqueTags)*float64(b.N)/b.Elapsed().Seconds(), "tags/s")
	})
}
