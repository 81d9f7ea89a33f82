package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// printDemo prints the result for people.
func (a *app) printDemo(r demoResult) {
	section := func(name string) { a.printf("\n%s\n", name) }
	text := func(name, remark string) { a.printf("  %-18s         %s\n", name, plain(remark)) }
	number := func(name string, n int, format string, args ...any) {
		remark := fmt.Sprintf(format, args...)
		a.printf("%s\n", strings.TrimRight(fmt.Sprintf("  %-18s %7s  %s", name, grouped(n), remark), " "))
	}
	section("asked for")
	less := ""
	if r.Requests < r.Planned && !r.Interrupted {
		less = fmt.Sprintf(", of %s planned: this machine is busy", grouped(r.Planned))
	}
	number("requests", r.Requests, "in %.1f s%s; all was done after %.1f s", r.AskedIn, less, r.Seconds)
	number("items", r.Items, "tags and source images, %s different ones", grouped(r.Distinct))
	number("duplicates dropped", r.Dropped, "%s: a twin was waiting", percent(r.Dropped, r.Items))
	number("items sent", r.Sent, "")

	c := r.Calls
	section("calls of the API")
	number("made", c.Total, "at most %d in any %s, %d are allowed", r.Budget.Widest, asDuration(r.Budget.Per), r.Budget.Calls)
	number("batches", c.Batches, "fewest possible %s: overhead %.1f %%", grouped(c.Fewest), c.Overhead)
	number("retried", c.Retries, "answered 503")
	number("rate limited", c.Limited, "answered 429: somebody else spends calls of the same token")
	number("halves of splits", c.Halves, "of %d refused calls, to find the item at fault", c.Refused)
	number("dead letters", len(r.DeadLetters), "")
	for _, l := range r.DeadLetters {
		text("", fmt.Sprintf("%s: %s: %s", strings.Join(l.Items, ", "), l.Reason, l.Message))
	}

	section("from request to purge")
	text("urgent", r.Latency.Urgent.String())
	text("the others", r.Latency.Normal.String())

	section(fmt.Sprintf("at Vercel, %d calls a minute", r.AtVercel.CallsAMinute))
	text("a call a request", minutes(r.AtVercel.OnePerRequest))
	text("these calls", minutes(r.AtVercel.These))
	a.printf("\n")
	a.printVerdict(r)
}

func (a *app) printVerdict(r demoResult) {
	if r.Interrupted {
		a.printf("interrupted: %s items were still waiting, and are gone with the embedded Redis\n", grouped(r.Waiting))
	} else {
		a.printf("lost: %d of %s items, by the journal of the API: each was in a successful call that began\n"+
			"after it was asked for, or is in a dead letter\n", r.Lost, grouped(r.Items))
	}
	for _, fault := range r.Faults {
		a.printf("FAULT %s\n", plain(fault))
	}
	a.printf(`
fewest possible: the items sent, at 16 tags or 8 images a call, rounded up by project, kind and operation
seed %d: --seed plays another day

next:  edgepurge dev            the same parts, left running for your application
       edgepurge purge --help   ask for a purge
`, r.Seed)
}

// String is a spread for people.
func (s demoSpread) String() string {
	if s.Requests == 0 {
		return "none were purged"
	}
	requests := grouped(s.Requests) + " requests"
	if s.Requests == 1 {
		requests = "1 request"
	}
	return fmt.Sprintf("median %.2f s, longest %.2f s (%s)", s.Median, s.Max, requests)
}

// grouped writes 12345 as 12,345.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func percent(part, whole int) string {
	if whole == 0 {
		return "0 %"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(part)/float64(whole))
}

func minutes(m float64) string { return brief(time.Duration(m * float64(time.Minute))) }

func asDuration(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
