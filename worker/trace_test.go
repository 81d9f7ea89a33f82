package worker

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/internal/spans"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// recording makes a worker's spans and keeps them.
func recording(options ...sdk.TracerProviderOption) (*sdk.TracerProvider, *tracetest.InMemoryExporter) {
	kept := tracetest.NewInMemoryExporter()
	return sdk.NewTracerProvider(append(options, sdk.WithSyncer(kept))...), kept
}

// traceNumber is the traceparent of a sender.
func traceNumber(n int) string { return fmt.Sprintf("00-%032d-%016d-01", n, n) }

// tracedLab is a lab whose worker makes spans.
func tracedLab(t *testing.T, c Config, rdb redis.UniversalClient, traces trace.TracerProvider) *lab {
	t.Helper()
	l := newLab(t, c, rdb)
	l.intake.tracer, l.attempts.tracer = newTracer(traces), newTracer(traces)
	for _, p := range l.pacers {
		p.caller.tracer = newTracer(traces)
	}
	return l
}

// take has the intake handle a request with a traceparent, and returns its id.
func (l *lab) take(p tasks.Purge, traceparent string) string {
	l.t.Helper()
	p = filled(p)
	payload, err := p.Encode()
	require.NoError(l.t, err)
	headers := map[string]string{}
	if traceparent != "" {
		headers["traceparent"] = traceparent
	}
	require.NoError(l.t, l.intake.ProcessTask(l.t.Context(), asynq.NewTaskWithHeaders(tasks.TypeRequest, payload, headers)))
	return p.ID
}

func named(all tracetest.SpanStubs, name string) (found tracetest.SpanStubs) {
	for _, s := range all {
		if s.Name == name {
			found = append(found, s)
		}
	}
	return found
}

// A call that several traces wait for is shown in each, and made by the first.
func TestTrace_OfASharedCall(t *testing.T) {
	t.Parallel()
	rdb, _ := redistest.Mini(t)
	traces, kept := recording()
	l := tracedLab(t, testConfig(answering(t, nil).URL), rdb, traces)
	first := l.take(tasks.Purge{Tags: []string{"a", "b"}, Source: "sanity/blog"}, traceNumber(1))
	second := l.take(tasks.Purge{Tags: []string{"b"}}, traceNumber(2))
	third := l.take(tasks.Purge{Tags: []string{"c"}}, "") // its trace begins here
	l.start()
	eventually(t, func() bool { return len(named(kept.GetSpans(), "purge (shared)")) == 2 }, "one call, three traces")
	l.stop()

	absorbed := named(kept.GetSpans(), "absorb")
	require.Len(t, absorbed, 3)
	assert.Equal(t, trace.SpanKindConsumer, absorbed[0].SpanKind)
	calls := append(named(kept.GetSpans(), "purge"), named(kept.GetSpans(), "purge (shared)")...)
	require.Len(t, calls, 3)
	for i, s := range calls {
		assert.Equal(t, absorbed[i].SpanContext.TraceID(), s.SpanContext.TraceID())
		assert.Equal(t, absorbed[i].SpanContext.SpanID(), s.Parent.SpanID())
		assert.Equal(t, calls[0].StartTime, s.StartTime)
		assert.Equal(t, calls[0].EndTime, s.EndTime)
		assert.Contains(t, s.Attributes, spans.Items.Int(3))
		assert.Contains(t, s.Attributes, spans.Requests.Int(3))
	}
	assert.Equal(t, trace.SpanKindClient, calls[0].SpanKind)
	assert.Len(t, calls[0].Links, 2)
	for _, s := range calls[1:] {
		assert.Equal(t, trace.SpanKindInternal, s.SpanKind, "one call is counted once")
		require.Len(t, s.Links, 1)
		assert.Equal(t, calls[0].SpanContext.SpanID(), s.Links[0].SpanContext.SpanID())
	}
	assert.True(t, l.logs.has(fmt.Sprintf(`"items":3,"item_names":["a","b","c"],"requests":3,"request_ids":[%q,%q,%q],"sources":["sanity/blog"]`, first, second, third)), l.logs)
	assert.True(t, l.logs.has(`"trace_id":"00000000000000000000000000000001"`))
}

