package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
)

const outageConfig = `
gateway:
  sources:
    - name: blog
      verify: [{kind: token, from: header.X-Token}]
      secrets: ["env:TOKEN"]
      project: prj_abc
      tags: tag(.tag)
`

// gatewayProcess runs the binary as a gateway until the end of the test.
func gatewayProcess(t *testing.T, config, redisURL string) (url string, process *exec.Cmd, log *screen) {
	t.Helper()
	address, err := freeAddress()
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "edgepurge.yaml")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	log = &screen{}
	process = exec.Command("edgepurge", "gateway", "--config", file)
	process.Env = append(os.Environ(), "EDGEPURGE_REDIS_URL="+redisURL, "EDGEPURGE_LISTEN="+address, "TOKEN="+secretToken, "API_KEY="+secretKey)
	process.Stderr = log
	require.NoError(t, process.Start())
	t.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait()
	})
	url = "http://" + address
	require.Eventually(t, func() bool {
		resp, err := http.Get(url + "/healthz")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	}, 10*time.Second, 10*time.Millisecond, "the gateway did not come up")
	return url, process, log
}

// What was answered is remembered when a gateway that was told to stop is gone.
func TestGateway_MarksAreFlushed(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	url, process, log := gatewayProcess(t, outageConfig+"      delivery_id: [body.sha256]\n", server.URL())
	const deliveries = 50
	var senders sync.WaitGroup
	for i := range deliveries {
		senders.Go(func() {
			a, err := deliver(url, fmt.Sprint("t", i))
			assert.NoError(t, err)
			assert.Equal(t, http.StatusOK, a.status)
		})
	}
	senders.Wait()
	require.NoError(t, process.Process.Signal(syscall.SIGTERM))
	require.NoError(t, process.Wait(), log.String())
	marks, err := server.Client(t).Keys(t.Context(), "edgepurge:hook:blog:*").Result()
	require.NoError(t, err)
	assert.Len(t, marks, deliveries)
}

// answer is what a sender of webhooks was told.
type answer struct {
	tag        string
	status     int
	retryAfter string
	took       time.Duration
}

func deliver(url, tag string) (answer, error) {
	r, err := http.NewRequest(http.MethodPost, url+"/hooks/blog", bytes.NewReader(fmt.Appendf(nil, `{"tag":%q}`, tag)))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("X-Token", secretToken)
	start := time.Now()
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return answer{}, err
	}
	resp.Body.Close()
	return answer{tag, resp.StatusCode, resp.Header.Get("Retry-After"), time.Since(start)}, nil
}

// Redis hangs, is full, is killed and comes back while deliveries come in: each is
// answered in time, with 503 if it is not stored, and what was answered with 200
// is there. At the end the gateway is told to stop in the midst of deliveries.
func TestGateway_RedisAway(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	url, process, log := gatewayProcess(t, outageConfig, server.URL())

	var mu sync.Mutex
	var got []answer
	stop := make(chan struct{})
	var senders sync.WaitGroup
	for s := range 8 {
		senders.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				a, err := deliver(url, fmt.Sprintf("t-%d-%d", s, i))
				if err != nil { // only a gateway that has stopped turns connections away
					return
				}
				mu.Lock()
				got = append(got, a)
				mu.Unlock()
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	since := func(status, from int) int {
		mu.Lock()
		defer mu.Unlock()
		n := 0
		for _, a := range got[from:] {
			if a.status == status {
				n++
			}
		}
		return n
	}
	seen := func() int { mu.Lock(); defer mu.Unlock(); return len(got) }
	await := func(status int, what string) {
		from := seen()
		require.Eventually(t, func() bool { return since(status, from) >= 16 }, 20*time.Second, 10*time.Millisecond, what)
	}
	await(http.StatusOK, "Redis is there")
	server.Pause(t)
	await(http.StatusServiceUnavailable, "Redis hangs")
	server.Resume(t)
	await(http.StatusOK, "Redis goes on")
	rdb := server.Client(t)
	require.NoError(t, rdb.ConfigSet(t.Context(), "maxmemory", "1").Err())
	await(http.StatusServiceUnavailable, "Redis is full, and refuses at once")
	require.NoError(t, rdb.ConfigSet(t.Context(), "maxmemory", "0").Err())
	await(http.StatusOK, "Redis has room")
	server.Kill(t)
	await(http.StatusServiceUnavailable, "Redis is gone")
	server.Restart(t)
	await(http.StatusOK, "Redis is back")
	require.NoError(t, process.Process.Signal(syscall.SIGTERM))
	require.NoError(t, process.Wait(), log.String())
	close(stop)
	senders.Wait()

	stored := storedTags(t, asynq.NewInspectorFromRedisClient(server.Client(t)))
	for _, a := range got {
		assert.Less(t, a.took, 1500*time.Millisecond, a.tag)
		switch a.status {
		case http.StatusOK:
			assert.True(t, stored[a.tag], "%s was answered 200 and is lost", a.tag)
		case http.StatusServiceUnavailable:
			assert.NotEmpty(t, a.retryAfter, a.tag)
		default:
			assert.Fail(t, "unexpected answer", "%+v", a)
		}
	}
	assert.NotContains(t, log.String(), secretToken)
	slices.SortFunc(got, func(a, b answer) int { return int(a.took - b.took) })
	t.Logf("%d deliveries, %d of them stored, the slowest answer after %s", len(got), len(stored), got[len(got)-1].took)
}

// storedTags reads the tags of all requests that wait.
func storedTags(t *testing.T, inspector *asynq.Inspector) map[string]bool {
	t.Helper()
	tags := map[string]bool{}
	for page := 1; ; page++ {
		waiting, err := inspector.ListPendingTasks(tasks.QueueIntake, asynq.PageSize(500), asynq.Page(page))
		require.NoError(t, err)
		if len(waiting) == 0 {
			return tags
		}
		for _, w := range waiting {
			p, err := tasks.DecodePurge(w.Payload)
			require.NoError(t, err)
			for _, tag := range p.Tags {
				tags[tag] = true
			}
		}
	}
}
