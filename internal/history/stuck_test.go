package history_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/history"
	"github.com/edgepurge/edgepurge/tasks"
)

func terms() history.Terms {
	return history.Terms{Until: at(60_000), Bound: 10 * time.Second, Calls: 2, Per: time.Second, Backoff: 2 * time.Second, Pause: 5 * time.Second}
}

func TestStuck(t *testing.T) {
	t.Parallel()
	one := []history.Request{asked("1", 0, "a")}
	inTurn := []history.Call{called(13_000, 200, "b"), called(20_000, 200, "c"), called(33_000, 200, "a")}
	for _, test := range []struct {
		name     string
		requests []history.Request
		calls    []history.Call
		letters  []history.Letter
		change   func(*history.Terms)
		// since and until are the stretch, in ms; until 0: nothing is stuck.
		since, until int
	}{
		{"called at once", one, []history.Call{called(20, 200, "a")}, nil, nil, 0, 0},
		{"called before the producer was told", one, []history.Call{called(5, 200, "a")}, nil, nil, 0, 0},
		{"called within the bound", one, []history.Call{called(10_000, 200, "a")}, nil, nil, 0, 0},
		{"called too late", one, []history.Call{called(10_100, 200, "a")}, nil, nil, 10, 10_100},
		{"never called", one, nil, nil, nil, 10, 60_000},
		{"the records end early", one, nil, nil, func(t *history.Terms) { t.Until = at(10_000) }, 0, 0},
		{"no bound", one, nil, nil, func(t *history.Terms) { t.Bound = 0 }, 0, 0},
		{"dead", one, nil, []history.Letter{died(5_000, "a")}, nil, 0, 0},
		{"the call with it had begun before", []history.Request{asked("1", 100, "a")}, []history.Call{called(99, 200, "a")}, nil, nil, 110, 60_000},

		{"tried again in time", one, []history.Call{called(20, 503, "a"), called(12_000, 200, "a")}, nil, nil, 0, 0},
		{"tried again too late", one, []history.Call{called(20, 503, "a"), called(12_100, 200, "a")}, nil, nil, 2_040, 12_100},
		{"never tried again", one, []history.Call{called(20, 0, "a")}, nil, nil, 2_040, 60_000},
		{"failed and died", one, []history.Call{called(20, 503, "a")}, []history.Letter{died(15, "a")}, nil, 0, 0},
		{"a 429 paused everyone", one, []history.Call{called(20, 429, "b"), called(15_000, 200, "a")}, nil, nil, 0, 0},
		{"a 429 of long ago", one, []history.Call{called(20, 429, "b"), called(15_100, 200, "a")}, nil, nil, 5_040, 15_100},

		{"excused", one, nil, nil, excuse(history.Excuse{From: at(0), To: at(51_000)}), 0, 0},
		{"excused without end", one, nil, nil, excuse(history.Excuse{From: at(0)}), 0, 0},
		{"excused too short", one, nil, nil, excuse(history.Excuse{From: at(5_000), To: at(49_000)}), 49_000, 60_000},
		{"another project's", one, nil, nil, excuse(history.Excuse{Project: "blog", From: at(0)}), 10, 60_000},
		{"its project's", one, nil, nil, excuse(history.Excuse{Project: "shop", From: at(0)}), 0, 0},
		{"another request's", one, nil, nil, excuse(history.Excuse{Request: "2", From: at(0)}), 10, 60_000},
		{"its own", one, nil, nil, excuse(history.Excuse{Request: "1", From: at(0)}), 0, 0},
		{"another item's", one, nil, nil, excuse(history.Excuse{Item: "b", From: at(0)}), 10, 60_000},
		{"its item's", one, nil, nil, excuse(history.Excuse{Item: "a", From: at(0)}), 0, 0},

		{"the budget was spent", one, slices.Concat(steady(0, 50_100, 300), []history.Call{called(50_200, 200, "a")}), nil, nil, 0, 0},
		{"one call of the budget was free", one, slices.Concat(steady(0, 50_000, 1_200), []history.Call{called(50_200, 200, "a")}), nil, nil, 10, 50_200},
		{"that one was kept for urgent items", one, slices.Concat(steady(0, 50_000, 900), []history.Call{called(50_200, 200, "a")}), nil, reserve, 0, 0},
		{"it is urgent", []history.Request{prioritized(tasks.Urgent)}, slices.Concat(steady(0, 50_000, 1_100), []history.Call{called(50_200, 200, "a")}), nil, reserve, 10, 50_200},
		{"too many calls were under way", one, []history.Call{lasting(0, 59_000, "b"), called(59_500, 200, "a")}, nil, inFlight(1), 0, 0},
		{"one more could have been", one, []history.Call{lasting(0, 59_000, "b"), called(59_500, 200, "a")}, nil, inFlight(2), 10, 59_500},
		{"its spread was in debt", one, []history.Call{called(5, 200, numbered(0, 10)...), called(59_500, 200, "a")}, nil, spread(at(0), 0.2), 0, 0},
		{"its spread had recovered", one, []history.Call{called(5, 200, numbered(0, 10)...), called(59_500, 200, "a")}, nil, spread(at(0), 0.3), 33_338, 59_500},
		{"its spread was lifted", one, []history.Call{called(5, 200, numbered(0, 10)...), called(59_500, 200, "a")}, nil, spread(at(0), 0.2, 40_000), 40_000, 59_500},
		{"what waited longer went", []history.Request{asked("1", 0, "b", "c"), asked("2", 100, "a")}, inTurn, nil, bound(15 * time.Second), 0, 0},
		{"what waited hardly less went", []history.Request{asked("1", 0, "a"), asked("2", 12_000, "b", "c")}, inTurn, nil, bound(15 * time.Second), 0, 0},
		{"what waited less went", []history.Request{asked("1", 0, "a"), asked("2", 12_000, "b", "c")}, inTurn, nil, bound(11 * time.Second), 10, 33_000},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			of := terms()
			if test.change != nil {
				test.change(&of)
			}
			found := history.Stuck(test.requests, test.calls, test.letters, of)
			found = slices.DeleteFunc(found, func(s history.Stall) bool { return s.Item != "a" })
			if test.until == 0 {
				require.Empty(t, found)
				return
			}
			require.Len(t, found, 1)
			assert.Equal(t, at(test.since), found[0].Since.Truncate(time.Millisecond))
			assert.Equal(t, at(test.until), found[0].Until)
		})
	}
}

