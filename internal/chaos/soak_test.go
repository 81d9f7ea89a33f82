package chaos

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
)

var soak = flag.Duration("chaos.soak", 0, "how long TestSoak runs; 0 skips it")

// gauge is something that must stay flat under steady load: from the second to
// the last third of a run it may grow by a part of itself and a little more.
type gauge struct {
	name        string
	unit        float64
	part, least float64
}

var gauges = []gauge{
	{"worker: resident MiB", 1 << 20, 0.1, 2},
	{"worker: heap in use MiB", 1 << 20, 0.2, 2},
	{"worker: goroutines", 1, 0.1, 5},
	{"worker: file descriptors", 1, 0.1, 5},
	{"Redis: used MiB", 1 << 20, 0.1, 0.5},
	{"Redis: keys", 1, 0.1, 50},
}

// TestSoak lets one worker run under a steady load, with an API that fails a
// little all the time, and looks for anything that grows.
func TestSoak(t *testing.T) { //nolint:paralleltest // what it measures is its own
	if *soak == 0 {
		t.Skip("make soak")
	}
	c := usual()
	c.metrics = freeAddress(t)
	c.faults = emulator.Faults{
		Latency: 20 * time.Millisecond, LatencyJitter: 30 * time.Millisecond,
		Status: map[int]float64{500: 0.01, 503: 0.01}, Reset: 0.005, Hang: 0.002, AfterEffect: 0.5,
	}
	s := newSite(t, c)
	w := s.worker(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := int(*rate * soak.Seconds())
	load := s.produce(ctx, 4, n, *rate, func(i int) tasks.Purge { return traffic(1, i) })
	samples := make([][]float64, len(gauges))
	start := time.Now()
	for time.Since(start) < *soak {
		require.True(t, sleepUntil(ctx, time.Now().Add(*soak/150)))
		for i, v := range s.look(t) {
			samples[i] = append(samples[i], v/gauges[i].unit)
		}
	}
	load.end(t)
	s.drain(t, time.Minute, false)
	require.True(t, w.running())

	var b strings.Builder
	tab := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintf(tab, "\tfirst third\tsecond\tlast\tpeak\t\n")
	for i, g := range gauges {
		third := len(samples[i]) / 3
		first, second, last := median(samples[i][:third]), median(samples[i][third:2*third]), median(samples[i][2*third:])
		_, _ = fmt.Fprintf(tab, "%s\t%.1f\t%.1f\t%.1f\t%.1f\t\n", g.name, first, second, last, slices.Max(samples[i]))
		assert.LessOrEqual(t, last, second*(1+g.part)+g.least, "%s grows", g.name)
	}
	_ = tab.Flush()
	r := s.check(t)
	t.Logf("\n%s%s at %g requests a second: %d requests, %d items, %d calls; lost %d, limits broken %d, stuck %d",
		&b, *soak, *rate, r.Requests, r.Asked, len(s.api.Journal()), len(r.Lost), len(r.Broken), len(s.stuck(t)))
	assert.Empty(t, first(r.Lost, 5), "lost")
	assert.Empty(t, first(r.Broken, 5), "limits broken")
	s.assertMoved(t)
}

// look reads the gauges, in their order.
func (s *site) look(tb testing.TB) []float64 {
	tb.Helper()
	ctx := context.Background()
	answer, err := http.Get("http://" + s.metrics + "/metrics")
	require.NoError(tb, err)
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	require.NoError(tb, err)
	memory, err := s.rdb.Info(ctx, "memory").Result()
	require.NoError(tb, err)
	keys, err := s.rdb.DBSize(ctx).Result()
	require.NoError(tb, err)
	return []float64{
		number(tb, string(text), "process_resident_memory_bytes "), number(tb, string(text), "go_memstats_heap_inuse_bytes "),
		number(tb, string(text), "go_goroutines "), number(tb, string(text), "process_open_fds "),
		number(tb, memory, "used_memory:"), float64(keys),
	}
}

// number is what follows the name on its line.
func number(tb testing.TB, text, name string) float64 {
	tb.Helper()
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			require.NoError(tb, err)
			return n
		}
	}
	tb.Fatalf("no %s", name)
	return 0
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func freeAddress(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	defer func() { require.NoError(tb, l.Close()) }()
	return l.Addr().String()
}