// What its sender does not sample leaves no span anywhere.
func TestTrace_NotSampled(t *testing.T) {
	t.Parallel()
	rdb, _ := redistest.Mini(t)
	traces, kept := recording()
	l := tracedLab(t, testConfig(answering(t, nil).URL), rdb, traces)
	l.take(tasks.Purge{Tags: []string{"a"}}, strings.TrimSuffix(traceNumber(1), "1")+"0")
	l.start()
	eventually(t, l.idle, "the call is made")
	l.stop()
	assert.Empty(t, kept.GetSpans())
	assert.False(t, l.logs.has("trace_id"))
}

// A worker without tracing does not look at the headers.
func TestTrace_WorkerWithout(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	l := newLab(t, testConfig(answering(t, nil).URL), rdb)
	l.take(tasks.Purge{Tags: []string{"a"}}, traceNumber(1))
	assert.NotContains(t, dump(t, rdb), "00-0000")
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		_, span := l.intake.tracer.absorb(t.Context(), nil)
		l.intake.tracer.absorbed(span, nil, nil)
		l.attempts.tracer.called(t.Context(), nil)
	}))
}

// One call is in 32 traces at most.
func TestParentsOf(t *testing.T) {
	var origins []lanes.Origin
	for i := range 3 * mostTraces {
		origins = append(origins, lanes.Origin{Trace: traceNumber(1 + i/2)}, lanes.Origin{}, lanes.Origin{Trace: "rubbish"})
	}
	parents := parentsOf(origins)
	require.Len(t, parents, mostTraces)
	assert.Equal(t, fmt.Sprintf("%016d", mostTraces), parents[mostTraces-1].SpanID().String())
	assert.Empty(t, parentsOf(nil))
}

// A request that cannot be taken in is told in its trace, without its words.
func TestTrace_OfAFailure(t *testing.T) {
	t.Parallel()
	rdb, _ := redistest.Mini(t)
	traces, kept := recording()
	l := tracedLab(t, testConfig(nowhere), rdb, traces)
	err := l.intake.ProcessTask(t.Context(), asynq.NewTaskWithHeaders(tasks.TypeRequest, []byte(`{"v":1,"secret":1}`), map[string]string{"traceparent": traceNumber(7)}))
	require.Error(t, err)
	require.Len(t, kept.GetSpans(), 1)
	s := kept.GetSpans()[0]
	assert.Equal(t, fmt.Sprintf("%032d", 7), s.SpanContext.TraceID().String())
	assert.Equal(t, "not taken in", s.Status.Description)
}

// Retries and the halves of a split bring their requests along, each its own.
func TestOrigins_OfHalvesAndRetries(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		failed := false
		api := newAPI(t, emulator.Config{}, func(c call) *reply {
			switch {
			case len(c.Items) > 2:
				return &reply{status: http.StatusBadRequest, body: `{"error":{"code":"bad_request","message":"no"}}`}
			case len(c.Items) == 2 && !failed:
				failed = true
				return &reply{status: http.StatusServiceUnavailable}
			}
			return nil
		})
		c := testConfig(api.URL)
		c.Accounts[0].Budget.InFlight = 1
		traces, kept := recording()
		l := tracedLab(t, c, rdb, traces)
		ids := map[string]string{}
		for i, tag := range []string{"a", "b", "c"} {
			ids[tag] = l.take(tasks.Purge{Tags: []string{tag}, Source: "cms-" + tag}, traceNumber(i+1))
		}
		l.start()
		eventually(t, func() bool { return l.idle() && strings.Count(l.logs.String(), `"verdict":"done"`) == 2 }, "both halves are purged")
		l.stop()
		for _, want := range [][]string{{"split", "a", "b", "c"}, {"done", "a"}, {"done", "b", "c"}} {
			requests, sources := ids[want[1]], "cms-"+want[1]
			for _, tag := range want[2:] {
				requests += `","` + ids[tag]
				sources += `","cms-` + tag
			}
			part := fmt.Sprintf(`"requests":%d,"request_ids":["%s"],"sources":["%s"],"attempt":`, len(want)-1, requests, sources)
			found := false
			for line := range strings.Lines(l.logs.String()) {
				found = found || strings.Contains(line, part) && strings.Contains(line, `"verdict":"`+want[0]+`"`)
			}
			assert.True(t, found, "%s in\n%s", part, l.logs)
		}
		assert.Len(t, named(kept.GetSpans(), "purge"), 4, "the batch, a half twice, the other")
		assert.Len(t, named(kept.GetSpans(), "purge (shared)"), 4, "two of the batch, one of each attempt with the half of two")
	})
}

