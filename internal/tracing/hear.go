package tracing

import (
	"time"

	"github.com/go-logr/logr"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel"
)

// hear logs what the SDK has to tell: that spans did not arrive, or a variable it
// cannot read. A line a minute of each is enough, for spans go out every 5 s.
func hear(log zerolog.Logger) {
	often := func() zerolog.Logger {
		return log.Sample(&zerolog.BurstSampler{Burst: 1, Period: time.Minute})
	}
	lost := often()
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		lost.Warn().Str(zerolog.ErrorFieldName, cut(err.Error())).Msg("traces were not sent: see OTEL_EXPORTER_OTLP_ENDPOINT")
	}))
	otel.SetLogger(logr.New(sink{often()}))
}

// cut bounds what a collector may have answered.
func cut(s string) string {
	const most = 300
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// sink hands the SDK's own log on, but not the values in it: of a header that it
// cannot read, which may be a credential, it would tell all.
type sink struct{ log zerolog.Logger }

var _ logr.LogSink = sink{}

// Init implements logr.LogSink.
func (sink) Init(logr.RuntimeInfo) {}

// Enabled implements logr.LogSink: errors only.
func (sink) Enabled(int) bool { return false }

// Info implements logr.LogSink.
func (sink) Info(int, string, ...any) {}

// Error implements logr.LogSink.
func (s sink) Error(_ error, msg string, _ ...any) {
	s.log.Warn().Str("what", msg).Msg("a variable of OpenTelemetry is not as it should be, and is left out")
}

// WithValues implements logr.LogSink.
func (s sink) WithValues(...any) logr.LogSink { return s }

// WithName implements logr.LogSink.
func (s sink) WithName(string) logr.LogSink { return s }
