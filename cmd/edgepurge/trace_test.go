package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	collect "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
)

// seen is a span as it reached the collector.
type seen struct {
	*otlp.Span
	service string
}

// value is an attribute as text; empty if the span lacks it.
func (s seen) value(key string) string {
	for _, a := range s.GetAttributes() {
		if a.GetKey() != key {
			continue
		}
		if v, ok := a.GetValue().GetValue().(*common.AnyValue_IntValue); ok {
			return fmt.Sprint(v.IntValue)
		}
		return a.GetValue().GetStringValue()
	}
	return ""
}

// collector takes spans in by OTLP over HTTP, as an OpenTelemetry collector does.
type collector struct {
	*httptest.Server
	t     *testing.T
	mu    sync.Mutex
	spans []seen
	raw   bytes.Buffer
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{t: t}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	assert.NoError(c.t, err)
	assert.Equal(c.t, "/v1/traces", r.URL.Path)
	assert.Equal(c.t, "application/x-protobuf", r.Header.Get("Content-Type"))
	var got collect.ExportTraceServiceRequest
	assert.NoError(c.t, proto.Unmarshal(body, &got))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw.Write(body)
	for _, of := range got.GetResourceSpans() {
		service := seen{Span: &otlp.Span{Attributes: of.GetResource().GetAttributes()}}.value("service.name")
		for _, scope := range of.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				c.spans = append(c.spans, seen{s, service})
			}
		}
	}
}

// of lists the spans of a trace by their names.
func (c *collector) of(trace string) map[string][]seen {
	c.mu.Lock()
	defer c.mu.Unlock()
	spans := map[string][]seen{}
	for _, s := range c.spans {
		if hex.EncodeToString(s.GetTraceId()) == trace {
			spans[s.GetName()] = append(spans[s.GetName()], s)
		}
	}
	return spans
}

func (c *collector) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.spans)
}

// sending is the environment of a process that sends its spans there.
func sending(url string) []string {
	return []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + url, "OTEL_BSP_SCHEDULE_DELAY=50", "OTEL_EXPORTER_OTLP_TIMEOUT=200"}
}

// flow is a gateway and a worker, each a process of its own, with a Redis and an
// emulated Vercel.
type flow struct {
	t               *testing.T
	config          string
	redis           *redistest.Server
	url             string // of the gateway
	gateway, worker *exec.Cmd
	log             *screen // of both
	env             []string

	mu    sync.Mutex
	calls []http.Header
	fails int // so many calls are answered 503 first
}

const flowConfig = `
accounts:
  - {name: acme, token: "env:VERCEL_TOKEN", budget: {calls: 0, reserve: 0}, retry: {base: 100ms, cap: 100ms}}
projects: [{project: prj_abc, account: acme, linger: 10ms}]
worker: {metrics: ""}
gateway:
  sources:
    - {name: blog, preset: sanity, secrets: ["env:TOKEN"], project: prj_abc}
`

func newFlow(t *testing.T, fails int, env ...string) *flow {
	t.Helper()
	f := &flow{t: t, redis: redistest.Start(t), fails: fails, log: &screen{}}
	e, err := emulator.New(emulator.Config{Tokens: []emulator.Token{{Name: "test", Secret: secretToken}}})
	require.NoError(t, err)
	vercel := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.calls = append(f.calls, r.Header.Clone())
		fail := len(f.calls) <= f.fails
		f.mu.Unlock()
		if fail {
			http.Error(w, "no", http.StatusServiceUnavailable)
			return
		}
		e.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { e.Close(); vercel.Close() })
	address, err := freeAddress()
	require.NoError(t, err)
	f.url = "http://" + address
	f.config = filepath.Join(t.TempDir(), "edgepurge.yaml")
	require.NoError(t, os.WriteFile(f.config, []byte(flowConfig), 0o600))
	f.env = append(os.Environ(), append(env, "EDGEPURGE_REDIS_URL="+f.redis.URL(), "EDGEPURGE_LISTEN="+address,
		"EDGEPURGE_VERCEL_URL="+vercel.URL, "VERCEL_TOKEN="+secretToken, "TOKEN="+secretToken, "EDGEPURGE_CONFIG="+f.config)...)
	f.gateway = f.launch("gateway")
	require.Eventually(t, func() bool {
		resp, err := http.Get(f.url + "/healthz")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	}, 10*time.Second, 10*time.Millisecond, "the gateway comes up")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what the processes said:\n%s", f.log.String())
		}
	})
	return f
}

func (f *flow) launch(command string) *exec.Cmd {
	f.t.Helper()
	process := exec.Command("edgepurge", command)
	process.Env, process.Stderr = f.env, f.log
	require.NoError(f.t, process.Start())
	f.t.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait()
	})
	return process
}

