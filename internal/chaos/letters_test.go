package chaos

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
)

var (
	letterCount = flag.Int("chaos.letters", 80, "how many deliveries of a megabyte that cannot be mapped one source sends")
	letterRate  = flag.Int("chaos.letterrate", 40, "how many of them a second")
)

// maxResident is what a worker and a gateway may take with any dead letters, in MiB.
const maxResident = 150

// One source's deliveries of a megabyte cannot be mapped: a second source goes on as
// before, nobody's memory grows with them, and what looks at letters stays quick;
// also with as many letters again of a gateway that knew neither bounds nor index.
func TestLargeLetters(t *testing.T) {
	t.Parallel()
	rdb, f := redistest.Start(t), &letterFlood{secret: "secret-for-tests-0123456789"}
	vercel, err := emulator.New(emulator.Config{})
	require.NoError(t, err)
	server := httptest.NewServer(vercel)
	t.Cleanup(func() {
		_ = vercel.Close()
		server.Close()
	})
	f.listen = freeAddress(t)
	f.env = []string{
		"EDGEPURGE_REDIS_URL=" + rdb.URL(), "EDGEPURGE_VERCEL_URL=" + server.URL, "VERCEL_TOKEN=t", "S=" + f.secret, "EDGEPURGE_LOG=warn",
		"EDGEPURGE_CONFIG=" + writeLetterConfig(t, f.listen, freeAddress(t)),
	}
	gateway, worker := launch(t, "gateway", f.env, "gateway"), launch(t, "worker", f.env, "worker")
	await(t, 30*time.Second, "the gateway answers", func() bool { return f.post("good", "{}") > 0 })

	f.compare(t)
	t.Logf("the flood was answered %v", f.answers)
	assert.Len(t, f.answers, min(2, 1+*letterCount/65), "kept, then refused: %v", f.answers)
	f.look(t, min(*letterCount, 64))

	oldLetters(t, rdb.Client(t), *letterCount)
	f.look(t, *letterCount+1)
	await(t, time.Minute, "all letters are read", func() bool {
		p := launch(t, "dead list", f.env, "dead", "list")
		return p.exit(t, time.Minute) == 0 && !p.out.has("have not been read yet")
	})
	for name, p := range map[string]*process{"gateway": gateway, "worker": worker} {
		peak := residentPeak(t, p)
		t.Logf("%s: at most %d MiB resident", name, peak)
		assert.Less(t, peak, maxResident, name)
	}
}

// compare has the flood come in up to five parts, before each of which it looks how
// long the deliveries of the other source take without.
func (f *letterFlood) compare(t *testing.T) {
	t.Helper()
	f.answers = map[int]int{}
	parts := max(1, min(5, *letterCount/400))
	var ratios [2][]float64
	for part := range parts {
		from, to := part**letterCount/parts, (part+1)**letterCount/parts
		length := time.Second + time.Second/time.Duration(*letterRate)*time.Duration(to-from)
		quiet := f.others(t, func() { time.Sleep(min(20*time.Second, length)) })
		busy := f.others(t, func() { f.flood(t, from, to) })
		t.Logf("others: p50 %s, p99 %s before; p50 %s, p99 %s during the flood", quiet.at(50), quiet.at(99), busy.at(50), busy.at(99))
		for i, percent := range []int{50, 99} {
			ratios[i] = append(ratios[i], float64(busy.at(percent))/float64(quiet.at(percent)))
		}
	}
	slices.Sort(ratios[0])
	slices.Sort(ratios[1])
	t.Logf("others: median of the ratios: p50 %.2f, p99 %.2f", ratios[0][parts/2], ratios[1][parts/2])
}

// letterFlood is a gateway's sources, and who sends to them.
type letterFlood struct {
	listen, secret string
	env            []string
	mu             sync.Mutex
	answers        map[int]int // status → how many of the flood
}

func (f *letterFlood) post(source, body string) int {
	mac := hmac.New(sha256.New, []byte(f.secret))
	mac.Write([]byte(body))
	return f.send(source, hex.EncodeToString(mac.Sum(nil)), strings.NewReader(body), len(body))
}

func (f *letterFlood) send(source, signature string, body io.Reader, size int) int {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+f.listen+"/hooks/"+source, body)
	if err != nil {
		return 0
	}
	r.ContentLength = int64(size)
	r.Header.Set("X-Signature", signature)
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// flood sends what cannot be mapped, at its rate. The bodies differ in their last
// bytes alone, so that to make and sign them costs the cores little: what the other
// source feels is the gateway.
func (f *letterFlood) flood(t *testing.T, from, to int) {
	t.Helper()
	large := `{"x":"` + strings.Repeat("b", 1<<20-1000) + `","n":`
	signed := hmac.New(sha256.New, []byte(f.secret))
	signed.Write([]byte(large))
	tick := time.NewTicker(time.Second / time.Duration(*letterRate))
	defer tick.Stop()
	var wait sync.WaitGroup
	slots := make(chan struct{}, 4)
	for i := from; i < to; i++ {
		<-tick.C
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			end := strconv.Itoa(i) + "}"
			status := f.send("flood", signature(t, signed, end), io.MultiReader(strings.NewReader(large), strings.NewReader(end)), len(large)+len(end))
			f.mu.Lock()
			defer f.mu.Unlock()
			f.answers[status]++
		})
	}
	wait.Wait()
}

