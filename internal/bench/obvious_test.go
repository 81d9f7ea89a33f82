package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// obviousConcurrency is asynq's in the obvious program.
const obviousConcurrency = 10

// newObvious is the program that everybody writes first: an asynq task a tag, a
// call a task, and asynq's defaults for the rest.
func newObvious(rdb redis.UniversalClient, url string) (*asynq.Server, asynq.Handler) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
	url += "/v1/edge-cache/dangerously-delete-by-tags?projectIdOrName=" + project
	s := asynq.NewServerFromRedisClient(rdb, asynq.Config{Concurrency: obviousConcurrency, LogLevel: asynq.FatalLevel})
	return s, asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
		body, err := json.Marshal(map[string]any{"tags": []string{string(t.Payload())}})
		if err != nil {
			return err
		}
		q, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
		if err != nil {
			return err
		}
		q.Header.Set("Authorization", "Bearer "+token)
		q.Header.Set("Content-Type", "application/json")
		answer, err := client.Do(q)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		_, _ = io.Copy(io.Discard, answer.Body)
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d", answer.StatusCode)
		}
		return nil
	})
}

// obvious starts the obvious program and returns its producer.
func (r *rig) obvious(hooks ...redis.Hook) func(tag string) {
	rdb := r.open(r.server.URL())
	for _, h := range hooks {
		rdb.AddHook(h)
	}
	s, h := newObvious(rdb, r.url)
	require.NoError(r.tb, s.Start(h))
	r.stops = append(r.stops, s.Shutdown)
	return r.enqueueTask()
}

func (r *rig) enqueueTask() func(tag string) {
	client := asynq.NewClientFromRedisClient(r.rdb)
	return func(tag string) {
		if _, err := client.Enqueue(asynq.NewTask("tag", []byte(tag))); err != nil {
			r.tb.Errorf("enqueue: %v", err)
		}
	}
}

// producers is how many goroutines ask at once, of either program.
const producers = 16

// produce calls f for 0 to n-1 from several goroutines.
func produce(n int, f func(i int)) {
	var wait sync.WaitGroup
	for p := range producers {
		wait.Go(func() {
			for i := p; i < n; i += producers {
				f(i)
			}
		})
	}
	wait.Wait()
}