// end tells a process to end, and waits for it.
func (f *flow) end(process *exec.Cmd) {
	f.t.Helper()
	require.NoError(f.t, process.Process.Signal(syscall.SIGTERM))
	require.NoError(f.t, process.Wait(), f.log.String())
}

// made is how many calls Vercel got.
func (f *flow) made() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.calls)
}

// deliver sends a delivery as Sanity does, and returns the status of the answer.
func (f *flow) deliver(id, secret, traceparent string) int {
	f.t.Helper()
	body := fmt.Sprintf(`{"_id":%q,"_type":"post"}`, id)
	at := time.Now().UnixMilli()
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d.%s", at, body)
	r, err := http.NewRequest(http.MethodPost, f.url+"/hooks/blog?key="+secretToken, strings.NewReader(body))
	require.NoError(f.t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Sanity-Webhook-Signature", fmt.Sprintf("t=%d,v1=%s", at, base64.RawURLEncoding.EncodeToString(mac.Sum(nil))))
	if traceparent != "" {
		r.Header.Set("Traceparent", traceparent)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(f.t, err)
	resp.Body.Close()
	return resp.StatusCode
}

const (
	sendersTrace = "0af7651916cd43dd8448eb211c80319c"
	sendersSpan  = "b7ad6b7169203331"
	traceparent  = "00-" + sendersTrace + "-" + sendersSpan + "-01"
)

// One trace leads from the webhook to the call of the API, over a retry too.
func TestTrace_FromWebhookToCall(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	f := newFlow(t, 1, sending(c.URL)...)
	f.worker = f.launch("worker")
	require.Equal(t, http.StatusOK, f.deliver("hello", secretToken, traceparent))
	require.Eventually(t, func() bool { return len(c.of(sendersTrace)["purge"]) == 2 }, 20*time.Second, 20*time.Millisecond, "two calls are in the trace")
	require.Equal(t, http.StatusUnauthorized, f.deliver("hello", "wrong", traceparent))
	f.end(f.gateway)
	f.end(f.worker)

	spans := c.of(sendersTrace)
	parent := sendersSpan
	for _, step := range []struct {
		name, service string
		kind          otlp.Span_SpanKind
	}{
		{"POST /hooks/blog", "edgepurge-gateway", otlp.Span_SPAN_KIND_SERVER},
		{"enqueue", "edgepurge-gateway", otlp.Span_SPAN_KIND_PRODUCER},
		{"absorb", "edgepurge-worker", otlp.Span_SPAN_KIND_CONSUMER},
	} {
		require.Len(t, spans[step.name], 1, "%s: a refused delivery leaves no span", step.name)
		s := spans[step.name][0]
		assert.Equal(t, parent, hex.EncodeToString(s.GetParentSpanId()), "%s hangs on the step before it", step.name)
		assert.Equal(t, step.kind, s.GetKind(), step.name)
		assert.Equal(t, step.service, s.service, step.name)
		assert.NotEqual(t, otlp.Status_STATUS_CODE_ERROR, s.GetStatus().GetCode(), step.name)
		parent = hex.EncodeToString(s.GetSpanId())
	}
	request := spans["absorb"][0].value("edgepurge.request")
	assert.NotEmpty(t, request)
	require.Len(t, spans["purge"], 2)
	for i, want := range []struct{ attempt, status, verdict, reason string }{
		{"1", "503", "retry", "server_error"}, {"2", "200", "done", ""},
	} {
		s := spans["purge"][i]
		assert.Equal(t, parent, hex.EncodeToString(s.GetParentSpanId()))
		assert.Equal(t, otlp.Span_SPAN_KIND_CLIENT, s.GetKind())
		for key, value := range map[string]string{
			"edgepurge.attempt": want.attempt, "http.response.status_code": want.status, "edgepurge.verdict": want.verdict,
			"edgepurge.reason": want.reason, "edgepurge.project": "prj_abc", "edgepurge.operation": "invalidate",
			"edgepurge.kind": "tag", "edgepurge.account": "acme", "edgepurge.requests": "1",
		} {
			assert.Equal(t, value, s.value(key), "%s of call %d", key, i+1)
		}
		assert.Equal(t, want.reason != "", s.GetStatus().GetCode() == otlp.Status_STATUS_CODE_ERROR)
		assert.Greater(t, s.GetEndTimeUnixNano(), s.GetStartTimeUnixNano())
	}

	// The log tells the same.
	ids := `"request_ids":["` + request + `"]`
	assert.Equal(t, 3, strings.Count(f.log.String(), ids), "%s is in the line of the webhook, and of each call", ids)
	for _, part := range []string{`"sources":["sanity/blog"]`, `"sanity:hello"`, `"trace_id":"` + sendersTrace + `"`, `"waited_ms":`} {
		assert.Equal(t, 2, strings.Count(f.log.String(), part), "%s is in the line of each call", part)
	}
	for _, h := range f.calls {
		assert.Empty(t, h.Get("Traceparent"), "Vercel asked for none")
	}
	assert.NotContains(t, c.raw.String(), secretToken)
	assert.NotContains(t, f.log.String(), secretToken)
}

// A purge by the command line goes on with the trace of the shell.
func TestTrace_FromTheCommandLine(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	f := newFlow(t, 0, sending(c.URL)...)
	purge := exec.Command("edgepurge", "purge", "--project", "prj_abc", "--tag", "a")
	purge.Env = append(f.env, "TRACEPARENT="+traceparent)
	said, err := purge.CombinedOutput()
	require.NoError(t, err, "%s", said)
	assert.Equal(t, 1, bytes.Count(said, []byte("\n")), "%s", said)
	f.worker = f.launch("worker")
	require.Eventually(t, func() bool { return len(c.of(sendersTrace)["purge"]) == 1 }, 20*time.Second, 20*time.Millisecond, "the call is in the trace")
	spans := c.of(sendersTrace)
	require.Len(t, spans["edgepurge purge"], 1)
	assert.Equal(t, sendersSpan, hex.EncodeToString(spans["edgepurge purge"][0].GetParentSpanId()))
	require.Len(t, spans["enqueue"], 1)
	assert.Equal(t, "edgepurge-purge", spans["enqueue"][0].service)
	assert.Equal(t, spans["edgepurge purge"][0].GetSpanId(), spans["enqueue"][0].GetParentSpanId())
}

// Without OTEL_*, or with OTEL_SDK_DISABLED, nothing is traced, whoever asks.
func TestTrace_Off(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	for name, env := range map[string][]string{
		"unset":    nil,
		"disabled": append(sending(c.URL), "OTEL_SDK_DISABLED=true"),
		"none":     append(sending(c.URL), "OTEL_TRACES_EXPORTER=none"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFlow(t, 0, env...)
			require.Equal(t, http.StatusOK, f.deliver("hello", secretToken, traceparent))
			waiting, err := asynq.NewInspectorFromRedisClient(f.redis.Client(t)).ListPendingTasks(tasks.QueueIntake)
			require.NoError(t, err)
			require.Len(t, waiting, 1)
			assert.Empty(t, waiting[0].Headers)
			f.worker = f.launch("worker")
			require.Eventually(t, func() bool { return f.made() == 1 }, 20*time.Second, 20*time.Millisecond, "the call")
			f.end(f.worker)
			f.end(f.gateway)
			assert.Zero(t, c.count())
			assert.NotContains(t, f.log.String(), "trace")
			assert.Contains(t, f.log.String(), `"sources":["sanity/blog"]`, "who asked is told all the same")
		})
	}
}

// A collector that is down costs its spans and a line of the log.
func TestTrace_CollectorIsDown(t *testing.T) {
	t.Parallel()
	nobody, err := freeAddress()
	require.NoError(t, err)
	f := newFlow(t, 0, append(sending("http://"+nobody), "OTEL_EXPORTER_OTLP_HEADERS=authorization="+secretToken+",broken"+secretToken)...)
	f.worker = f.launch("worker")
	for i := range 10 {
		require.Equal(t, http.StatusOK, f.deliver(fmt.Sprint("post-", i), secretToken, traceparent))
		time.Sleep(60 * time.Millisecond)
	}
	require.Eventually(t, func() bool {
		return f.made() > 0 && strings.Count(f.log.String(), "traces were not sent") == 2
	}, 20*time.Second, 20*time.Millisecond, "the gateway and the worker say so")
	start := time.Now()
	f.end(f.gateway)
	f.end(f.worker)
	assert.Less(t, time.Since(start), 10*time.Second)
	assert.Equal(t, 2, strings.Count(f.log.String(), "traces were not sent"), "once a minute")
	assert.NotContains(t, f.log.String(), secretToken)
}

// A variable that cannot be meant so is refused, and named.
func TestTrace_Misconfigured(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"worker"}, {"gateway"}, {"serve"}, {"purge", "--project", "p", "--tag", "a"}} {
		file := filepath.Join(t.TempDir(), "edgepurge.yaml")
		require.NoError(t, os.WriteFile(file, []byte(flowConfig), 0o600))
		got := command(t, map[string]string{
			"EDGEPURGE_CONFIG": file, "VERCEL_TOKEN": secretToken, "TOKEN": secretToken, "EDGEPURGE_REDIS_URL": redistest.Start(t).URL(),
			"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
		}, args...)
		assert.Equal(t, exitFailed, got.code, args)
		assert.Contains(t, got.stderr, `OTEL_EXPORTER_OTLP_PROTOCOL is "http/json": use http/protobuf (the default) or grpc`)
	}
}
