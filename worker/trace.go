package worker

import (
	"context"
	"time"

	"github.com/hibiken/asynq"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/edgepurge/edgepurge/internal/spans"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// tracer makes the spans of a worker; nil makes none.
type tracer struct{ trace.Tracer }

const (
	tracerName = "github.com/edgepurge/edgepurge/worker"
	// mostTraces bounds in how many traces one call shows.
	mostTraces = 32
)

func newTracer(p trace.TracerProvider) *tracer {
	if p == nil {
		return nil
	}
	return &tracer{p.Tracer(tracerName)}
}

// absorb begins the span of taking a request in, a child of the one that its
// producer's headers name.
func (t *tracer) absorb(ctx context.Context, task *asynq.Task) (context.Context, trace.Span) {
	if t == nil {
		return ctx, noop.Span{}
	}
	return t.Start(spans.WithParent(ctx, task.Headers()), "absorb", trace.WithSpanKind(trace.SpanKindConsumer))
}

// traceOf names the running span to the call that follows from it.
func (t *tracer) traceOf(ctx context.Context) string {
	if t == nil {
		return ""
	}
	return spans.Traceparent(ctx)
}

// absorbed ends it.
func (t *tracer) absorbed(span trace.Span, p *tasks.Purge, err error) {
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(
		spans.Request.String(p.ID), spans.Source.String(p.Source), spans.Project.String(p.Project),
		spans.Operation.String(string(p.Operation)), spans.Priority.String(string(p.Priority)),
		spans.Items.Int(len(p.Tags)+len(p.SrcImages)))
	if err != nil {
		spans.Fail(span, "not taken in")
	}
	span.End()
}

// made is a call that was made.
type made struct {
	account    string
	batch      *lanes.Batch
	attempt    int
	judgment   *Judgment
	status     int    // 0: no answer
	vercelID   string // Vercel's id of the request
	start, end time.Time
	origins    []lanes.Origin
}

// called shows a call in the traces of all requests that wait for it: as a client
// span in that of the first, and in each of the others as a span that is linked
// to it. A call that no recorded request waits for begins no trace of its own. It
// returns the trace id of the first; empty if there is none.
func (t *tracer) called(ctx context.Context, m *made) string {
	if t == nil {
		return ""
	}
	parents := parentsOf(m.origins) //nolint:contextcheck // it reads text, by a function that wants one
	if len(parents) == 0 {
		return ""
	}
	links := make([]trace.Link, 0, len(parents)-1)
	for _, p := range parents[1:] {
		links = append(links, trace.Link{SpanContext: p})
	}
	first := t.show(ctx, m, "purge", trace.SpanKindClient, parents[0], links...)
	for _, p := range parents[1:] {
		t.show(ctx, m, "purge (shared)", trace.SpanKindInternal, p, trace.Link{SpanContext: first})
	}
	return first.TraceID().String()
}

// parentsOf returns the different spans of the intake that origins name.
func parentsOf(origins []lanes.Origin) []trace.SpanContext {
	var parents []trace.SpanContext
	seen := map[string]bool{"": true}
	for _, o := range origins {
		if seen[o.Trace] || len(parents) == mostTraces {
			continue
		}
		seen[o.Trace] = true
		if p := spans.Parse(o.Trace); p.IsValid() {
			parents = append(parents, p)
		}
	}
	return parents
}

func (t *tracer) show(ctx context.Context, m *made, name string, kind trace.SpanKind, parent trace.SpanContext, links ...trace.Link) trace.SpanContext {
	lane, j := m.batch.Lane, m.judgment
	_, span := t.Start(trace.ContextWithRemoteSpanContext(ctx, parent), name,
		trace.WithSpanKind(kind), trace.WithTimestamp(m.start), trace.WithLinks(links...),
		trace.WithAttributes(
			spans.Account.String(m.account), spans.Project.String(lane.Project), spans.Operation.String(string(lane.Operation)),
			spans.Kind.String(string(lane.Kind)), spans.Priority.String(string(lane.Priority)),
			spans.Batch.String(m.batch.ID), spans.Items.Int(len(m.batch.Items)), spans.Requests.Int(len(m.origins)),
			spans.Attempt.Int(m.attempt), spans.Verdict.String(j.Verdict.String()),
			spans.WaitedMS.Int64(waited(m.batch).Milliseconds())))
	if m.status != 0 {
		span.SetAttributes(spans.Status.Int(m.status))
	}
	if m.vercelID != "" {
		span.SetAttributes(spans.VercelID.String(m.vercelID))
	}
	if j.Verdict != Done {
		span.SetAttributes(spans.Reason.String(string(j.Reason)))
		spans.Fail(span, string(j.Reason))
	}
	span.End(trace.WithTimestamp(m.end))
	return span.SpanContext()
}
