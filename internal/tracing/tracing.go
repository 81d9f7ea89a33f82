// Package tracing sends spans to an OpenTelemetry collector if the standard
// OTEL_* variables ask for it, and makes those of HTTP requests. It is the one
// package that knows OpenTelemetry's SDK: the spans of the pipeline are made
// where they happen, by the API alone.
package tracing

import (
	"context"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/edgepurge/edgepurge/internal/spans"
)

// Config says who sends the spans.
type Config struct {
	// Service and Version name the process; OTEL_SERVICE_NAME and
	// OTEL_RESOURCE_ATTRIBUTES go before them.
	Service, Version string
	// Getenv reads the environment. The SDK reads the process's own besides: the
	// two must not differ.
	Getenv func(string) string
	// Log hears of a collector that does not take the spans, once a minute.
	Log zerolog.Logger
}

// Provider makes spans and sends them. Nil is one that is off: it makes none, and
// all its methods may be called.
type Provider struct {
	sdk   *sdk.TracerProvider
	joins bool
}

// Start begins to send spans, in the background, or returns nil if the environment
// does not ask for any. It does not connect: a collector that is down costs the
// spans, and nothing else. The error is a variable that cannot be meant so.
// What the SDK tells of itself is the whole process's: the last Start has it.
func Start(ctx context.Context, c Config) (*Provider, error) {
	s, err := read(c.Getenv)
	if err != nil || !s.on {
		return nil, err
	}
	hear(c.Log)
	client := otlptracehttp.NewClient()
	if s.grpc {
		client = otlptracegrpc.NewClient()
	}
	exporter, err := otlptrace.New(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("send traces as OTEL_EXPORTER_OTLP_* says: %w", err)
	}
	about, err := resource.New(ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", c.Service), attribute.String("service.version", c.Version)),
		resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("read OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	c.Log.Info().Str("service", serviceOf(about)).Msg("sending traces")
	return &Provider{sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about)), s.joins}, nil
}

func serviceOf(r *resource.Resource) string {
	name, _ := r.Set().Value("service.name")
	return name.AsString()
}

// Tracers returns what makes the spans; nil if p is off.
func (p *Provider) Tracers() trace.TracerProvider {
	if p == nil {
		return nil
	}
	return p.sdk
}

// Command begins the span of a command, a child of the one that traceparent names
// if it is valid: the shell's TRACEPARENT. The caller calls end.
func (p *Provider) Command(ctx context.Context, name, traceparent string) (of context.Context, end func()) {
	if p == nil {
		return ctx, func() {}
	}
	if parent := spans.Parse(traceparent); p.joins && parent.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
	}
	ctx, span := p.sdk.Tracer(tracerName).Start(ctx, name)
	return ctx, func() { span.End() }
}

// stopWithin bounds how long Stop waits for the collector.
const stopWithin = 2 * time.Second

// Stop sends what is left, for at most 2 seconds, even if ctx has ended. No span
// may be made after it.
func (p *Provider) Stop(ctx context.Context) {
	if p == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	if err := p.sdk.Shutdown(ctx); err != nil {
		otel.Handle(err)
	}
}
