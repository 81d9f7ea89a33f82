package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
)

func TestSmoke(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		var mu sync.Mutex
		var calls [][]string
		api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var body struct{ Tags []string }
			b, _ := io.ReadAll(r.Body)
			_ = json.Unmarshal(b, &body)
			mu.Lock()
			calls = append(calls, body.Tags)
			n := len(calls)
			mu.Unlock()
			for _, tag := range body.Tags {
				if tag == "tag-13" {
					w.WriteHeader(400)
					return
				}
			}
			if n == 3 {
				w.WriteHeader(503)
			}
		}))
		defer api.Close()
		c := DefaultConfig()
		c.VercelURL = api.URL
		c.Accounts[0].Token = "x"
		c.Accounts[0].Budget.Calls = 0
		c.Accounts[0].Budget.Reserve = 0
		c.Accounts[0].Retry.Base = 100 * time.Millisecond
		w, err := New(c, Options{Redis: rdb, Log: zerolog.New(zerolog.ConsoleWriter{Out: os.Stderr})})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		client := asynq.NewClientFromRedisClient(rdb)
		for i := range 100 {
			p := tasks.Purge{ID: fmt.Sprint("r", i), Project: "p", Operation: tasks.Delete, Tags: []string{fmt.Sprint("tag-", i%50)}}
			payload, _ := p.Encode()
			_, err := client.Enqueue(asynq.NewTask(tasks.TypeRequest, payload), asynq.Queue(tasks.QueueIntake), asynq.MaxRetry(10))
			require.NoError(t, err)
		}
		time.Sleep(8 * time.Second)
		cancel()
		require.NoError(t, <-done)
		mu.Lock()
		for _, c := range calls {
			fmt.Println(len(c), c)
		}
		mu.Unlock()
	})
}
