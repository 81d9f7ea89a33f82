package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/edgepurge/edgepurge/internal/overview"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// String is the status for people.
func (s *status) String() string {
	var b strings.Builder
	for i := range s.Accounts {
		writeAccount(&b, &s.Accounts[i], s.Now)
		b.WriteString("\n")
	}
	for _, m := range s.Moved {
		fmt.Fprintf(&b, "%s\n\n", plain(m.String()))
	}
	t := newTable(&b)
	row(t, "QUEUE", "PENDING", "ACTIVE", "RETRY", "SCHEDULED", "DEAD")
	for _, q := range s.Queues {
		name := q.Queue
		if q.Paused {
			name += " (paused)"
		}
		row(t, name, q.Pending, q.Active, q.Retry, q.Scheduled, q.Archived)
	}
	_ = t.Flush() // into memory
	s.writeTries(&b)
	b.WriteString("\n")
	s.writeDead(&b)
	s.writeWorkers(&b)
	return b.String()
}

// writeTries says until when calls wait for another attempt, with the day.
func (s *status) writeTries(w io.Writer) {
	for _, q := range s.Queues {
		if q.NextTry == nil || q.LastTry == nil {
			continue
		}
		fmt.Fprintf(w, "%s: %s to be tried again, the next %s", plain(q.Queue), count(q.Retry+q.Scheduled, "task"), whenAndDay(*q.NextTry, s.Now))
		if q.LastTry.After(*q.NextTry) {
			fmt.Fprintf(w, ", the last %s", whenAndDay(*q.LastTry, s.Now))
		}
		fmt.Fprintln(w)
	}
}

func whenAndDay(t, now time.Time) string {
	return when(t, now) + " (" + t.Local().Format(dayAndTime) + ")"
}

// dayAndTime is for moments that may be on another day.
const dayAndTime = "Mon 2 Jan 15:04:05"

func (s *status) writeDead(w io.Writer) {
	total := 0
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(s.DeadLetters)) {
		total += s.DeadLetters[reason]
		parts = append(parts, fmt.Sprintf("%s %d", plain(reason), s.DeadLetters[reason]))
	}
	if n := s.UnreadLetters; n > 0 {
		total += n
		parts = append(parts, fmt.Sprintf("%d not read yet: run this again", n))
	}
	if total == 0 {
		fmt.Fprintln(w, "dead letters: none")
		return
	}
	fmt.Fprintf(w, "dead letters: %d (%s), see `edgepurge dead list`\n", total, strings.Join(parts, ", "))
}

func (s *status) writeWorkers(w io.Writer) {
	if s.WorkersFault != "" {
		fmt.Fprintf(w, "workers: could not look: %s\n", plain(s.WorkersFault))
		return
	}
	if len(s.Workers) == 0 {
		fmt.Fprintln(w, "workers: none, so nothing is purged: start `edgepurge worker`")
		return
	}
	fmt.Fprintf(w, "workers: %d\n", len(s.Workers))
	for _, p := range s.Workers {
		fmt.Fprintf(w, "  %s, process %d, up %s, %s in hand\n", plain(p.Host), p.PID, brief(s.Now.Sub(p.Started)), count(p.Active, "task"))
	}
}

func writeAccount(w io.Writer, a *overview.Account, now time.Time) {
	fmt.Fprintf(w, "account %s", plain(a.Account))
	if !a.Configured {
		fmt.Fprint(w, " (not in this configuration; budget as by default)")
	}
	fmt.Fprintln(w)
	if text := leftovers(a); text != "" {
		fmt.Fprintf(w, "  left over  %s\n", plain(text))
	}
	fmt.Fprintf(w, "  budget     %s\n", budgetLine(&a.Budget))
	fmt.Fprintf(w, "  in flight  %d of %s\n", len(a.InFlight), count(a.InFlightMax, "call"))
	if a.PausedUntil != nil {
		fmt.Fprintf(w, "  paused     for another %s, until %s\n", brief(a.PausedUntil.Sub(now)), a.PausedUntil.Local().Format(dayAndTime))
	}
	for _, h := range a.Holds {
		fmt.Fprintf(w, "  held       %s\n", holdLine(h, now))
		fmt.Fprintf(w, "             %s\n", plain(holdRemedy(held{a.Account, h})))
	}
	if len(a.Lanes) == 0 {
		fmt.Fprintln(w, "  pending    nothing")
		return
	}
	fmt.Fprintf(w, "  pending    %s\n", count(int(a.Pending), "item"))
	t := newTable(w)
	row(t, "  LANE", "ITEMS", "AGAIN", "OLDEST DUE", "READY")
	for _, l := range a.Lanes {
		row(t, "  "+l.Lane, l.Pending, l.Again, when(l.Oldest, now), when(l.ReadyAt, now))
	}
	_ = t.Flush() // its writer keeps errors to itself
}

// budgetLine is the budget for people.
func budgetLine(b *overview.Budget) string {
	if b.Calls == 0 && b.Learned == 0 {
		return "unlimited" // and nobody counts
	}
	text := fmt.Sprintf("%d of %s used in %s, %d left", b.Used, count(b.Calls, "call"), brief(b.Per), b.Left)
	if b.Calls == 0 {
		text = fmt.Sprintf("%s used in %s, %d left", count(int(b.Used), "call"), brief(b.Per), b.Left)
	}
	if b.Reserve > 0 {
		text += fmt.Sprintf(", %d of them for urgent items", min(int64(b.Reserve), b.Left))
	}
	text += b.Taught()
	if b.Slowed > 0 {
		text += fmt.Sprintf("; slowed to %d, for calls failed", b.Slowed)
	}
	return text
}

// holdLine is a hold for people, on one line.
func holdLine(h lanes.Hold, now time.Time) string {
	probe := "next probe " + when(h.Next, now)
	return fmt.Sprintf("%s for %s: %s, %s", plain(h.Scope), brief(now.Sub(h.Since)), plain(withReason(h)), probe)
}

// withReason is a hold's cause with its reason in one word before it.
func withReason(h lanes.Hold) string {
	if h.Detail == "" || strings.HasPrefix(h.Detail, h.Reason) {
		return cmp.Or(h.Detail, h.Reason)
	}
	return h.Reason + ": " + h.Detail
}

func newTable(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) }

func row(t *tabwriter.Writer, cells ...any) {
	texts := make([]string, len(cells))
	for i, c := range cells {
		texts[i] = plain(fmt.Sprint(c))
	}
	fmt.Fprintln(t, strings.Join(texts, "\t"))
}

// when is a time as seen from now.
func when(t, now time.Time) string {
	d := t.Sub(now)
	switch {
	case t.IsZero():
		return "-"
	case d > time.Second:
		return "in " + brief(d)
	case d < -time.Second:
		return brief(-d) + " ago"
	}
	return "now"
}

// brief is a duration in its one or two largest units.
func brief(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(time.Second).String()
	case d < time.Hour:
		return units(d, time.Minute, "m", time.Second, "s")
	case d < 48*time.Hour:
		return units(d, time.Hour, "h", time.Minute, "m")
	}
	return units(d, 24*time.Hour, "d", time.Hour, "h")
}

func units(d, large time.Duration, l string, small time.Duration, s string) string {
	d = d.Round(small)
	if rest := d % large; rest != 0 {
		return fmt.Sprintf("%d%s%d%s", d/large, l, rest/small, s)
	}
	return fmt.Sprintf("%d%s", d/large, l)
}
