package enqueue

import (
	"context"
	"net/http"
	"testing"

	"github.com/hibiken/asynq"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/internal/spans"
	"github.com/edgepurge/edgepurge/tasks"
)

// Whatever a program traces with: its span is the parent, and the task names ours.
func TestPurge_Traced(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	client, err := New(Config{Client: rdb, MaxQueued: 2})
	require.NoError(t, err)
	kept := tracetest.NewInMemoryExporter()
	ctx, parent := sdk.NewTracerProvider(sdk.WithSyncer(kept)).Tracer("test").Start(t.Context(), http.MethodPost)
	p := tasks.Purge{Project: "prj", Operation: tasks.Delete, Tags: []string{"secret-a", "b"}}
	receipt, err := client.Purge(ctx, p)
	require.NoError(t, err)

	require.Len(t, kept.GetSpans(), 1)
	s := kept.GetSpans()[0]
	assert.Equal(t, "enqueue", s.Name)
	assert.Equal(t, trace.SpanKindProducer, s.SpanKind)
	assert.Equal(t, parent.SpanContext().SpanID(), s.Parent.SpanID())
	assert.Contains(t, s.Attributes, spans.Request.String(receipt.ID))
	assert.Contains(t, s.Attributes, spans.Items.Int(2))
	assert.Contains(t, headers(t, client, receipt.ID)["traceparent"], s.SpanContext.SpanID().String())

	p.Tags = append(p.Tags, "")
	_, err = client.Purge(ctx, p)
	require.ErrorIs(t, err, tasks.ErrInvalid)
	client.bound.most = 1
	client.bound.next.Store(0) // as if a second had passed
	p.Tags = p.Tags[:1]
	_, err = client.Purge(ctx, p)
	require.ErrorIs(t, err, ErrFull)
	require.NoError(t, rdb.Close())
	client.bound.most = 0
	_, err = client.Purge(ctx, p)
	require.Error(t, err)
	for i, want := range []string{"", "invalid", "full", "not stored"} {
		assert.Equal(t, want, kept.GetSpans()[i].Status.Description)
		assert.Empty(t, kept.GetSpans()[i].Events, "no words of an error: they may hold a secret")
	}
}

// A context that was not sampled, or of another process, goes on as it is.
func TestPurge_TracedElsewhere(t *testing.T) {
	rdb, _ := redistest.Mini(t)
	client, err := New(Config{Client: rdb})
	require.NoError(t, err)
	const far = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	p := tasks.Purge{Project: "prj", Operation: tasks.Delete, Tags: []string{"a"}}
	receipt, err := client.Purge(trace.ContextWithRemoteSpanContext(t.Context(), spans.Parse(far)), p)
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"traceparent": far}, headers(t, client, receipt.ID))

	receipt, err = client.Purge(context.Background(), p)
	require.NoError(t, err)
	assert.Empty(t, headers(t, client, receipt.ID), "nobody traces")
}

func headers(t *testing.T, c *Client, id string) map[string]string {
	t.Helper()
	task, err := asynq.NewInspectorFromRedisClient(c.rdb).GetTaskInfo(tasks.QueueIntake, id)
	require.NoError(t, err)
	return task.Headers
}
