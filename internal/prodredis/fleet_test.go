package prodredis

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/enqueue"
	"github.com/edgepurge/edgepurge/internal/history"
	"github.com/edgepurge/edgepurge/internal/redisurl"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker"
)

const (
	// patience bounds what takes a second or two on an idle machine.
	patience = 60 * time.Second
	// tagsEach is how many tags an account's requests are about: few, so that
	// most requests are duplicates of one that waits.
	tagsEach = 60
	// producers ask at once.
	producers = 8
)

// fleet is an emulated Vercel, workers and a producer around a Redis.
type fleet struct {
	t      *testing.T
	url    string // for the workers
	names  []string
	api    *emulator.Emulator
	config worker.Config
	client *enqueue.Client
	logs   *journal
	stop   func() // all workers, gracefully

	refused  atomic.Bool // some request was never accepted: the test has failed
	accepted atomic.Int64
	resent   atomic.Int64

	mu    sync.Mutex
	asked []history.Request
}

// newFleet starts so many workers for the accounts named. The producer is
// enqueue's Config c.
func newFleet(t *testing.T, url string, c enqueue.Config, workers int, names ...string) *fleet {
	t.Helper()
	f := &fleet{t: t, url: url, names: names, logs: &journal{}}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the workers' log ends with:\n%s", f.logs.tail())
		}
	})
	var err error
	f.api, err = emulator.New(emulator.Config{Faults: emulator.Faults{Latency: 3 * time.Millisecond}})
	require.NoError(t, err)
	server := httptest.NewServer(f.api)
	t.Cleanup(func() {
		_ = f.api.Close()
		server.Close()
	})
	f.config = worker.DefaultConfig()
	f.config.VercelURL, f.config.Timeout = server.URL, time.Second
	f.config.Servers, f.config.Concurrency = 2, 16
	f.config.Accounts, f.config.Projects = nil, nil
	for _, name := range names {
		a := worker.DefaultAccount()
		a.Name, a.Token = name, "token-of-"+name
		a.Budget.Calls, a.Budget.Reserve, a.Budget.Per = 0, 0, time.Second
		a.Retry.Base = 100 * time.Millisecond
		p := worker.DefaultProject()
		p.Project, p.Account, p.Linger = project(name), name, 30*time.Millisecond
		f.config.Accounts = append(f.config.Accounts, a)
		f.config.Projects = append(f.config.Projects, p)
	}
	f.client, err = enqueue.New(c)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, f.client.Close()) })
	f.startWorkers(workers)
	t.Cleanup(func() { f.stop() })
	return f
}

func project(account string) string { return "prj_" + account }

func (f *fleet) startWorkers(n int) {
	f.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for i := range n {
		rdb, err := redisurl.Open(f.url, f.config.Concurrency+10)
		require.NoError(f.t, err)
		w, err := worker.New(f.config, worker.Options{Redis: rdb, Log: zerolog.New(f.logs).With().Int("worker", i).Timestamp().Logger()})
		require.NoError(f.t, err)
		running.Go(func() {
			assert.NoError(f.t, w.Run(ctx))
			_ = rdb.Close()
		})
	}
	f.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
}

// ask plays n requests; each is sent until it is accepted, as a producer should.
func (f *fleet) ask(n int) {
	var all sync.WaitGroup
	first := len(f.requests())
	for p := range producers {
		all.Go(func() {
			dice := rand.New(rand.NewPCG(uint64(p), 7))
			for i := p; i < n && !f.refused.Load(); i += producers {
				f.purge(f.request(dice, fmt.Sprintf("r%d-%d", first, i)))
				time.Sleep(time.Millisecond)
			}
		})
	}
	all.Wait()
}

func (f *fleet) request(dice *rand.Rand, id string) tasks.Purge {
	r := tasks.Purge{ID: id, Project: project(f.names[dice.IntN(len(f.names))]), Operation: tasks.Invalidate}
	if dice.IntN(20) == 0 {
		r.Priority = tasks.Urgent
	}
	for range 1 + dice.IntN(3) {
		r.Tags = append(r.Tags, fmt.Sprint("tag-", dice.IntN(tagsEach)))
	}
	return r
}

