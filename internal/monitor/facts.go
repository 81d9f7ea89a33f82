package monitor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// level is how much something asks for a person: the class of its colour and sign.
type level string

const (
	good level = "good"
	warn level = "warn" // look at it when there is time
	bad  level = "bad"  // somebody must do something
)

// Spoken is what a screen reader says in place of the sign.
func (l level) Spoken() string {
	switch l {
	case warn:
		return "Warning"
	case bad:
		return "Problem"
	case good:
	}
	return ""
}

// From which age of the oldest due item on content counts as behind. The second
// is the default of spread.max_delay, past which nothing waits by intent.
const (
	behind    = time.Minute
	farBehind = 15 * time.Minute
)

func lagLevel(lag time.Duration) level {
	switch {
	case lag >= farBehind:
		return bad
	case lag >= behind:
		return warn
	}
	return good
}

// usable is how many calls of a window there are for items that are not urgent.
func usable(most int64, reserve int) int64 { return max(1, most-int64(reserve)) }

// limitLevel warns once three quarters of the usable calls are spent: with the
// last one gone, what comes waits for the window.
func limitLevel(used, usable int64) level {
	if 4*used >= 3*usable {
		return warn
	}
	return good
}

// headline is the first line of the page.
type headline struct {
	Level level
	// Short has no numbers in it: it is what a screen reader is told when it changes.
	Short string
	Words string
}

// facts are what the first lines are made of.
type facts struct {
	now            time.Time
	workers        int
	items, later   int64 // pending; those in lanes whose oldest is not due yet
	lanes          int
	requests       int // not taken in yet
	lag            time.Duration
	oldest         string // the project of the oldest due item
	flying         int
	retries        int
	letters        int
	failed, called int // within lanes.RateWindow
	pausedQueues   []string
	heldAccounts   []string
	heldProjects   []string
	holdReason     string
	pause          time.Duration
	paused         string // an account
	nearest        string // the account that is nearest to its limit
	used, most     int64
	reserve        int // calls kept for urgent items
	per            time.Duration
}

func factsOf(s *snapshot) *facts {
	f := &facts{now: s.Now, workers: len(s.Workers)}
	if s.WorkersFault != "" { // whether any runs is not known, and not what is wrong
		f.workers = -1
	}
	for i := range s.Accounts {
		a := &s.Accounts[i]
		f.items += a.Pending
		f.lanes += len(a.Lanes)
		f.flying += len(a.InFlight)
		for _, l := range a.Lanes {
			lag := s.Now.Sub(l.Oldest)
			if lag < 0 {
				f.later += l.Pending
			} else if lag > f.lag || f.oldest == "" {
				f.lag = lag
				if lane, err := tasks.ParseLane(l.Lane); err == nil {
					f.oldest = lane.Project
				}
			}
		}
		for _, h := range a.Holds {
			if h.Scope == lanes.ScopeAccount {
				f.heldAccounts = append(f.heldAccounts, a.Account)
			} else {
				f.heldProjects = append(f.heldProjects, strings.TrimPrefix(h.Scope, lanes.ScopeProject("")))
			}
			if f.holdReason == "" || h.Scope == lanes.ScopeAccount {
				f.holdReason = words(h.Reason)
			}
		}
		if a.PausedUntil != nil && a.PausedUntil.Sub(s.Now) > f.pause {
			f.pause, f.paused = a.PausedUntil.Sub(s.Now), a.Account
		}
		if most := a.Budget.Most(); most > 0 {
			b := &a.Budget
			if f.most == 0 || b.Used*usable(f.most, f.reserve) > f.used*usable(most, b.Reserve) {
				f.nearest, f.used, f.most, f.reserve, f.per = a.Account, b.Used, most, b.Reserve, b.Per
			}
		}
	}
	for _, q := range s.Queues {
		switch q.Queue {
		case tasks.QueueIntake, tasks.QueueUrgent:
			f.requests += q.Pending + q.Retry + q.Scheduled
		case tasks.QueueCalls: // pending: one whose time has come, or half of a split
			f.retries += q.Pending + q.Retry + q.Scheduled
		}
		if q.Paused {
			f.pausedQueues = append(f.pausedQueues, q.Queue)
		}
	}
	for _, r := range s.letters {
		f.letters += r.N
	}
	if slices.Contains(s.unread, "dead letters") { // how many there are is known all the same
		f.letters = 0
		for _, q := range s.Queues {
			f.letters += q.Archived
		}
	}
	for _, x := range s.seconds {
		f.failed += x.Failed
		f.called += x.Calls
	}
	return f
}

