package compare

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/history"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
)

const (
	// changedTags are the tags of the pages that editors save again and again.
	changedTags = 300
	// changesPerSecond is how often they do.
	changesPerSecond = 300
)

func changesCount() int { return changesPerSecond * size(20, 1) }

// changes: single tags, some much more often than others, evenly over some
// seconds and two workers, while the API takes 30 to 90 ms and fails one call in
// twenty. Each change needs a successful call that started after it.
func changes(r *rig, f *figures) {
	w := r.worker(nil)
	r.worker(nil)
	a := r.asker()
	asked := &asked{program: a}
	n := changesCount()
	// The same changes for everybody: the hottest tag every tenth or so.
	zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 0)), 1.1, 3, changedTags-1)
	tags := make([]string, n)
	for i := range tags {
		tags[i] = tagOf(int(zipf.Uint64()))
	}
	start := time.Now()
	produce(n, func(i int) {
		time.Sleep(time.Until(start.Add(time.Second * time.Duration(i) / changesPerSecond)))
		asked.ask(tags[i])
	})
	last := time.Now()
	r.awaitDone(w)

	journal := r.api.Journal()
	lost := asked.lost(journal)
	if r.c.key == edgepurge.key {
		assert.Empty(r.t, lost)
	}
	f.add(rowLost, r.c, float64(len(lost)))
	f.add(rowLostTags, r.c, float64(len(items(lost))))
	f.add(rowChangesCalls, r.c, float64(len(journal)))
	f.add(rowDrain, r.c, journal[len(journal)-1].End.Sub(last).Seconds())
}

// asked notes what was asked for, by this process's clock: Asked before the
// program was told. A loss is so rather missed than made up.
type asked struct {
	program *program
	mu      sync.Mutex
	records []history.Request
}

func (a *asked) ask(tags ...string) {
	began := time.Now()
	a.program.ask(tags...)
	p := tasks.Purge{Project: project, Operation: tasks.Delete, Tags: tags}
	a.mu.Lock()
	defer a.mu.Unlock()
	p.ID = fmt.Sprint(len(a.records))
	a.records = append(a.records, history.Requests(p, began, time.Now())...)
}

// lost are the purges that no call of the journal covers.
func (a *asked) lost(journal []emulator.Call) []history.Loss {
	a.mu.Lock()
	defer a.mu.Unlock()
	calls := make([]history.Call, len(journal))
	for i, c := range journal {
		calls[i] = history.Call{
			Family: history.Family{Project: c.Project, Kind: tasks.Tag, Operation: c.Operation, Target: c.Target},
			Items:  c.Items, Start: c.Start, End: c.End, OK: c.Applied, Status: c.Status,
		}
	}
	report := history.Check(a.records, calls, nil)
	require.Empty(a.program.r.t, report.Broken, a.program.r.c.name)
	return report.Lost
}

// items are the different ones.
func items(losses []history.Loss) map[string]bool {
	all := map[string]bool{}
	for _, l := range losses {
		all[l.Item] = true
	}
	return all
}