// A dead letter keeps its requests for its replay.
func TestOrigins_OfADeadLetter(t *testing.T) {
	t.Parallel()
	rdb, _ := redistest.Mini(t)
	l := newLab(t, testConfig(answering(t, &reply{status: http.StatusTeapot}).URL), rdb)
	id := l.take(tasks.Purge{Tags: []string{"a"}}, "")
	l.start()
	eventually(t, func() bool { return len(letters(t, rdb)) == 1 }, "the letter")
	l.stop()
	assert.Equal(t, `{"origins":["`+id+`"],"origin_of":[1]}`, letters(t, rdb)[0].Headers[headerOrigins])
}

// A refused attempt gives its items back with their requests.
func TestOrigins_OfARefusedAttempt(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	c := testConfig(nowhere)
	c.Accounts[0].Budget.Calls, c.Accounts[0].Budget.Per = 1, time.Minute
	l := newLab(t, c, rdb)
	l.spend()
	call := callNamed("b", "x", "y")
	payload, err := call.Encode()
	require.NoError(t, err)
	require.NoError(t, l.attempts.ProcessTask(t.Context(), asynq.NewTaskWithHeaders(tasks.TypeCall, payload, map[string]string{
		headerOrigins: `{"origins":["r1 - cms"],"origin_of":[1,0]}`,
	})))
	assert.ElementsMatch(t, []string{"x", "y"}, l.pending(tagLane("prj")))
	assert.Equal(t, map[string]string{"x": "r1 - cms"}, rdb.HGetAll(t.Context(), "edgepurge:{default}:origins:"+tagLane("prj").Family()).Val())
}

// The line of a call stays one of bounded length, whatever a batch holds.
func TestTell_IsBounded(t *testing.T) {
	logs := &logBuffer{}
	c := &caller{log: zerolog.New(logs)}
	b := lanes.Batch{ID: "b", Lane: tagLane("prj"), Due: time.UnixMilli(1000), ClaimedAt: time.UnixMilli(3500)}
	for i := range 1000 {
		b.Items = append(b.Items, fmt.Sprintf("/%d\n%s", i, strings.Repeat("ü", 4000)))
	}
	m := made{account: "acme", batch: &b, attempt: 3, judgment: &Judgment{Verdict: TryAgain, Reason: ServerError}, status: 503}
	for i := range 1000 {
		m.origins = append(m.origins, lanes.Origin{Request: fmt.Sprint("r", i), Source: strings.Repeat("s", 1000) + fmt.Sprint(i)})
	}
	c.tell(&m, "")
	line := logs.String()
	assert.Equal(t, 1, strings.Count(line, "\n"))
	assert.Less(t, len(line), 10_000)
	assert.Contains(t, line, `"items":1000,`)
	assert.Contains(t, line, `"requests":1000,`)
	assert.Contains(t, line, `"r19"],"sources":["`)
	assert.NotContains(t, line, `"r20"`)
	assert.Contains(t, line, `"waited_ms":2500`)
	assert.NotContains(t, line, "trace_id")
}
