// Package spans is what the spans of producers, gateway and worker have in common:
// their attributes, and how their context travels in the headers of a task. It
// knows OpenTelemetry's API only: who records spans and where they go is
// internal/tracing's, or that of the program around package enqueue.
package spans

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// The attributes. None of them holds what a sender, Vercel or a configuration
// wrote as free text: a secret could be in it.
const (
	Account   = attribute.Key("edgepurge.account")
	Attempt   = attribute.Key("edgepurge.attempt") // of a batch, from 1
	Batch     = attribute.Key("edgepurge.batch")
	Items     = attribute.Key("edgepurge.items") // how many
	Kind      = attribute.Key("edgepurge.kind")
	Operation = attribute.Key("edgepurge.operation")
	Priority  = attribute.Key("edgepurge.priority")
	Project   = attribute.Key("edgepurge.project")
	Reason    = attribute.Key("edgepurge.reason") // why a call did not succeed
	Request   = attribute.Key("edgepurge.request")
	Requests  = attribute.Key("edgepurge.requests") // how many wait for a call, as far as known
	Source    = attribute.Key("edgepurge.source")
	Verdict   = attribute.Key("edgepurge.verdict")
	VercelID  = attribute.Key("edgepurge.vercel_id")
	WaitedMS  = attribute.Key("edgepurge.waited_ms") // from when the oldest item was due until the claim

	Method = attribute.Key("http.request.method")
	Path   = attribute.Key("url.path")
	Status = attribute.Key("http.response.status_code")
)

// Headers returns the headers that carry the context of the running span to who
// works on a task, "traceparent" and "tracestate" by W3C; nil without a span.
func Headers(ctx context.Context) map[string]string {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return nil
	}
	headers := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, headers)
	return headers
}

// WithParent returns ctx with the span that the headers of a task name, if they do.
func WithParent(ctx context.Context, headers map[string]string) context.Context {
	if headers[traceparent] == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier(headers))
}

const traceparent = "traceparent"

// Traceparent writes the context of a span that is recorded; empty otherwise.
func Traceparent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ""
	}
	return Headers(ctx)[traceparent]
}

// Parse reads what Traceparent wrote; what is none is not valid.
func Parse(text string) trace.SpanContext {
	return trace.SpanContextFromContext(WithParent(context.Background(), map[string]string{traceparent: text}))
}

// Fail marks a span as failed, for a reason that is one of a few words.
func Fail(span trace.Span, reason string) { span.SetStatus(codes.Error, reason) }