func (f *fleet) purge(r tasks.Purge) {
	asked := time.Now()
	for {
		ctx, cancel := context.WithTimeout(f.t.Context(), 5*time.Second)
		_, err := f.client.Purge(ctx, r)
		cancel()
		if err == nil {
			break
		}
		f.resent.Add(1)
		if time.Since(asked) > patience || f.t.Context().Err() != nil {
			assert.NoError(f.t, err, "request %s was never accepted", r.ID)
			f.refused.Store(true)
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	f.accepted.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, history.Requests(r, asked, time.Now())...)
}

func (f *fleet) requests() []history.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]history.Request{}, f.asked...)
}

func (f *fleet) awaitAccepted(n int64) {
	f.t.Helper()
	require.Eventually(f.t, func() bool { return f.accepted.Load() >= n || f.refused.Load() }, patience, time.Millisecond)
}

func (f *fleet) report() history.Report {
	var calls []history.Call
	for _, c := range f.api.Journal() {
		calls = append(calls, history.Call{
			Family: history.Family{Project: c.Project, Kind: c.Kind, Operation: c.Operation, Target: c.Target},
			Items:  c.Items, StringForm: c.StringForm, Start: c.Start, End: c.End, OK: c.Applied, Status: c.Status,
		})
	}
	return history.Check(f.requests(), calls, nil)
}

// drain waits until every request is served, and fails if one is lost.
func (f *fleet) drain(rdb redis.UniversalClient) history.Report {
	f.t.Helper()
	const usual = 10 * time.Second
	var r history.Report
	served := func() bool {
		r = f.report()
		return len(r.Lost) == 0
	}
	if !within(usual, served) {
		f.t.Logf("%d items wait for asynq's recovery", len(r.Lost))
		f.recoverNow(rdb)
		within(patience, served)
	}
	require.Empty(f.t, r.Lost, "lost")
	assert.Empty(f.t, r.Broken)
	for _, q := range []string{tasks.QueueIntake, tasks.QueueUrgent, tasks.QueueCalls} {
		if info, err := asynq.NewInspectorFromRedisClient(rdb).GetQueueInfo(q); err == nil {
			assert.Zero(f.t, info.Archived, "dead letters in %s", q)
		}
	}
	f.t.Logf("%d requests, %d sent again, %d items asked for, %d calls with %d items", r.Requests, f.resent.Load(), r.Asked, r.Calls(), r.Packed)
	return r
}

// recoverNow lets asynq see at once what it sees after a minute: tasks that were
// dequeued and whose worker never heard of it, because Redis died in between.
func (f *fleet) recoverNow(rdb redis.UniversalClient) {
	f.t.Helper()
	f.stop()
	for _, q := range []string{tasks.QueueIntake, tasks.QueueUrgent, tasks.QueueCalls} {
		lease := "asynq:{" + q + "}:lease"
		ids, err := rdb.ZRange(f.t.Context(), lease, 0, -1).Result()
		require.NoError(f.t, err)
		for _, id := range ids {
			long := float64(time.Now().Add(-5 * time.Minute).Unix())
			require.NoError(f.t, rdb.ZAddXX(f.t.Context(), lease, redis.Z{Score: long, Member: id}).Err())
		}
		f.t.Logf("%s: %d leases ended", q, len(ids))
	}
	f.startWorkers(1)
}

func within(d time.Duration, done func() bool) bool {
	for end := time.Now().Add(d); ; time.Sleep(100 * time.Millisecond) {
		if done() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// journal keeps the end of a log.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	const most = 4 << 20
	if j.buf.Len() > most {
		j.buf.Next(most / 2)
	}
	return j.buf.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

func (j *journal) tail() string {
	s := j.String()
	return s[max(0, len(s)-8<<10):]
}
