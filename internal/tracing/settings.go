package tracing

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// settings is what the environment asks for, as far as the SDK does not read it
// by itself.
type settings struct {
	on   bool
	grpc bool // else HTTP with protobuf
	// joins says that a request's traceparent is believed.
	joins bool
}

// The samplers that the SDK knows.
var samplers = []string{
	"always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio",
}

// read reads the standard variables; one that is empty counts as not set. Its
// errors name the variable and what would be right, all faults at once: the SDK
// would go on with a default, and the spans go to somewhere else.
func read(getenv func(string) string) (settings, error) {
	s := settings{on: true, joins: true}
	exporter := getenv("OTEL_TRACES_EXPORTER")
	endpoints := []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"}
	named := slices.ContainsFunc(endpoints, func(name string) bool { return getenv(name) != "" })
	switch {
	case strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true"), exporter == "none", exporter == "" && !named:
		return settings{}, nil
	}
	var faults []error
	fault := func(name, right string) {
		faults = append(faults, fmt.Errorf("%s is %q: use %s", name, getenv(name), right))
	}
	if exporter != "" && exporter != "otlp" {
		fault("OTEL_TRACES_EXPORTER", "otlp or none")
	}
	for _, name := range endpoints {
		u, err := url.Parse(getenv(name))
		if getenv(name) != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
			faults = append(faults, fmt.Errorf("%s is no URL: use one such as http://127.0.0.1:4318", name)) // it may hold a password
		}
	}
	protocol := "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
	if getenv(protocol) == "" {
		protocol = "OTEL_EXPORTER_OTLP_PROTOCOL"
	}
	switch getenv(protocol) {
	case "", "http/protobuf":
	case "grpc":
		s.grpc = true
	default:
		fault(protocol, "http/protobuf (the default) or grpc")
	}
	if text := getenv("OTEL_PROPAGATORS"); text != "" {
		s.joins = false
		for name := range strings.SplitSeq(text, ",") {
			switch strings.TrimSpace(name) {
			case "tracecontext":
				s.joins = true
			case "none", "baggage": // nothing here sets or reads baggage
			default:
				fault("OTEL_PROPAGATORS", "tracecontext (the default) or none")
			}
		}
	}
	if sampler := strings.ToLower(getenv("OTEL_TRACES_SAMPLER")); sampler != "" && !slices.Contains(samplers, sampler) {
		fault("OTEL_TRACES_SAMPLER", strings.Join(samplers, ", "))
	}
	if text := getenv("OTEL_TRACES_SAMPLER_ARG"); text != "" {
		if ratio, err := strconv.ParseFloat(text, 64); err != nil || ratio < 0 || ratio > 1 {
			fault("OTEL_TRACES_SAMPLER_ARG", "a number from 0 to 1")
		}
	}
	return s, errors.Join(faults...)
}
