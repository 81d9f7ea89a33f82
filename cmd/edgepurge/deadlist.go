package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/edgepurge/edgepurge/internal/deadletter"
	"github.com/edgepurge/edgepurge/tasks"
)

// Bounds of the list on a terminal, in characters.
const (
	minDeadTexts = 40 // names and answer get a line of their own where there is less room
	minDeadNames = 16
)

// width is how many characters a line of stdout may have; 0: it is no terminal.
func (a *app) width() int {
	f, ok := a.stdout.(interface{ Fd() uintptr })
	if !ok || !isTerminal(a.stdout) {
		return 0
	}
	if n, err := strconv.Atoi(a.getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	n, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return n
}

// deadTable lists letters: what they hold, then what was answered. Width 0 cuts nothing.
func deadTable(letters []deadletter.Summary, now time.Time, width int) string {
	wide := make([][]string, 1, len(letters)+1)
	wide[0] = []string{"ID", "QUEUE", "AGE", "REASON", "ACCOUNT", "PROJECT", "WHAT", "ITEMS"}
	names, answers := []string{"NAMES"}, []string{"ANSWER"}
	for i := range letters {
		l := &letters[i]
		wide = append(wide, []string{
			l.ID, strings.TrimPrefix(l.Queue, "edgepurge-"), age(l, now), l.Reason, dash(l.Account), dash(l.Project), what(l), strconv.Itoa(l.Items),
		})
		names, answers = append(names, plain(namesOf(l))), append(answers, plain(l.Message))
	}
	if width <= 0 {
		return columns(wide, names, answers)
	}
	room := width - longest(aligned(wide)) - 2
	if room < minDeadTexts {
		return twoLines(wide, names, answers, width)
	}
	forNames := min(longest(names), max(room/3, minDeadNames))
	return columns(wide, cutAll(names, forNames), cutAll(answers, room-forNames-2))
}

// columns puts all of a letter on one line.
func columns(rows [][]string, names, answers []string) string {
	all := make([][]string, len(rows))
	for i, r := range rows {
		all[i] = append(slices.Clip(r), names[i], answers[i])
	}
	return strings.Join(aligned(all), "\n") + "\n"
}

// twoLines puts the names and the answer below the rest, of which the project comes last.
func twoLines(rows [][]string, names, answers []string, width int) string {
	short := make([][]string, len(rows))
	for i, r := range rows {
		short[i] = []string{r[0], r[2], r[3], r[6], r[7], r[5]}
	}
	var b strings.Builder
	for i, line := range aligned(short) {
		fmt.Fprintln(&b, cut(line, width))
		fmt.Fprintln(&b, cut("  "+names[i]+": "+answers[i], width))
	}
	return b.String()
}

// aligned returns the lines of a table.
func aligned(rows [][]string) []string {
	var b strings.Builder
	t := newTable(&b)
	for _, r := range rows {
		cells := make([]any, len(r))
		for i, c := range r {
			cells[i] = c
		}
		row(t, cells...)
	}
	_ = t.Flush() // into memory
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return lines
}

func longest(lines []string) (most int) {
	for _, line := range lines {
		most = max(most, len([]rune(line)))
	}
	return most
}

func cutAll(lines []string, most int) []string {
	list := make([]string, len(lines))
	for i, line := range lines {
		list[i] = cut(line, most)
	}
	return list
}

// cut keeps the first characters of a text, the last of them "…" if there are more.
func cut(s string, most int) string {
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return string(r[:max(0, most-1)]) + "…"
}

// namesOf is the first items of a letter.
func namesOf(l *deadletter.Summary) string {
	if len(l.First) == 0 {
		return "-"
	}
	text := strings.Join(l.First, ", ")
	if more := l.Items - len(l.First); more > 0 {
		text += fmt.Sprintf(", and %d more", more)
	}
	return text
}

// age is how long ago the letter died.
func age(l *deadletter.Summary, now time.Time) string {
	if l.Died.IsZero() {
		return "-"
	}
	return brief(now.Sub(l.Died))
}

// what is operation and kind of a letter, such as "delete tag".
func what(l *deadletter.Summary) string {
	switch {
	case l.Unreadable:
		return "unreadable"
	case l.Type == tasks.TypeCall:
		return fmt.Sprintf("%s %s", l.Operation, l.Kind)
	case l.Type == tasks.TypeRequest:
		return fmt.Sprintf("%s request", l.Operation)
	case l.Unverified:
		return "webhook " + l.Source + ", not verified"
	}
	return "webhook " + l.Source
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