// headline says what matters most, and only that.
func (f *facts) headline() headline {
	waits := f.waiting()
	switch {
	case f.workers == 0:
		return headline{bad, "Nothing is purged: no worker is running.", "Nothing is purged: no worker is running. " + waits}
	case f.workers < 0:
		return headline{bad, "Redis refuses writes: nothing is taken in.", "Redis refuses writes: nothing is taken in. " + waits}
	case len(f.pausedQueues) > 0:
		what := "Queue " + strings.Join(f.pausedQueues, " and ") + " is paused by hand."
		return headline{bad, what, what + " " + waits}
	case len(f.heldAccounts) > 0:
		what := heldWords("Account", f.heldAccounts, f.holdReason)
		return headline{bad, what, what + " " + waits}
	case f.lag >= behind && len(f.heldProjects) == 0:
		why := "Purges are late."
		if f.pause > 0 {
			why = "Purges are late: Vercel limits account " + f.paused + "."
		}
		return headline{lagLevel(f.lag), why, "Purges are up to " + brief(f.lag) + " late. " + waits}
	case len(f.heldProjects) > 0:
		what := heldWords("Project", f.heldProjects, f.holdReason)
		return headline{bad, what, what + " " + waits}
	case f.letters > 0:
		return headline{warn, "There are dead letters.", f.accepted() + " There " + isAre(f.letters, "dead letter") + ". " + waits}
	case f.pause > 0:
		return headline{warn, "Vercel limits account " + f.paused + ".", "Vercel limits account " + f.paused + ": it goes on in " + brief(f.pause) + ". " + waits}
	}
	return headline{good, f.accepted(), f.accepted() + " " + waits}
}

// accepted is what can be said when nothing is wrong. Vercel accepts purges; it
// never says that content is fresh.
func (f *facts) accepted() string {
	if f.oldest != "" || f.requests > 0 {
		return "Purges are on time."
	}
	return "Everything due has been accepted by Vercel."
}

func isAre(n int, thing string) string {
	if n == 1 {
		return "is 1 " + thing
	}
	return "are " + count(int64(n), thing)
}

func heldWords(what string, names []string, reason string) string {
	if len(names) > 1 {
		return fmt.Sprintf("%s are held, %s for one: %s.", count(int64(len(names)), strings.ToLower(what)), names[0], reason)
	}
	return fmt.Sprintf("%s %s is held: %s.", what, names[0], reason)
}

func (f *facts) waiting() string {
	switch {
	case f.items == 0 && f.requests == 0:
		return "Nothing waits."
	case f.items == 0:
		return count(int64(f.requests), "request") + " on the way in."
	case f.items == f.later && f.items == 1:
		return "1 item waits for its time."
	case f.items == f.later:
		return count(f.items, "item") + " wait for their time."
	case f.items == 1:
		return "1 item waits."
	}
	return number(f.items) + " items wait."
}

// tiles answer the four questions of three in the morning.
func (f *facts) tiles() []tile {
	late := tile{lagLevel(f.lag), "Are purges on time?", "on time", "nothing due is waiting"}
	if f.oldest != "" {
		late.Value, late.Words = "due "+brief(f.lag)+" ago", "the oldest item, of "+f.oldest
	}
	if f.workers == 0 {
		late.Level = bad
		if f.oldest == "" {
			late.Value, late.Words = "no worker", "what is asked for waits until one runs"
		}
	}

	waiting := tile{good, "What is waiting?", count(f.items, "item"), fmt.Sprintf("in %s", count(int64(f.lanes), "lane"))}
	if f.later > 0 {
		waiting.Words += ", " + number(f.later) + " for later"
	}
	if f.requests > 0 {
		waiting.Words += ", " + count(int64(f.requests), "request") + " to take in"
	}
	if f.flying > 0 {
		waiting.Words += ", " + count(int64(f.flying), "call") + " under way"
	}

	failing := tile{good, "What is failing?", "nothing", "no call failed in 5 m"}
	if f.called > 0 {
		failing.Words = fmt.Sprintf("%s of %s failed in 5 m", number(int64(f.failed)), count(int64(f.called), "call"))
	}
	if f.retries > 0 {
		failing.Words += ", " + count(int64(f.retries), "call") + " to be tried again"
	}
	switch {
	case len(f.heldAccounts)+len(f.heldProjects) > 0:
		failing.Level, failing.Value = bad, count(int64(len(f.heldAccounts)+len(f.heldProjects)), "hold")
		if f.letters > 0 {
			failing.Words = count(int64(f.letters), "dead letter") + ", " + failing.Words
		}
	case f.letters > 0:
		failing.Level, failing.Value = warn, count(int64(f.letters), "dead letter")
	case f.failed > 0:
		failing.Level, failing.Value = warn, count(int64(f.failed), "failed call")
	}

	limit := tile{good, "Are we near the limit?", "no limit", "no account has a budget"}
	if f.most > 0 {
		limit.Level = limitLevel(f.used, usable(f.most, f.reserve))
		limit.Value = fmt.Sprintf("%d of %s", f.used, count(f.most, "call"))
		limit.Words = "in " + brief(f.per) + ", account " + f.nearest
		if f.reserve > 0 {
			limit.Words += fmt.Sprintf(", %d of them for urgent items only", f.reserve)
		}
	}
	if f.pause > 0 {
		limit.Level, limit.Value, limit.Words = warn, "paused for "+brief(f.pause), "by Vercel's 429, account "+f.paused
	}
	return []tile{late, waiting, failing, limit}
}
