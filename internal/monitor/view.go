package monitor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/edgepurge/edgepurge/internal/deadletter"
	"github.com/edgepurge/edgepurge/internal/overview"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// Bounds of the page; of what is beyond them it shows how much there is.
const (
	shownLanes    = 50
	shownHolds    = 20
	shownReasons  = 20
	shownAccounts = 20
	shownWorkers  = 10
)

// view is what the templates print: texts and numbers, nothing to decide.
type view struct {
	ReadOnly bool
	Notice   string
	At       string
	Unread   string // what could not be read, and may be old
	Fault    string // why there is nothing to show
	Headline headline
	Tiles    []tile
	Holds    []holdRow
	Accounts []accountRow
	Lanes    []laneRow
	Letters  []letterRow
	Calls    []callRow
	CallRate chart
	ItemRate chart
	Workers  []string
	Queues   []queueRow

	MoreHolds, MoreAccounts, MoreLanes, MoreLaneItems, MoreReasons, MoreWorkers int64
}

type tile struct {
	Level                  level
	Question, Value, Words string
}

type holdRow struct {
	Account, Scope       string
	What, Reason, Detail string
	Since, Next          string
}

type accountRow struct {
	Account, Note    string
	Used, Most       int64 // Most 0: no limit
	Bar              int   // of 100
	Level            level
	Budget, InFlight string
	Paused           string
	Spreads          []spreadRow
}

type spreadRow struct {
	Project, Words string
	Bar            int // of 100; a debt is 0
	Debt           bool
}

type laneRow struct {
	Account, Project, What, Priority string
	Items                            int64
	Again                            int64
	Oldest, Next                     string
	Level                            level
}

type letterRow struct {
	Reason, Last, From, Items, Message string
	N                                  int
	Age                                time.Duration
}

type callRow struct {
	Ago, At                 string
	Account, Project, What  string
	Items                   int
	First                   string
	Level                   level
	Answer, Message, Verify string
	Took                    string
	Attempt                 int
}

type queueRow struct {
	Queue                                       string
	Pending, Active, Retry, Scheduled, Archived int
	Paused                                      bool
	Waited                                      time.Duration
}

// viewOf says what a snapshot means. It is a pure function.
func viewOf(s *snapshot, c *Config) *view {
	v := &view{ReadOnly: c.ReadOnly, At: s.Now.Format("15:04:05 MST"), Unread: strings.Join(s.unread, ", ")}
	f := factsOf(s)
	v.Headline, v.Tiles = f.headline(), f.tiles()
	v.addHolds(s)
	v.addAccounts(s, c)
	v.addLanes(s)
	v.addLetters(s)
	v.addCalls(s)
	items := func(x lanes.Second) int { return x.Items }
	v.CallRate = drawChart(s.seconds, func(x lanes.Second) int { return x.Calls }, func(x lanes.Second) int { return x.Failed })
	v.ItemRate = drawChart(s.seconds, items, func(lanes.Second) int { return 0 })
	if s.WorkersFault != "" {
		v.Workers = []string{"could not look: " + clip(s.WorkersFault, shownItemBytes)}
	}
	for i, w := range s.Workers {
		if i == shownWorkers {
			v.MoreWorkers = int64(len(s.Workers) - i)
			break
		}
		v.Workers = append(v.Workers, fmt.Sprintf("%s, process %d, up %s", w.Host, w.PID, brief(s.Now.Sub(w.Started))))
	}
	for _, q := range s.Queues {
		v.Queues = append(v.Queues, queueRow{
			Queue: q.Queue, Pending: q.Pending, Active: q.Active, Retry: q.Retry, Scheduled: q.Scheduled,
			Archived: q.Archived, Paused: q.Paused, Waited: q.Waited,
		})
	}
	return v
}

