package chaos

import (
	"fmt"
	"slices"
	"time"

	"github.com/edgepurge/edgepurge/internal/history"
	"github.com/edgepurge/edgepurge/tasks"
)

// The project whose spread a rolling restart changes: from so slow that nothing of it
// would go during a storm to none, and back.
const (
	slowProject = "slow"
	slowRate    = 0.02
)

// rolls is what rolling restarts have done so far.
type rolls struct {
	count int
	old   []*process // that are to be told to stop at the end of the roll
	pace  func()     // ends the excuse of the slow project
}

// isSlow reports whether the slow project is slow by the configuration of the moment.
func (w *storm) isSlow() bool {
	return slices.ContainsFunc(w.more, func(p paced) bool { return p.project == slowProject && p.rate > 0 })
}

// askSlowly asks for more of the slow project than its spread lets go for an hour.
func (w *storm) askSlowly() {
	n := w.count
	w.excuseSlow()
	w.floods = append(w.floods, w.produce(w.t.Context(), 1, 4, 0, func(i int) tasks.Purge {
		return tasks.Purge{
			ID: fmt.Sprintf("slow-%d-%d", n, i), Project: slowProject, Operation: tasks.Delete,
			Tags: numbered(1000*n+20*i, 20),
		}
	}))
}

func (w *storm) excuseSlow() {
	if w.pace == nil {
		w.pace = w.excuse(history.Excuse{Project: slowProject})
	}
}

// roll starts a fleet with another configuration beside the one that runs: another pace,
// a new project, and one more of an account that the old workers do not know. What is
// asked for of those meets workers that know nothing of them.
func (w *storm) roll() {
	w.count++
	slow := w.isSlow()
	w.more = slices.Clone(w.more)
	for i, p := range w.more {
		switch {
		case p.project == slowProject && slow:
			w.more[i].rate = 0
		case p.project == slowProject:
			w.more[i].rate = slowRate
		}
	}
	added := []paced{{fmt.Sprint("new-", w.count), account, 0}, {fmt.Sprint("newcomers-", w.count), newcomer, 0}}
	w.more = append(w.more, added...)
	w.old = slices.Clone(w.workers)
	for i := range w.workers {
		w.workers[i] = w.worker(w.t)
	}
	for _, p := range added {
		w.floods = append(w.floods, w.produce(w.t.Context(), 1, 20, 20, func(i int) tasks.Purge {
			return tasks.Purge{ID: fmt.Sprintf("%s-%d", p.project, i), Project: p.project, Operation: tasks.Invalidate, Tags: numbered(3*i, 3)}
		}))
	}
	if !slow {
		w.askSlowly()
	}
}

// endRoll tells the old fleet to stop.
func (w *storm) endRoll() {
	for _, p := range w.old {
		w.term(p)
	}
	w.old = nil
	if !w.isSlow() {
		w.pace() // from here on it must go
		w.pace = nil
	}
}

// endSlowness rolls once more if the slow project still is slow: what waits for its old
// pace must go at the new one.
func (w *storm) endSlowness() {
	if w.pace == nil {
		return
	}
	w.roll()
	time.Sleep(time.Second) // both fleets run
	w.endRoll()
}
