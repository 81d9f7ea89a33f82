package spans

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
)

const (
	sampled   = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
)

func TestHeaders(t *testing.T) {
	assert.Nil(t, Headers(context.Background()), "a task without a trace has no headers")
	for _, parent := range []string{sampled, unsampled} {
		given := map[string]string{"traceparent": parent, "tracestate": "vendor=1"}
		ctx := WithParent(context.Background(), given)
		assert.Equal(t, given, Headers(ctx))
		span := trace.SpanContextFromContext(ctx)
		assert.True(t, span.IsRemote())
		assert.Equal(t, "0af7651916cd43dd8448eb211c80319c", span.TraceID().String())
	}
}

func TestWithParent_OfNothing(t *testing.T) {
	for _, headers := range []map[string]string{nil, {}, {"traceparent": "00-xyz"}, {"traceparent": "00-" + "00000000000000000000000000000000-0000000000000000-01"}} {
		assert.Nil(t, Headers(WithParent(context.Background(), headers)), "%v", headers)
	}
}

func TestTraceparent(t *testing.T) {
	parse := func(text string) context.Context {
		return trace.ContextWithSpanContext(context.Background(), Parse(text))
	}
	assert.Equal(t, sampled, Traceparent(parse(sampled)))
	assert.Empty(t, Traceparent(parse(unsampled)), "nobody records that trace")
	assert.Empty(t, Traceparent(context.Background()))
	for _, none := range []string{"", "-", "01", sampled[:20]} {
		require.False(t, Parse(none).IsValid(), none)
	}
}