func (v *view) addHolds(s *snapshot) {
	for _, a := range s.Accounts {
		for _, h := range a.Holds {
			if len(v.Holds) == shownHolds {
				v.MoreHolds++
				continue
			}
			what := "account " + a.Account
			if project, ok := strings.CutPrefix(h.Scope, "project:"); ok {
				what = "project " + project + " of " + a.Account
			}
			v.Holds = append(v.Holds, holdRow{
				Account: a.Account, Scope: h.Scope, What: what, Reason: words(h.Reason), Detail: withoutReason(h.Detail, h.Reason),
				Since: brief(s.Now.Sub(h.Since)), Next: probeTime(h.Next, s.Now),
			})
		}
	}
}

// withoutReason is a message without the reason at its start, which is shown beside it.
func withoutReason(message, reason string) string {
	return clip(strings.TrimPrefix(message, reason+": "), shownItemBytes)
}

// probeTime says when a hold is probed: one whose time has come waits for something to call.
func probeTime(next, now time.Time) string {
	if !next.After(now) {
		return "with the next call"
	}
	return when(next, now)
}

func (v *view) addAccounts(s *snapshot, c *Config) {
	for i := range s.Accounts {
		a := &s.Accounts[i]
		if len(v.Accounts) == shownAccounts {
			v.MoreAccounts++
			continue
		}
		b := &a.Budget
		row := accountRow{
			Account: a.Account, Used: b.Used, Most: b.Most(), Budget: "no limit",
			InFlight: fmt.Sprintf("%d of %s under way", len(a.InFlight), count(int64(a.InFlightMax), "call")),
		}
		if !a.Configured {
			row.Note = "not in this configuration"
		}
		if row.Most > 0 {
			row.Bar = percent(float64(b.Used), float64(row.Most))
			row.Budget = fmt.Sprintf("%d of %s used in any %s, %d left", b.Used, count(row.Most, "call"), brief(b.Per), b.Left)
			row.Level = limitLevel(b.Used, usable(row.Most, b.Reserve))
			if b.Reserve > 0 {
				row.Budget += fmt.Sprintf(", %d kept for urgent items", b.Reserve)
			}
			row.Budget += b.Taught()
			if b.Slowed > 0 {
				row.Budget += fmt.Sprintf("; slowed to %d, for calls failed", b.Slowed)
			}
		}
		if a.PausedUntil != nil {
			row.Paused = "paused by Vercel's rate limit for another " + brief(a.PausedUntil.Sub(s.Now))
			row.Level = warn
		}
		for project, spread := range s.spreads[a.Account] {
			row.Spreads = append(row.Spreads, spreadOf(project, spread, c.spread(a.Account, project), s.Now))
		}
		slices.SortFunc(row.Spreads, func(x, y spreadRow) int { return cmp.Compare(x.Project, y.Project) })
		v.Accounts = append(v.Accounts, row)
	}
}

func spreadOf(project string, s lanes.SpreadStatus, c Spread, now time.Time) spreadRow {
	row := spreadRow{Project: project, Bar: percent(s.Tokens, c.Burst), Debt: s.Tokens <= 0}
	row.Words = fmt.Sprintf("%.0f of %.0f tokens, %g a second", max(0, s.Tokens), c.Burst, c.Rate)
	if row.Debt {
		row.Words = fmt.Sprintf("%.0f tokens in debt, %g a second: the next batch %s", -s.Tokens, c.Rate, when(s.Until, now))
	}
	return row
}

func (v *view) addLanes(s *snapshot) {
	type waiting struct {
		account string
		oldest  time.Time
		row     laneRow
	}
	var all []waiting
	for _, a := range s.Accounts {
		for _, l := range a.Lanes {
			lane, err := tasks.ParseLane(l.Lane)
			if err != nil {
				continue // status has parsed it
			}
			row := laneRow{
				Account: a.Account, Project: lane.Project, What: laneWords(lane), Priority: string(lane.Priority),
				Items: l.Pending, Again: l.Again, Oldest: when(l.Oldest, s.Now), Next: when(l.ReadyAt, s.Now),
				Level: lagLevel(s.Now.Sub(l.Oldest)),
			}
			switch held, paused := isHeld(&a, lane.Project), a.PausedUntil; {
			case held:
				row.Next = "held"
			case paused != nil && paused.After(l.ReadyAt):
				row.Next = when(*paused, s.Now)
			case !l.ReadyAt.After(s.Now):
				row.Next = "next"
			}
			all = append(all, waiting{a.Account, l.Oldest, row})
		}
	}
	slices.SortStableFunc(all, func(x, y waiting) int { return x.oldest.Compare(y.oldest) })
	for i, w := range all {
		if i >= shownLanes {
			v.MoreLanes++
			v.MoreLaneItems += w.row.Items
			continue
		}
		v.Lanes = append(v.Lanes, w.row)
	}
}