// A call with what a rule put in an item's place takes it too.
func TestStuck_Collapsed(t *testing.T) {
	t.Parallel()
	requests, calls := []history.Request{asked("1", 0, "a")}, []history.Call{called(20, 200, "all")}
	rules := []history.Rule{{Project: "shop", Match: "a", To: "all"}}
	assert.Empty(t, history.Stuck(requests, calls, nil, terms(), rules...))
	assert.Len(t, history.Stuck(requests, calls, nil, terms()), 1)
}

// What it says is enough to look for the cause with.
func TestStall_String(t *testing.T) {
	t.Parallel()
	found := history.Stuck([]history.Request{asked("1", 0, "a")}, []history.Call{called(20, 503, "a")}, nil, terms())
	require.Len(t, found, 1)
	assert.Equal(t, `tag "a" of shop (delete , request 1): its call failed at 05:00:00.040 and could go again at 05:00:02.040; `+
		`from 05:00:02.040 to 05:01:00.000 (57.96s) it could go: 0 calls began (never 2 of them in 1s) and 0 were under way at the end, `+
		`no pause, hold or spread kept it, and no call held it or what waits before it; the bound is 10s`, found[0].String())
}

func excuse(e history.Excuse) func(*history.Terms) {
	return func(t *history.Terms) { t.Excuses = append(t.Excuses, e) }
}

func reserve(t *history.Terms) { t.Reserve = 1 }

func inFlight(n int) func(*history.Terms) { return func(t *history.Terms) { t.InFlight = n } }

func bound(d time.Duration) func(*history.Terms) { return func(t *history.Terms) { t.Bound = d } }

// spread is one of a rate until a time, if one is given.
func spread(from time.Time, rate float64, until ...int) func(*history.Terms) {
	return func(t *history.Terms) {
		t.Spreads = append(t.Spreads, history.Spread{Project: "shop", From: from, Rate: rate})
		for _, ms := range until {
			t.Spreads = append(t.Spreads, history.Spread{Project: "shop", From: at(ms)})
		}
	}
}

// steady is a call for another project every so many milliseconds.
func steady(from, to, every int) []history.Call {
	var calls []history.Call
	for ms := from; ms < to; ms += every {
		c := called(ms, 200, "b")
		c.Project = "blog"
		calls = append(calls, c)
	}
	return calls
}

func lasting(from, to int, item string) history.Call {
	c := called(from, 200, item)
	c.End = at(to)
	return c
}

func prioritized(p tasks.Priority) history.Request {
	r := asked("1", 0, "a")
	r.Priority = p
	return r
}
