package monitor

import (
	"fmt"
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

func limitLevel(used, most int64) level {
	if most > 0 && used >= most {
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
	per            time.Duration
}

func factsOf(s *snapshot) *facts {
	f := &facts{now: s.Now, workers: len(s.Workers)}
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
			if f.most == 0 || a.Budget.Used*f.most > f.used*most {
				f.nearest, f.used, f.most, f.per = a.Account, a.Budget.Used, most, a.Budget.Per
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
	case len(f.pausedQueues) > 0:
		what := "Queue " + strings.Join(f.pausedQueues, " and ") + " is paused by hand."
		return headline{bad, what, what + " " + waits}
	case len(f.heldAccounts) > 0:
		what := heldWords("Account", f.heldAccounts, f.holdReason)
		return headline{bad, what, what + " " + waits}
	case f.lag >= behind && len(f.heldProjects) == 0:
		why := "Content is behind."
		if f.pause > 0 {
			why = "Content is behind: Vercel limits account " + f.paused + "."
		}
		return headline{lagLevel(f.lag), why, "Content is up to " + brief(f.lag) + " behind. " + waits}
	case len(f.heldProjects) > 0:
		what := heldWords("Project", f.heldProjects, f.holdReason)
		return headline{bad, what, what + " " + waits}
	case f.letters > 0:
		return headline{
			warn, "Content is fresh, but for dead letters.",
			"Content is fresh, but for " + count(int64(f.letters), "dead letter") + ". " + waits,
		}
	case f.pause > 0:
		return headline{warn, "Vercel limits account " + f.paused + ".", "Vercel limits account " + f.paused + ": it goes on in " + brief(f.pause) + ". " + waits}
	}
	return headline{good, "Content is fresh.", "Content is fresh. " + waits}
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
	fresh := tile{lagLevel(f.lag), "Is content fresh?", "up to date", "nothing due is waiting"}
	if f.oldest != "" {
		fresh.Value, fresh.Words = brief(f.lag)+" behind", "oldest: "+f.oldest
	}
	if f.workers == 0 {
		fresh.Level = bad
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
		limit.Level = limitLevel(f.used, f.most)
		limit.Value = fmt.Sprintf("%d of %s", f.used, count(f.most, "call"))
		limit.Words = "in " + brief(f.per) + ", account " + f.nearest
	}
	if f.pause > 0 {
		limit.Level, limit.Value, limit.Words = warn, "paused for "+brief(f.pause), "by Vercel's 429, account "+f.paused
	}
	return []tile{fresh, waiting, failing, limit}
}