// isHeld reports whether a hold of its account or project keeps a lane back.
func isHeld(a *overview.Account, project string) bool {
	return slices.ContainsFunc(a.Holds, func(h lanes.Hold) bool {
		return h.Scope == lanes.ScopeAccount || h.Scope == lanes.ScopeProject(project)
	})
}

func laneWords(l tasks.Lane) string {
	text := string(l.Operation) + " " + kindWords(l.Kind)
	if l.Target != tasks.AllTargets {
		text += ", " + string(l.Target)
	}
	if l.DeadlineSeconds != tasks.NoDeadline {
		text += fmt.Sprintf(", within %d s", l.DeadlineSeconds)
	}
	return text
}

func kindWords(k tasks.Kind) string {
	if k == tasks.SrcImage {
		return "images"
	}
	return "tags"
}

func (v *view) addLetters(s *snapshot) {
	for i := range s.letters {
		r := &s.letters[i]
		if len(v.Letters) == shownReasons {
			v.MoreReasons += int64(r.N)
			continue
		}
		l := &r.Last
		v.Letters = append(v.Letters, letterRow{
			Reason: r.Reason, N: r.N, Last: when(l.Died, s.Now), From: fromWords(l),
			Items:   firstOf(l.First, l.Items),
			Message: withoutReason(l.Message, r.Reason),
		})
	}
}

// fromWords says whose a dead letter is: the project, or the source of a delivery
// that could not be mapped to one.
func fromWords(l *deadletter.Summary) string {
	if l.Type == tasks.TypeDelivery && l.Source != "" {
		return "source " + l.Source
	}
	return l.Project
}

// firstOf is the first few items and how many more there are.
func firstOf(first []string, items int) string {
	shown := make([]string, 0, len(first))
	for _, item := range first {
		shown = append(shown, clip(item, 80))
	}
	text := strings.Join(shown, ", ")
	if more := items - len(first); more > 0 {
		text += fmt.Sprintf(" and %s more", number(int64(more)))
	}
	return text
}

func (v *view) addCalls(s *snapshot) {
	for _, c := range s.calls {
		row := callRow{
			Ago: when(c.At, s.Now), At: c.At.UTC().Format("15:04:05"), Account: c.Account, Project: c.Project,
			What: string(c.Operation) + " " + kindWords(c.Kind), Items: c.Items, First: strings.Join(c.First, ", "),
			Level: verdictLevel(c.Verdict), Message: c.Message, Verify: c.RequestID,
			Took: brief(time.Duration(c.TookMS) * time.Millisecond), Attempt: c.Attempt,
		}
		if more := c.Items - len(c.First); more > 0 {
			row.First += fmt.Sprintf(" and %d more", more)
		}
		status := "no answer"
		if c.Status != 0 {
			status = fmt.Sprint(c.Status)
		}
		row.Answer = status + " " + words(cmp.Or(verdictWords[c.Verdict], c.Verdict))
		v.Calls = append(v.Calls, row)
	}
}

// verdictWords are the worker's verdicts for people.
var verdictWords = map[string]string{
	"done": "purged", "wait": "rate limited", "retry": "tried again later", "split": "split in two",
	"dead": "dead letter", "hold_account": "account held", "hold_project": "project held",
}

func verdictLevel(verdict string) level {
	switch verdict {
	case "done":
		return good
	case "wait", "retry", "split":
		return warn
	}
	return bad
}

// words writes an identifier as people do.
func words(s string) string { return strings.ReplaceAll(s, "_", " ") }

func percent(part, whole float64) int {
	if whole <= 0 {
		return 0
	}
	return int(min(100, max(0, part/whole*100)))
}
