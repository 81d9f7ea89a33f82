package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
)

const (
	benchSecret = "bench-secret-0123456789"
	benchConfig = `
gateway:
  sources:
    - {name: blog, preset: sanity, secrets: ["env:BENCH_SECRET"], project: prj_abc}
`
	// benchConns is how many connections the senders have together.
	benchConns = 32
)

// bareMain is what the gateway is compared with: a handler that reads the body
// and does one write to Redis, with nothing checked, mapped or remembered.
func bareMain() {
	options, err := redis.ParseURL(os.Getenv("EDGEPURGE_REDIS_URL"))
	if err != nil {
		panic(err)
	}
	options.PoolSize = gatewayConns
	rdb := redis.NewClient(options)
	var n atomic.Int64
	err = http.ListenAndServe(os.Getenv("EDGEPURGE_LISTEN"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = rdb.Set(r.Context(), fmt.Sprint("bare:", n.Add(1)), body, 0).Err()
		}
		if err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, `{"status":"queued"}`)
	}))
	panic(err)
}

// BenchmarkGateway sends signed deliveries to a gateway of its own process: first
// 1,000 a second, whether or not the answers keep up, then as many as it takes,
// in turns with a bare handler.
func BenchmarkGateway(b *testing.B) {
	rate, steady, turn, turns := 200, time.Second, 300*time.Millisecond, 1
	if os.Getenv("EDGEPURGE_BENCH") == "full" {
		rate, steady, turn, turns = 1000, 10*time.Second, 5*time.Second, 3
	}
	server := redistest.Start(b)
	gateway := benchProcess(b, server.URL(), "edgepurge", "gateway")
	bare := benchProcess(b, server.URL(), "bare")
	s := &sender{client: &http.Transport{MaxIdleConnsPerHost: benchConns, MaxConnsPerHost: benchConns}}
	for b.Loop() {
		took, failed := s.steady(gateway, rate, steady)
		require.Zero(b, failed, "deliveries that were not answered with 200")
		b.ReportMetric(float64(len(took))/steady.Seconds(), "sent/s")
		b.ReportMetric(quantile(took, 0.5), "p50-ms")
		b.ReportMetric(quantile(took, 0.99), "p99-ms")
		b.ReportMetric(quantile(took, 1), "max-ms")
		var ours, theirs []float64
		for range turns {
			ours = append(ours, s.flat(b, gateway, turn))
			theirs = append(theirs, s.flat(b, bare, turn))
		}
		slices.Sort(ours)
		slices.Sort(theirs)
		b.ReportMetric(ours[turns/2], "most/s")
		b.ReportMetric(theirs[turns/2], "bare/s")
		b.ReportMetric(ours[turns/2]/theirs[turns/2], "x-bare")
	}
}

// benchProcess starts a program that takes deliveries, and returns where.
func benchProcess(b *testing.B, redisURL, name string, args ...string) string {
	b.Helper()
	address, err := freeAddress()
	require.NoError(b, err)
	config := b.TempDir() + "/edgepurge.yaml"
	require.NoError(b, os.WriteFile(config, []byte(benchConfig), 0o600))
	process := exec.Command(name, args...)
	process.Env = append(os.Environ(), "EDGEPURGE_REDIS_URL="+redisURL, "EDGEPURGE_LISTEN="+address,
		"EDGEPURGE_CONFIG="+config, "BENCH_SECRET="+benchSecret)
	require.NoError(b, process.Start())
	b.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait()
	})
	url := "http://" + address
	require.Eventually(b, func() bool {
		resp, err := http.Get(url + "/healthz")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	}, 10*time.Second, 10*time.Millisecond, "%s did not come up", name)
	return url
}

// sender sends deliveries that are all different, as Sanity signs them.
type sender struct {
	client *http.Transport
	n      atomic.Int64
}

func (s *sender) send(url string) bool {
	n := s.n.Add(1)
	body := fmt.Sprintf(`{"_id":"post-%d","_type":"post","slug":{"current":"post-%d"},"title":"A title of some length","_rev":"k3jd82hs"}`, n, n)
	stamp := fmt.Sprint(time.Now().UnixMilli())
	mac := hmac.New(sha256.New, []byte(benchSecret))
	mac.Write([]byte(stamp + "." + body))
	r, err := http.NewRequest(http.MethodPost, url+"/hooks/blog", strings.NewReader(body))
	if err != nil {
		return false
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", fmt.Sprint("delivery-", n))
	r.Header.Set("Sanity-Webhook-Signature", "t="+stamp+",v1="+base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
	resp, err := s.client.RoundTrip(r)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return err == nil && resp.StatusCode == http.StatusOK && strings.Contains(string(answer), `"status":"queued"`)
}

// steady sends so many a second. The time of each runs from when it was to be
// sent, so that a stall is seen in all that it holds up.
func (s *sender) steady(url string, rate int, long time.Duration) (took []time.Duration, failed int) {
	total := int(float64(rate) * long.Seconds())
	took = make([]time.Duration, total)
	var bad atomic.Int64
	var wait sync.WaitGroup
	begin := time.Now()
	for i := range total {
		due := begin.Add(time.Duration(i) * time.Second / time.Duration(rate))
		time.Sleep(time.Until(due))
		wait.Go(func() {
			if !s.send(url) {
				bad.Add(1)
			}
			took[i] = time.Since(due)
		})
	}
	wait.Wait()
	slices.Sort(took)
	return took, int(bad.Load())
}

// flat sends one after the other on every connection, and returns how many a second.
func (s *sender) flat(b *testing.B, url string, long time.Duration) float64 {
	var done atomic.Int64
	var bad atomic.Bool
	var wait sync.WaitGroup
	begin := time.Now()
	for range benchConns {
		wait.Go(func() {
			for time.Since(begin) < long {
				if !s.send(url) {
					bad.Store(true)
				}
				done.Add(1)
			}
		})
	}
	wait.Wait()
	require.False(b, bad.Load(), "deliveries to %s failed", url)
	return float64(done.Load()) / time.Since(begin).Seconds()
}

// quantile of sorted durations, in milliseconds.
func quantile(sorted []time.Duration, q float64) float64 {
	i := min(int(q*float64(len(sorted))), len(sorted)-1)
	return float64(sorted[i].Microseconds()) / 1000
}
