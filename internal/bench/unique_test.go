package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
)

const tagsPerRequest = 100

// BenchmarkUniqueTags: from the first enqueue to the answer of the last call.
// The cpu figures are of this process and Redis, producers and API included:
// other programs on the machine change them less than they change the rates.
func BenchmarkUniqueTags(b *testing.B) {
	n := size(20_000, 2000)
	fewest := (n + tasks.MaxTagsPerCall - 1) / tasks.MaxTagsPerCall
	f := figures{}
	for b.Loop() {
		ours, theirs := figures{}, figures{}
		for range size(3, 1) { // in turns, so that both see the same machine
			calls := uniqueTags(b, n, ours)
			uniqueTagsObvious(b, n, theirs)
			f.add("calls/fewest", float64(calls)/float64(fewest))
		}
		f.add("tags/s", ours.median("rate"))
		f.add("x-obvious", ours.median("rate")/theirs.median("rate"))
		f.add("cpu-µs/tag", ours.median("cpu"))
		f.add("cpu-x-obvious", theirs.median("cpu")/ours.median("cpu"))
	}
	f.report(b)
}

func uniqueTags(b *testing.B, n int, f figures) (calls int) {
	r := newRig(b, emulator.Config{})
	defer r.close()
	r.worker(nil)
	time.Sleep(settle)
	start, cpu := time.Now(), r.cpu()
	produce(n/tagsPerRequest, func(i int) {
		tags := make([]string, tagsPerRequest)
		for t := range tags {
			tags[t] = tagOf(i*tagsPerRequest + t)
		}
		r.purge(tags...)
	})
	journal := r.awaitCalls(n, tasks.MaxTagsPerCall)
	f.add("rate", float64(n)/end(journal).Sub(start).Seconds())
	f.add("cpu", (r.cpu()-cpu)*1e6/float64(n))
	return len(journal)
}

func uniqueTagsObvious(b *testing.B, n int, f figures) {
	r := newRig(b, emulator.Config{})
	defer r.close()
	enqueue := r.obvious()
	time.Sleep(settle)
	start, cpu := time.Now(), r.cpu()
	produce(n, func(i int) { enqueue(tagOf(i)) })
	f.add("rate", float64(n)/end(r.awaitCalls(n, 1)).Sub(start).Seconds())
	f.add("cpu", (r.cpu()-cpu)*1e6/float64(n))
}

// settle is how long a program may take to start.
const settle = time.Second

// tagOf is a tag of 23 bytes.
func tagOf(i int) string { return fmt.Sprintf("product-%015d", i) }