// signature signs what was signed up to its end.
func signature(t *testing.T, signed hash.Hash, end string) string {
	t.Helper()
	cloner, ok := signed.(hash.Cloner)
	if !assert.True(t, ok) {
		return ""
	}
	mac, err := cloner.Clone()
	if !assert.NoError(t, err) {
		return ""
	}
	mac.Write([]byte(end))
	return hex.EncodeToString(mac.Sum(nil))
}

// waits are how long deliveries took, sorted.
type waits []time.Duration

func (w waits) at(percent int) time.Duration {
	return w[min(len(w)-1, len(w)*percent/100)].Round(10 * time.Microsecond)
}

// others sends to the other source while something is done. Each must be accepted.
func (f *letterFlood) others(t *testing.T, while func()) waits {
	t.Helper()
	var all waits
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			start := time.Now()
			status := f.post("good", fmt.Sprintf(`{"tags":["t%d"]}`, i))
			all = append(all, time.Since(start))
			assert.Equal(t, http.StatusOK, status)
		}
	}()
	while()
	close(stop)
	<-done
	slices.Sort(all)
	require.NotEmpty(t, all)
	return all
}

// look runs what looks at dead letters, of which there are at least so many.
func (f *letterFlood) look(t *testing.T, least int) {
	t.Helper()
	for _, command := range []string{"status", "dead list", "status", "dead list"} {
		start := time.Now()
		p := launch(t, command, f.env, strings.Fields(command)...)
		require.Zero(t, p.exit(t, time.Minute), command)
		t.Logf("%s: %s", command, time.Since(start).Round(time.Millisecond))
		if command == "status" {
			m := regexp.MustCompile(`dead letters: (\d+)`).FindStringSubmatch(p.out.String())
			require.Len(t, m, 2, p.out.String())
			n, err := strconv.Atoi(m[1])
			require.NoError(t, err)
			assert.GreaterOrEqual(t, n, least)
		} else {
			listed := p.out.lines()
			if m := regexp.MustCompile(`(\d+) older dead letters have not been read yet`).FindStringSubmatch(p.out.String()); m != nil {
				left, err := strconv.Atoi(m[1])
				require.NoError(t, err)
				t.Logf("%s: %d are not read yet", command, left)
				listed += left
			}
			assert.GreaterOrEqual(t, listed, least)
		}
	}
}

// oldLetters stores deliveries as gateways before 0.2 did, without their bounds.
func oldLetters(t *testing.T, rdb redis.UniversalClient, n int) {
	t.Helper()
	payload := []byte(`{"v":1,"source":"old","received_at":"2026-11-22T05:00:00Z","reason":"no tags","body":"` + strings.Repeat("b", 1<<20) + `"}`)
	const queue = "asynq:{" + tasks.QueueDeliveries + "}:"
	for i := range n {
		id := fmt.Sprintf("old%05d", i)
		var msg []byte
		for _, field := range []struct {
			number protowire.Number
			value  []byte
		}{{1, []byte(tasks.TypeDelivery)}, {2, payload}, {3, []byte(id)}, {4, []byte(tasks.QueueDeliveries)}} {
			msg = protowire.AppendBytes(protowire.AppendTag(msg, field.number, protowire.BytesType), field.value)
		}
		require.NoError(t, rdb.HSet(t.Context(), queue+"t:"+id, "msg", msg, "state", "archived").Err())
		require.NoError(t, rdb.ZAdd(t.Context(), queue+"archived", redis.Z{Score: float64(time.Now().Unix()), Member: id}).Err())
	}
}

func writeLetterConfig(t *testing.T, listen, metrics string) string {
	t.Helper()
	const source = `
    - name: %s
      verify: [{kind: signature, algorithm: hmac-sha256, encoding: hex, signature: {header: X-Signature}, signed: "{body}"}]
      secrets: ["env:S"]
      project: prj
      tags: '%s'`
	var b bytes.Buffer
	fmt.Fprintf(&b, "accounts: [{name: acme, token: \"env:VERCEL_TOKEN\"}]\nprojects: [{project: \"*\"}]\nworker: {metrics: %q}\ngateway:\n  listen: %q\n  sources:", metrics, listen)
	fmt.Fprintf(&b, source, "flood", `error("no tags")`)
	fmt.Fprintf(&b, source, "good", `tag(.tags)`)
	path := filepath.Join(t.TempDir(), "edgepurge.yaml")
	require.NoError(t, os.WriteFile(path, append(b.Bytes(), '\n'), 0o600))
	return path
}

// residentPeak is the most memory that a process had, in MiB; 0 where nothing tells.
func residentPeak(t *testing.T, p *process) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if os.IsNotExist(err) {
		return 0
	}
	require.NoError(t, err)
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text)
	require.NotNil(t, m)
	n, err := strconv.Atoi(string(m[1]))
	require.NoError(t, err)
	return n >> 10
}
