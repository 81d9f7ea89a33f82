package tracing

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	collect "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"

	"github.com/edgepurge/edgepurge/internal/spans"
)

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// recorder is a Provider that keeps what it would send.
func recorder(joins bool) (*Provider, *tracetest.InMemoryExporter) {
	kept := tracetest.NewInMemoryExporter()
	return &Provider{sdk.NewTracerProvider(sdk.WithSyncer(kept)), joins}, kept
}

func TestOff(t *testing.T) {
	p, err := Start(t.Context(), Config{Getenv: func(string) string { return "" }})
	require.NoError(t, err)
	require.Nil(t, p)
	var none trace.TracerProvider
	assert.Equal(t, none, p.Tracers(), "no interface around a nil pointer")
	next := http.NotFoundHandler()
	assert.NotPanics(t, func() {
		assert.IsType(t, next, p.Handler(next, nil), "no wrapper")
		ctx, end := p.Command(t.Context(), "x", parent)
		assert.Nil(t, spans.Headers(ctx))
		end()
		p.Stop(t.Context())
	})
}

func TestHandler(t *testing.T) {
	for _, c := range []struct {
		name    string
		joins   bool
		request string
		status  int
		spans   int
	}{
		{"ok", true, "/hooks/blog?token=secret", 200, 1},
		{"created without a header", true, "/hooks/blog", 0, 1},
		{"alone", false, "/hooks/blog", 200, 1},
		{"unavailable", true, "/hooks/blog", 503, 1},
		{"unauthorized", true, "/hooks/blog", 401, 0},
		{"unknown", true, "/hooks/blog", 404, 0},
		{"too large", true, "/hooks/blog", 413, 0},
		{"not asked for", true, "/metrics", 200, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, kept := recorder(c.joins)
			var within map[string]string
			h := p.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				within = spans.Headers(r.Context())
				assert.NoError(t, http.NewResponseController(w).Flush(), "the connection can be reached")
				if c.status != 0 {
					w.WriteHeader(c.status)
				}
			}), func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/hooks/") })
			r := httptest.NewRequest(http.MethodPost, c.request, strings.NewReader("secret"))
			r.Header.Set("Traceparent", parent)
			r.Header.Set("Authorization", "secret")
			w := &unflushed{httptest.NewRecorder()}
			h.ServeHTTP(w, r)
			if c.status != 0 {
				assert.Equal(t, c.status, w.Code)
			}
			got := kept.GetSpans()
			require.Len(t, got, c.spans)
			if c.spans == 0 {
				return
			}
			s := got[0]
			assert.Equal(t, "POST /hooks/blog", s.Name)
			assert.Equal(t, trace.SpanKindServer, s.SpanKind)
			assert.Equal(t, c.joins, s.Parent.IsValid())
			assert.Contains(t, within["traceparent"], s.SpanContext.SpanID().String(), "what it does is below it")
			for _, a := range s.Attributes {
				assert.NotContains(t, a.Value.String(), "secret")
			}
			assert.Equal(t, c.status >= 500, s.Status.Description != "")
		})
	}
}

// unflushed is a recorder whose Flush does not begin the answer.
type unflushed struct{ *httptest.ResponseRecorder }

func (unflushed) Flush() {}

func TestCommand(t *testing.T) {
	for _, c := range []struct {
		joins       bool
		traceparent string
		joined      bool
	}{
		{true, parent, true}, {true, "", false}, {true, "rubbish", false}, {false, parent, false},
	} {
		p, kept := recorder(c.joins)
		ctx, end := p.Command(t.Context(), "purge", c.traceparent)
		assert.NotNil(t, spans.Headers(ctx))
		end()
		require.Len(t, kept.GetSpans(), 1)
		assert.Equal(t, c.joined, kept.GetSpans()[0].Parent.IsValid(), "%+v", c)
	}
}

// grpcCollector takes spans in by OTLP over gRPC.
type grpcCollector struct {
	collect.UnimplementedTraceServiceServer
	got chan *collect.ExportTraceServiceRequest
}

func (c *grpcCollector) Export(_ context.Context, r *collect.ExportTraceServiceRequest) (*collect.ExportTraceServiceResponse, error) {
	c.got <- r
	return &collect.ExportTraceServiceResponse{}, nil
}

func TestStart_GRPC(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &grpcCollector{got: make(chan *collect.ExportTraceServiceRequest, 1)}
	server := grpc.NewServer()
	collect.RegisterTraceServiceServer(server, c)
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+listener.Addr().String())
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
	p, err := Start(t.Context(), Config{Service: "edgepurge-test", Version: "v1", Getenv: os.Getenv})
	require.NoError(t, err)
	_, end := p.Command(t.Context(), "purge", "")
	end()
	p.Stop(t.Context())
	about := (<-c.got).GetResourceSpans()[0].GetResource().String()
	for _, part := range []string{"edgepurge-test", "v1", "deployment.environment.name"} {
		assert.Contains(t, about, part)
	}
}

// Stop does not wait for ever for a collector that hangs.
func TestStop_IsBounded(t *testing.T) {
	hangs := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hangs }))
	defer server.Close()
	defer close(hangs)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	var said bytes.Buffer
	p, err := Start(t.Context(), Config{Service: "x", Getenv: os.Getenv, Log: zerolog.New(&said)})
	require.NoError(t, err)
	_, end := p.Command(t.Context(), "purge", "")
	end()
	start := time.Now()
	p.Stop(t.Context())
	assert.Less(t, time.Since(start), stopWithin+time.Second)
	assert.Contains(t, said.String(), "traces were not sent")
}

func TestHear(t *testing.T) {
	var said bytes.Buffer
	hear(zerolog.New(&said))
	for range 100 {
		otel.Handle(errors.New("refused " + strings.Repeat("x", 1000)))
	}
	sink{zerolog.New(&said)}.Error(errors.New("missing '=' in secret"), "parse headers", "input", "secret")
	lines := strings.Split(strings.TrimSpace(said.String()), "\n")
	require.Len(t, lines, 2, "one a minute")
	assert.Less(t, len(lines[0]), 500)
	assert.Contains(t, lines[1], "parse headers")
	assert.NotContains(t, said.String(), "secret")
}
