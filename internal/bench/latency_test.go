package bench

import (
	"testing"
	"time"

	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/worker"
)

// BenchmarkIdleLatency: one request on an idle system, linger 0, from before
// the enqueue to the arrival of the call.
func BenchmarkIdleLatency(b *testing.B) {
	f := figures{}
	for b.Loop() {
		r := newRig(b, emulator.Config{})
		r.worker(func(c *worker.Config) { c.Projects[0].Linger = 0 })
		ours := r.latencies(size(300, 5), func(tag string) { r.purge(tag) })
		r.close()

		r = newRig(b, emulator.Config{})
		// Fewer, since each takes half a second: their p99 is nearly the maximum.
		theirs := r.latencies(size(80, 2), r.obvious())
		r.close()

		f.add("p50-ms", quantile(ours, 0.5))
		f.add("p99-ms", quantile(ours, 0.99))
		f.add("obvious-p50-ms", quantile(theirs, 0.5))
		f.add("obvious-p99-ms", quantile(theirs, 0.99))
		f.add("x-obvious-p50", quantile(ours, 0.5)/quantile(theirs, 0.5))
		f.add("x-obvious-p99", quantile(ours, 0.99)/quantile(theirs, 0.99))
	}
	f.report(b)
}

// latencies makes n requests, one after the other, and returns in milliseconds
// how long each took until its call arrived.
func (r *rig) latencies(n int, enqueue func(tag string)) []float64 {
	time.Sleep(settle)
	took := make([]float64, n)
	for i := range took {
		r.api.Reset()
		before := r.answered.Load()
		start := time.Now()
		enqueue(tagOf(i))
		r.await("the call arrives", func() bool { return r.answered.Load() > before })
		took[i] = millis(r.api.Journal()[0].Start.Sub(start))
		// Out of step with every polling interval.
		time.Sleep(100*time.Millisecond + time.Duration(i*37%100)*time.Millisecond)
	}
	return took
}
