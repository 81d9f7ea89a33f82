package worker

import (
	"slices"
	"time"

	"github.com/hibiken/asynq"
	"github.com/rs/zerolog"

	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// Bounds of what the line of a call names; items and requests are counted besides.
const (
	toldRequests = 20
	toldItems    = 16
)

// tell logs one line a call: who asked, for what, what came of it, how long it took.
func (c *caller) tell(m *made, traceID string) {
	b, j := m.batch, m.judgment
	level := zerolog.InfoLevel
	if j.Verdict != Done {
		level = zerolog.WarnLevel
	}
	line := c.log.WithLevel(level)
	if line == nil { // nobody reads it
		return
	}
	requests, sources := names(m.origins)
	line.Str("account", m.account).Str("batch", b.ID).Str("lane", b.Lane.ID()).
		Int("items", len(b.Items)).Strs("item_names", bounded(b.Items)).
		Int("requests", len(m.origins)).Strs("request_ids", requests).Strs("sources", sources).
		Int("attempt", m.attempt).Stringer("verdict", j.Verdict).Int("status", m.status)
	if j.Verdict != Done {
		line.Str("reason", string(j.Reason)).Str("answer", j.Letter.Message)
	}
	if traceID != "" {
		line.Str("trace_id", traceID)
	}
	line.Str("vercel_id", m.vercelID).Dur("waited_ms", waited(b)).Dur("took_ms", m.end.Sub(m.start)).Msg("call")
}

// waited is how long the oldest item of a batch waited for this attempt, by Redis's clock;
// of a task that brings no terms, since it left its lane.
func waited(b *lanes.Batch) time.Duration { return max(0, b.ClaimedAt.Sub(b.Due)) }

// names lists the first requests and their sources, each once.
func names(origins []lanes.Origin) (requests, sources []string) {
	for _, o := range origins[:min(len(origins), toldRequests)] {
		requests = append(requests, o.Request)
		if source := cut(o.Source, tasks.MaxSourceBytes); source != "" && !slices.Contains(sources, source) {
			sources = append(sources, source)
		}
	}
	return requests, sources
}

// bounded lists the first items of a batch, each cut to the length of a tag.
func bounded(items []string) []string {
	first := slices.Clone(items[:min(len(items), toldItems)])
	for i := range first {
		first[i] = cut(first[i], tasks.MaxTagBytes)
	}
	return first
}

// What a batch brings along from attempt to attempt besides its items. It is no part of
// the wire, whose fields an older worker must know: one that knows no such header makes
// the call all the same, and keeps the header.
const (
	headerOrigins = "edgepurge-origins"
	headerTerms   = "edgepurge-terms"
)

func headersOf(b *lanes.Batch) map[string]string {
	headers := map[string]string{headerTerms: b.EncodeTerms()}
	if text := b.Origins.Encode(); text != "" {
		headers[headerOrigins] = text
	}
	return headers
}

func readHeaders(task *asynq.Task, b *lanes.Batch) {
	headers := task.Headers()
	b.Origins = lanes.DecodeOrigins(headers[headerOrigins], len(b.Items))
	b.DecodeTerms(headers[headerTerms])
}
