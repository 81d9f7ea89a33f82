package compare

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
)

// workload is something that every contender is put to.
type workload struct {
	name string
	// rounds is how often at full size, the contenders in turns. 0: once, all at
	// the same time, since the API's limit is all that they wait for.
	rounds int
	run    func(r *rig, f *figures)
	api    emulator.Config
}

var workloads = []workload{
	{name: "unique", rounds: 3, run: uniqueTags},
	{name: "changes", rounds: 1, run: changes, api: emulator.Config{Faults: emulator.Faults{
		Latency: 30 * time.Millisecond, LatencyJitter: 60 * time.Millisecond, Status: map[int]float64{503: 0.05},
	}}},
	{name: "lone", rounds: 1, run: lone},
	{name: "memory", rounds: 1, run: memory},
	{name: "idle", rounds: 1, run: idle},
	{name: "limit", run: limited, api: emulator.Config{Limit: limit()}},
}

// tagOf is a tag of 23 bytes.
func tagOf(i int) string { return fmt.Sprintf("product-%015d", i) }

func tagsOf(from, n int) []string {
	tags := make([]string, n)
	for i := range tags {
		tags[i] = tagOf(from + i)
	}
	return tags
}

// each is how many tags are asked for at once: one request of edgepurge's, one
// addBulk of BullMQ's, so many tasks of asynq's.
const each = 100

func uniqueTagsCount() int { return size(20_000, 400) }

// uniqueTags: from the first ask to the answer of the last call.
func uniqueTags(r *rig, f *figures) {
	n := uniqueTagsCount()
	r.worker(nil)
	a := r.asker()
	start := time.Now()
	produce(n/each, func(i int) { a.ask(tagsOf(i*each, each)...) })
	r.await("all tags are purged", func() bool {
		return r.answered.Load()*int64(r.c.perCall) >= int64(n) && distinct(r.api.Journal()) >= n
	})
	journal := r.api.Journal()
	f.add(rowRate, r.c, float64(n)/journal[len(journal)-1].End.Sub(start).Seconds())
	r.awaitDone(a)
	fewest := (n + tasks.MaxTagsPerCall - 1) / tasks.MaxTagsPerCall
	f.add(rowCalls, r.c, float64(len(r.api.Journal()))/float64(fewest))
}

func distinct(calls []emulator.Call) int {
	tags := map[string]struct{}{}
	for _, c := range calls {
		if c.Applied {
			for _, tag := range c.Items {
				tags[tag] = struct{}{}
			}
		}
	}
	return len(tags)
}

// lone: single tags on an idle system, from before the ask to the arrival of the
// call. Who can send a tag away at once is told to.
func lone(r *rig, f *figures) {
	r.worker(func(role *role) { role.Alone = true })
	f.add(rowLoneMedian, r.c, r.latencies(size(50, 2))...)
	if r.c.key == edgepurge.key {
		waits := newRig(r.t, r.c, emulator.Config{})
		waits.worker(nil)
		f.add(rowLingerMedian, r.c, waits.latencies(size(20, 1))...)
	}
}

// latencies asks for n tags, one after the other, and returns in milliseconds
// how long each took until its call arrived.
func (r *rig) latencies(n int) []float64 {
	if r.c.waits {
		n = min(n, 20) // each takes a second or two
	}
	a := r.asker()
	r.sleep(size(time.Second, 0))
	took := make([]float64, n)
	for i := range took {
		before := r.answered.Load()
		start := time.Now()
		a.ask(tagOf(i))
		r.await("the call arrives", func() bool { return r.answered.Load() > before })
		journal := r.api.Journal()
		took[i] = float64(journal[len(journal)-1].Start.Sub(start).Microseconds()) / 1000
		// Out of step with every polling interval.
		r.sleep(100*time.Millisecond + time.Duration(i*37%100)*time.Millisecond)
	}
	return took
}

// memory: how much Redis grows for each of n pending tags after the first ones,
// which bring with them what does not depend on n. The tags of asynq and BullMQ
// wait for a worker; edgepurge's have been taken in by one.
func memory(r *rig, f *figures) {
	const first = 1000
	n := size(100_000, 1000)
	r.fill(0, first)
	before := r.usedMemory()
	r.fill(first, n)
	f.add(rowMemory, r.c, (r.usedMemory()-before)/float64(n))
}

func (r *rig) fill(from, n int) {
	a := r.asker()
	defer a.stop()
	produce(n/each, func(i int) { a.ask(tagsOf(from+i*each, each)...) })
	if r.c.pending == nil {
		return
	}
	w := r.worker(func(role *role) { role.Hold = true })
	defer w.stop()
	r.await("all is taken in", func() bool {
		r.sleep(50 * time.Millisecond)
		l := w.look()
		return l.Tasks == 0 && l.Pending >= from+n-tasks.MaxTagsPerCall // one call may go
	})
}

// usedMemory waits until Redis has resized its tables and freed its buffers.
// What it keeps for its clients depends on them, not on the tags: it is left out.
func (r *rig) usedMemory() float64 {
	last, now := math.Inf(1), 0.0
	r.await("Redis's memory comes to rest", func() bool {
		r.sleep(size(300*time.Millisecond, 100*time.Millisecond))
		last, now = now, r.info("memory", "used_memory")-r.info("memory", "mem_clients_normal")
		return math.Abs(now-last) < 0.0005*now
	})
	return now
}

// idle: what a worker with nothing to do costs. The commands are all that Redis
// runs, those inside scripts included.
func idle(r *rig, f *figures) {
	w := r.worker(nil)
	r.sleep(size(3*time.Second, 0))
	const field = "total_commands_processed"
	start, before, look := time.Now(), r.info("stats", field), w.look()
	looking := r.info("stats", field) - before // the look and one INFO
	r.sleep(size(15*time.Second, time.Second))
	spent := w.look().CPUMicros - look.CPUMicros
	seconds := time.Since(start).Seconds()
	f.add(rowIdleCommands, r.c, (r.info("stats", field)-before-2*looking)/seconds)
	f.add(rowIdleCore, r.c, float64(spent)/1e4/seconds)
}

func quantile(values []float64, q float64) float64 {
	values = slices.Sorted(slices.Values(values))
	return values[min(len(values)-1, int(float64(len(values))*q))]
}
