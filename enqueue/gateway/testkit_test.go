package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/edgepurge/edgepurge/enqueue"
	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	shopSecret = "shop-0123456789abcdef"
	blogSecret = "blog-0123456789abcdef"
)

// keys are one for every project and one for two of them.
var keys = []Key{
	{Name: "shop", Secret: shopSecret, Projects: []string{AnyProject}},
	{Name: "blog", Secret: blogSecret, Projects: []string{"prj_blog", "blog"}},
}

// counted is one call of Config.Count.
type counted struct {
	source  string
	outcome Outcome
}

// desk is a Handler and all that it does.
type desk struct {
	*Handler
	mu     sync.Mutex
	purges []tasks.Purge
	counts map[counted]int
	lines  bytes.Buffer
	// enqueue, if set, replaces taking things in.
	enqueue func(context.Context, tasks.Purge) (enqueue.Receipt, error)
}

func newDesk(tb testing.TB, changes ...func(*Config)) *desk {
	tb.Helper()
	d := &desk{counts: map[counted]int{}}
	rdb, _ := redistest.Mini(tb)
	c := Config{
		Enqueue: d.take, Redis: rdb, Keys: keys,
		Status: func(context.Context, string) (enqueue.Status, error) {
			return enqueue.Status{}, enqueue.ErrUnknownReceipt
		},
		Log: zerolog.New(zerolog.SyncWriter(&d.lines)),
		Count: func(source string, o Outcome) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.counts[counted{source, o}]++
		},
	}
	for _, change := range changes {
		change(&c)
	}
	var err error
	d.Handler, err = New(c)
	require.NoError(tb, err)
	return d
}

// take keeps the purge, as enqueue.Client would with an id of its own.
func (d *desk) take(ctx context.Context, p tasks.Purge) (enqueue.Receipt, error) {
	if d.enqueue != nil {
		return d.enqueue(ctx, p)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.purges = append(d.purges, p)
	if p.ID == "" {
		p.ID = "made-here"
	}
	return enqueue.Receipt{ID: p.ID, Tasks: 1, Items: len(p.Tags) + len(p.SrcImages)}, nil
}

// reply is an answer that has been read.
type reply struct {
	*http.Response
	body string
}

// withClient lets a Handler store what it takes in, as a gateway does.
func withClient(tb testing.TB, rdb redis.UniversalClient) func(*Config) {
	tb.Helper()
	client, err := enqueue.New(enqueue.Config{Client: rdb})
	require.NoError(tb, err)
	return func(c *Config) { c.Enqueue, c.Status, c.Redis = client.Purge, client.Status, rdb }
}

// stored returns the tasks in the queue of ordinary requests.
func stored(tb testing.TB, rdb redis.UniversalClient) []tasks.Purge {
	tb.Helper()
	list, err := asynq.NewInspectorFromRedisClient(rdb).ListPendingTasks(tasks.QueueIntake, asynq.PageSize(1000))
	if err != nil {
		require.ErrorIs(tb, err, asynq.ErrQueueNotFound)
	}
	purges := make([]tasks.Purge, len(list))
	for i, task := range list {
		purges[i], err = tasks.DecodePurge(task.Payload)
		require.NoError(tb, err)
	}
	return purges
}

// send asks with the shop's key, unless headers say otherwise.
func send(h http.Handler, method, target, body string, headers ...string) reply {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+shopSecret)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Del(headers[i])
		if headers[i+1] != "" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	response := w.Result()
	text, _ := io.ReadAll(response.Body)
	return reply{response, string(text)}
}

// problem decodes the error envelope, and checks its form.
func (r reply) problem(tb testing.TB) problem {
	tb.Helper()
	var body map[string]problem
	require.NoError(tb, json.Unmarshal([]byte(r.body), &body), "%s", r.body)
	require.Len(tb, body, 1)
	require.Contains(tb, body, "error")
	assert.Equal(tb, "application/json; charset=utf-8", r.Header.Get("Content-Type"))
	assert.NotEmpty(tb, body["error"].Message)
	return body["error"]
}

// taken returns the purges since the last time.
func (d *desk) taken() []tasks.Purge {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := d.purges
	d.purges = nil
	return list
}

func (d *desk) logged() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lines.String()
}
