package chaos

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// kind is what goes wrong.
type kind string

const (
	killWorker   kind = "kill -9 of a worker"
	stopWorker   kind = "SIGSTOP of a worker"
	termWorker   kind = "SIGTERM of a worker"
	killRedis    kind = "kill -9 of Redis"
	stopRedis    kind = "SIGSTOP of Redis"
	apiHangs     kind = "API hangs"
	apiResets    kind = "API resets connections"
	apiFails     kind = "storm of 5xx"
	apiRefuses   kind = "storm of 429"
	tokenExpires kind = "token expires"
	poisonTag    kind = "poisonous tag"
	flood        kind = "flood of one tenant"
	silentPeers  kind = "silent connections"
	fullRedis    kind = "full Redis"
	refusal      kind = "Redis refuses MEMORY"
	roll         kind = "rolling restart with another configuration"
	manyLanes    kind = "many lanes at once"
	hangAtTerm   kind = "SIGTERM of a worker while Redis hangs"
	orphan       kind = "request in asynq's active list without a lease"
)

// trait says whom a fault strikes, where two must not overlap, and how long it lasts.
type trait struct {
	kind        kind
	on          string // "worker" is any of them, "workers" are all
	least, span time.Duration
}

// things are what a fault strikes: what on names, which may be several.
func (tr trait) things(worker, workers int) []string {
	var all []string
	for name := range strings.FieldsSeq(tr.on) {
		switch name {
		case "worker":
			all = append(all, fmt.Sprint("worker ", worker))
		case "workers":
			for i := range workers {
				all = append(all, fmt.Sprint("worker ", i))
			}
		default:
			all = append(all, name)
		}
	}
	return all
}

var traits = []trait{
	{killWorker, "worker", 200 * time.Millisecond, 3 * time.Second},
	{stopWorker, "worker", time.Second, 7 * time.Second}, // a lease is 6 s
	{termWorker, "worker", 500 * time.Millisecond, 2 * time.Second},
	{killRedis, "redis", 200 * time.Millisecond, 2 * time.Second},
	{stopRedis, "redis", 500 * time.Millisecond, 3 * time.Second},
	{apiHangs, "hangs", time.Second, 3 * time.Second},
	{apiResets, "resets", time.Second, 3 * time.Second},
	{apiFails, "fails", time.Second, 3 * time.Second},
	{apiRefuses, "refuses", time.Second, 2 * time.Second},
	{tokenExpires, "token", time.Second, 2 * time.Second},
	{poisonTag, "poison", 0, 0},
	{flood, "flood", 0, 0},
	{silentPeers, "network", time.Second, 3 * time.Second},
	{fullRedis, "redis", time.Second, 2 * time.Second},
	{refusal, "redis", time.Second, 3 * time.Second},
	{roll, "workers", time.Second, 2 * time.Second},
	{manyLanes, "lanes", 0, 0},
	{hangAtTerm, "redis worker", 2 * time.Second, 4 * time.Second},
	{orphan, "orphan", 0, 0},
}

// chosen are the traits of the faults whose names match a pattern, but for an orphan in a
// hurry: it is taken back after 35 s, which nothing shortens.
func chosen(faults string, hurry bool) []trait {
	pattern := regexp.MustCompile(faults)
	return slices.DeleteFunc(slices.Clone(traits), func(tr trait) bool {
		return !pattern.MatchString(string(tr.kind)) || hurry && tr.kind == orphan
	})
}

// fault is one entry of a schedule.
type fault struct {
	kind   kind
	at     time.Duration // from the start
	until  time.Duration
	worker int // whom it strikes, if a worker
}

func (f fault) String() string {
	return fmt.Sprintf("%5.1f s to %5.1f s: %s", f.at.Seconds(), f.until.Seconds(), f.kind)
}

// schedule draws what goes wrong when. It is a pure function: every kind comes
// once before any comes again, none overlaps another on the same thing, and all
// end within the length.
func schedule(seed uint64, length time.Duration, workers int, traits []trait) []fault {
	dice := rand.New(rand.NewPCG(seed, 0))
	within := func(least, span time.Duration) time.Duration {
		return least + time.Duration(dice.Float64()*float64(span))
	}
	gap := min(length/20, 2*time.Second) // on average
	free := map[string]time.Duration{}   // when the thing is itself again
	var all []fault
	for at := gap; ; {
		for _, i := range dice.Perm(len(traits)) {
			tr := traits[i]
			f := fault{kind: tr.kind, worker: dice.IntN(workers)}
			things := tr.things(f.worker, workers)
			f.at = at
			for _, on := range things {
				f.at = max(f.at, free[on])
			}
			f.until = f.at + within(tr.least, tr.span)
			at += within(gap/2, gap)
			if at > length {
				slices.SortStableFunc(all, func(a, b fault) int { return cmp.Compare(a.at, b.at) })
				return all
			}
			if f.until <= length {
				for _, on := range things {
					free[on] = f.until + 100*time.Millisecond
				}
				all = append(all, f)
			}
		}
	}
}

func TestSchedule_IsAFunctionOfItsSeed(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		one := schedule(seed, time.Minute, 3, traits)
		assert.Equal(t, one, schedule(seed, time.Minute, 3, traits))
		assert.NotEqual(t, one, schedule(seed+1, time.Minute, 3, traits))
		first := traffic(seed, 7)
		assert.Equal(t, first, traffic(seed, 7))
	}
}

func TestSchedule_KeepsItsPromises(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		kinds := map[kind]int{}
		ends := map[string]time.Duration{}
		for _, f := range schedule(seed, 3*time.Minute, 3, traits) {
			kinds[f.kind]++
			assert.LessOrEqual(t, f.until, 3*time.Minute)
			i := slices.IndexFunc(traits, func(tr trait) bool { return tr.kind == f.kind })
			for _, on := range traits[i].things(f.worker, 3) {
				assert.Greater(t, f.at, ends[on], "seed %d: %s overlaps on %s", seed, f, on)
				ends[on] = f.until
			}
		}
		assert.Len(t, kinds, len(traits), "seed %d", seed)
	}
}

func TestSchedule_IsOfTheChosenFaults(t *testing.T) {
	t.Parallel()
	assert.Equal(t, traits, chosen("", false))
	assert.Len(t, chosen("", true), len(traits)-1)
	for _, f := range schedule(1, time.Minute, 3, chosen("full Redis|silent", true)) {
		assert.Contains(t, []kind{fullRedis, silentPeers}, f.kind)
	}
}
