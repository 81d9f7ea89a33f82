package enqueue

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/trace"

	"github.com/edgepurge/edgepurge/internal/spans"
	"github.com/edgepurge/edgepurge/tasks"
)

const tracerName = "github.com/edgepurge/edgepurge/enqueue"

// begin begins the span of a request by the tracer of the span that ctx carries.
// Without one nothing is traced.
func begin(ctx context.Context) (context.Context, trace.Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.SpanContext().IsValid() {
		return ctx, parent
	}
	return parent.TracerProvider().Tracer(tracerName).Start(ctx, "enqueue", trace.WithSpanKind(trace.SpanKindProducer))
}

// end ends the span of a request. Not in the words of the error: a secret of its
// caller's could be in them.
func end(span trace.Span, p tasks.Purge, r Receipt, err error) {
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(
		spans.Request.String(r.ID), spans.Project.String(p.Project), spans.Operation.String(string(p.Operation)),
		spans.Items.Int(len(p.Tags)+len(p.SrcImages)))
	switch {
	case errors.Is(err, tasks.ErrInvalid):
		spans.Fail(span, "invalid")
	case errors.Is(err, ErrFull):
		spans.Fail(span, "full")
	case err != nil:
		spans.Fail(span, "not stored")
	}
	span.End()
}
