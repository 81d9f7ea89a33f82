package tracing

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRead(t *testing.T) {
	const endpoint, traces = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	on := settings{on: true, joins: true}
	grpc := settings{on: true, grpc: true, joins: true}
	alone := settings{on: true}
	for _, c := range []struct {
		env  string // NAME=value, space-separated
		want settings
	}{
		{"", settings{}},
		{"OTEL_SERVICE_NAME=x OTEL_EXPORTER_OTLP_PROTOCOL=grpc", settings{}},
		{endpoint + "=", settings{}},
		{endpoint + "=http://127.0.0.1:4318", on},
		{traces + "=https://otel.example.com/v1/traces", on},
		{"OTEL_TRACES_EXPORTER=otlp", on},
		{"OTEL_TRACES_EXPORTER=none " + endpoint + "=http://c:4318", settings{}},
		{"OTEL_SDK_DISABLED=true " + endpoint + "=http://c:4318", settings{}},
		{"OTEL_SDK_DISABLED=TRUE OTEL_TRACES_EXPORTER=zipkin", settings{}},
		{"OTEL_SDK_DISABLED=false " + endpoint + "=http://c:4318", on},
		{"OTEL_TRACES_EXPORTER=otlp OTEL_EXPORTER_OTLP_PROTOCOL=grpc", grpc},
		{"OTEL_TRACES_EXPORTER=otlp OTEL_EXPORTER_OTLP_PROTOCOL=http/json OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=grpc", grpc},
		{"OTEL_TRACES_EXPORTER=otlp OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", on},
		{"OTEL_TRACES_EXPORTER=otlp OTEL_PROPAGATORS=tracecontext,baggage", on},
		{"OTEL_TRACES_EXPORTER=otlp OTEL_PROPAGATORS=none", alone},
		{"OTEL_TRACES_EXPORTER=otlp OTEL_TRACES_SAMPLER=parentbased_traceidratio OTEL_TRACES_SAMPLER_ARG=0.1", on},
	} {
		got, err := read(environment(c.env))
		require.NoError(t, err, c.env)
		assert.Equal(t, c.want, got, c.env)
	}
	for _, sampler := range samplers {
		_, err := read(environment("OTEL_TRACES_EXPORTER=otlp OTEL_TRACES_SAMPLER=" + sampler))
		require.NoError(t, err)
	}
}

func TestRead_Faults(t *testing.T) {
	wrong := map[string]string{
		"OTEL_TRACES_EXPORTER":               "zipkin",
		"OTEL_EXPORTER_OTLP_ENDPOINT":        "collector:4318",
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://",
		"OTEL_EXPORTER_OTLP_PROTOCOL":        "http/json",
		"OTEL_PROPAGATORS":                   "tracecontext,b3",
		"OTEL_TRACES_SAMPLER":                "sometimes",
		"OTEL_TRACES_SAMPLER_ARG":            "1.5",
	}
	_, err := read(func(name string) string { return wrong[name] })
	require.Error(t, err)
	for name := range wrong {
		assert.ErrorContains(t, err, name, "all faults are told at once")
	}
	for name, value := range wrong {
		_, err := read(environment("OTEL_SDK_DISABLED=false " + name + "=" + value + " " + onBy(name)))
		assert.ErrorContains(t, err, name+" is", name)
		assert.NotContains(t, err.Error(), "\n")
	}
	_, err = read(environment("OTEL_EXPORTER_OTLP_ENDPOINT=user:secret@host"))
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "secret")
}

// onBy turns tracing on, unless the variable under test does.
func onBy(name string) string {
	if name == "OTEL_TRACES_EXPORTER" {
		return ""
	}
	return "OTEL_TRACES_EXPORTER=otlp"
}

func environment(text string) func(string) string {
	env := map[string]string{}
	for pair := range strings.FieldsSeq(text) {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	return func(name string) string { return env[name] }
}
