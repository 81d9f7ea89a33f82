package tracing

import (
	"net/http"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/edgepurge/edgepurge/internal/spans"
)

const tracerName = "github.com/edgepurge/edgepurge/internal/tracing"

// Handler gives the requests that traced picks a span, a child of the one that
// their traceparent names. A request that is refused with a 4xx leaves none: who
// has no key must not be able to fill a collector. Nothing of its query, headers
// and body is in the span.
func (p *Provider) Handler(next http.Handler, traced func(*http.Request) bool) http.Handler {
	if p == nil {
		return next
	}
	tracer := p.sdk.Tracer(tracerName)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !traced(r) {
			next.ServeHTTP(w, r)
			return
		}
		ctx := r.Context()
		if p.joins {
			ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header))
		}
		ctx, span := tracer.Start(ctx, r.Method+" "+r.URL.Path, trace.WithSpanKind(trace.SpanKindServer),
			trace.WithAttributes(spans.Method.String(r.Method), spans.Path.String(r.URL.Path)))
		answer := &answer{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(answer, r.WithContext(ctx))
		if answer.status >= 400 && answer.status < 500 {
			return // a span that does not end is not sent
		}
		span.SetAttributes(spans.Status.Int(answer.status))
		if answer.status >= 500 {
			spans.Fail(span, http.StatusText(answer.status))
		}
		span.End()
	})
}

// answer notes the status of an answer.
type answer struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
