package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/configs"
	"github.com/edgepurge/edgepurge/enqueue/webhook"
	"github.com/edgepurge/edgepurge/internal/redistest"
)

// floodedPresets are all that prove a delivery by its body, and the headers with
// which a forged one gets as far as it can.
func floodedPresets(t *testing.T) map[string]map[string]string {
	t.Helper()
	presets, err := webhook.ParsePresets("presets.yaml", configs.Presets())
	require.NoError(t, err)
	now := time.Now()
	flooded := map[string]map[string]string{}
	for name, p := range presets {
		v := p.Verify[0]
		headers := map[string]string{}
		switch {
		case v.Kind == webhook.KindSignature && v.Algorithm != webhook.RSAPSSSHA256 && v.Algorithm != webhook.Ed25519:
			signature := map[string]string{
				webhook.EncodingHex: strings.Repeat("00", 32), webhook.EncodingBase64: strings.Repeat("A", 43) + "=", webhook.EncodingBase64URL: strings.Repeat("A", 43),
			}[v.Encoding]
			if v.Signature.Pair != "" {
				signature = v.Signature.Label[0] + v.Signature.Pair + signature
			}
			if v.Timestamp != nil && strings.HasPrefix(v.Timestamp.From, "param.") {
				signature += v.Signature.Split + "t" + v.Signature.Pair + fmt.Sprint(now.UnixMilli()) + v.Signature.Split + "env" + v.Signature.Pair + "master"
			}
			headers[v.Signature.Header] = signature
			for _, name := range []string{"Webhook-Id", "Svix-Id", "Webhook-Timestamp", "Svix-Timestamp", "X-Contentful-Timestamp"} {
				headers[name] = fmt.Sprint(now.Unix())
			}
			headers["X-Contentful-Signed-Headers"] = "x-contentful-timestamp,x-contentful-signed-headers"
		case v.Kind == webhook.KindToken && strings.HasPrefix(v.From, "json."):
		default:
			continue
		}
		flooded[name] = headers
	}
	require.Greater(t, len(flooded), 14)
	return flooded
}

// A stranger sends 100 bodies of 1 MB at once to a hook that proves a delivery by
// its body, to one after the other; what others send is taken, and the gateway
// stays within the memory of a small container.
func TestGateway_Flood(t *testing.T) {
	if testing.Short() {
		t.Skip("it sends two gigabytes")
	}
	flooded := floodedPresets(t)
	if os.Getenv("EDGEPURGE_FLOOD") != "full" { // the costliest of each kind
		for name := range flooded {
			if name != "prismic" && name != "hygraph" && name != "github" {
				delete(flooded, name)
			}
		}
	}
	config := benchConfig
	for name := range flooded {
		config += fmt.Sprintf("    - {name: x-%s, preset: %s, secrets: [\"env:FLOOD_%s\"], project: prj_abc}\n", name, name, strings.ToUpper(strings.ReplaceAll(name, "-", "_")))
	}
	url, pid := floodedGateway(t, config, flooded)
	body := []byte(`{"x":[` + strings.Repeat(`{"a":0},`, 1<<17-16) + `0]}`)
	genuine := &sender{client: &http.Transport{MaxIdleConnsPerHost: benchConns}}
	stranger := &http.Transport{MaxIdleConnsPerHost: 100, DisableKeepAlives: true}
	for name, headers := range flooded {
		var flood sync.WaitGroup
		var unproved atomic.Int32
		for range 100 {
			flood.Go(func() {
				r, err := http.NewRequest(http.MethodPost, url+"/hooks/x-"+name, bytes.NewReader(body))
				if err != nil {
					return
				}
				for header, value := range headers {
					r.Header.Set(header, value)
				}
				resp, err := stranger.RoundTrip(r)
				if err != nil {
					return // it was hung up on
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				assert.Contains(t, []int{401, 503}, resp.StatusCode, name)
				if resp.StatusCode == 401 {
					unproved.Add(1)
				}
			})
		}
		for i := range 20 {
			assert.True(t, genuine.send(url), "%s: genuine delivery %d", name, i)
			time.Sleep(10 * time.Millisecond)
		}
		flood.Wait()
		assert.Positive(t, unproved.Load(), "%s: none of them was looked at", name)
	}
	peak := peakKiB(t, pid)
	t.Logf("%d presets flooded, at most %d MiB", len(flooded), peak>>10)
	if !underRace {
		assert.Less(t, peak, 256<<10, "KiB")
	}
}

func floodedGateway(t *testing.T, config string, flooded map[string]map[string]string) (url string, pid int) {
	t.Helper()
	address, err := freeAddress()
	require.NoError(t, err)
	file := t.TempDir() + "/edgepurge.yaml"
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	process := exec.Command("edgepurge", "gateway")
	process.Env = append(os.Environ(), "EDGEPURGE_REDIS_URL="+redistest.Start(t).URL(), "EDGEPURGE_LISTEN="+address,
		"EDGEPURGE_CONFIG="+file, "BENCH_SECRET="+benchSecret)
	for name := range flooded {
		process.Env = append(process.Env, "FLOOD_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))+"=whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
	}
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
	return url, process.Process.Pid
}

// peakKiB is the most memory that a process had.
func peakKiB(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skip("the system does not tell how much memory a process had")
	}
	_, after, ok := strings.Cut(string(status), "VmHWM:")
	require.True(t, ok)
	kib, err := strconv.Atoi(strings.Fields(after)[0])
	require.NoError(t, err)
	return kib
}
