package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/overview"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

func TestBrief(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second:                       "0s",
		0:                                  "0s",
		1234567 * time.Nanosecond:          "1ms",
		59 * time.Second:                   "59s",
		time.Minute:                        "1m",
		90 * time.Second:                   "1m30s",
		59*time.Minute + 59*time.Second:    "59m59s",
		time.Hour:                          "1h",
		25*time.Hour + 31*time.Minute:      "25h31m",
		80*24*time.Hour + 90*time.Minute:   "80d2h",
		365*24*time.Hour + 29*time.Minute:  "365d",
		47*time.Hour + 59*time.Minute + 50: "47h59m",
	} {
		assert.Equal(t, want, brief(d), d)
	}
}

func TestWhen(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	assert.Equal(t, "-", when(time.Time{}, now))
	assert.Equal(t, "now", when(now.Add(time.Second), now))
	assert.Equal(t, "in 5s", when(now.Add(5*time.Second), now))
	assert.Equal(t, "2m ago", when(now.Add(-2*time.Minute), now))
}

func TestBudgetOf(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		budget worker.Budget
		status lanes.Status
		left   int64
		text   string
	}{
		"fresh":              {worker.Budget{Calls: 5, Reserve: 1}, lanes.Status{}, 5, "0 of 5 calls used in 1m, 5 left, 1 of them for urgent items"},
		"nearly empty":       {worker.Budget{Calls: 5, Reserve: 2}, lanes.Status{Used: 4}, 1, "4 of 5 calls used in 1m, 1 left, 1 of them for urgent items"},
		"overdrawn":          {worker.Budget{Calls: 5}, lanes.Status{Used: 7}, 0, "7 of 5 calls used in 1m, 0 left"},
		"unlimited":          {worker.Budget{}, lanes.Status{}, -1, "unlimited"},
		"Vercel said less":   {worker.Budget{Calls: 5}, lanes.Status{Used: 1, Learned: 3}, 2, "1 of 5 calls used in 1m, 2 left; Vercel said 3"},
		"calls failed":       {worker.Budget{Calls: 5}, lanes.Status{Used: 1, Slowed: 2}, 1, "1 of 5 calls used in 1m, 1 left; slowed to 2, for calls failed"},
		"Vercel said more":   {worker.Budget{Calls: 5}, lanes.Status{Learned: 9}, 5, "0 of 5 calls used in 1m, 5 left"},
		"only Vercel limits": {worker.Budget{}, lanes.Status{Used: 1, Learned: 3}, 2, "1 call used in 1m, 2 left; Vercel said 3"},
	} {
		c.budget.Per = time.Minute
		b := overview.BudgetOf(settings(worker.Account{Budget: c.budget}), &c.status)
		assert.Equal(t, c.left, b.Left, name)
		assert.Equal(t, c.text, budgetLine(&b), name)
	}
}

func TestStatus_String(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	paused := now.Add(30 * time.Second)
	s := status{
		Now: now,
		Accounts: []overview.Account{{
			Account: "old", InFlightMax: 4, Pending: 3, InFlight: []overview.Flight{{}},
			Budget:      overview.BudgetOf(overview.Settings{Calls: 5, Per: time.Minute}, &lanes.Status{}),
			PausedUntil: &paused,
			Lanes: []overview.Lane{{
				Lane: "prj:tag:delete:all:none:normal", Pending: 3, Again: 1, Oldest: now.Add(-time.Minute), ReadyAt: now.Add(10 * time.Second),
			}},
			Holds: []lanes.Hold{{Scope: "project:prj", Reason: "project_gone", Detail: "gone\x1b[2J", Since: now.Add(-time.Hour), Next: now.Add(time.Minute)}},
		}},
		Queues:      []overview.Queue{{Queue: "edgepurge-calls", Archived: 3, Paused: true}},
		DeadLetters: map[string]int{"refused": 2, "bad_request": 1},
		Workers:     []overview.Worker{{Host: "h", PID: 7, Started: now.Add(-time.Hour), Active: 2}},
	}
	text := s.String()
	for _, want := range []string{
		"account old (not in this configuration; budget as by default)\n",
		"  in flight  1 of 4 calls\n",
		"  paused     for another 30s, until ",
		"  held       project:prj for 1h: project_gone: gone�[2J, next probe in 1m\n" +
			"             check the project's id and that it belongs to this account's team, then `edgepurge hold release old --project prj`, or wait for the next probe\n",
		"  pending    3 items\n",
		"  prj:tag:delete:all:none:normal  3      1      1m ago      in 10s\n",
		"edgepurge-calls (paused)  0        0       0      0          3\n",
		"dead letters: 3 (bad_request 1, refused 2), see `edgepurge dead list`\n",
		"workers: 1\n  h, process 7, up 1h, 2 tasks in hand\n",
	} {
		assert.Contains(t, text, want)
	}

	s.UnreadLetters = 3998
	assert.Contains(t, s.String(), "dead letters: 4001 (bad_request 1, refused 2, 3998 not read yet: run this again), see `edgepurge dead list`\n")

	one := status{
		Now: now,
		Accounts: []overview.Account{{
			Account: "acme", InFlightMax: 1, Pending: 1, Budget: overview.BudgetOf(overview.Settings{Calls: 1, Per: time.Minute}, &lanes.Status{}),
			Lanes: []overview.Lane{{Lane: "prj:tag:delete:all:none:normal", Pending: 1}},
		}},
		Workers: []overview.Worker{{Host: "h", PID: 7, Started: now, Active: 1}},
	}
	text = one.String()
	for _, want := range []string{"  pending    1 item\n", ", 1 task in hand\n", "  in flight  0 of 1 call\n", "  budget     0 of 1 call used in 1m, 1 left\n"} {
		assert.Contains(t, text, want)
	}
}

func TestFewestCalls(t *testing.T) {
	t.Parallel()
	batch := worker.DefaultAccount().Batch
	items := make([]string, 17)
	for i := range items {
		items[i] = strings.Repeat("x", 240)
	}
	assert.Equal(t, 2, fewestCalls(batch, tasks.Tag, items))
	assert.Equal(t, 1, fewestCalls(batch, tasks.Tag, items[:16]))
	assert.Equal(t, 3, fewestCalls(batch, tasks.SrcImage, items))
	batch.Form = worker.FormString
	assert.Equal(t, 1, fewestCalls(batch, tasks.Tag, items))
	assert.Equal(t, 1, fewestCalls(batch, tasks.Tag, []string{strings.Repeat("x", tasks.MaxTagStringBytes)}))
	assert.Equal(t, 2, fewestCalls(batch, tasks.Tag, []string{strings.Repeat("x", tasks.MaxTagStringBytes-1), "y"}))
}

func TestAgreed(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]bool{"y\n": true, "YES\n": true, " y \n": true, "\n": false, "n\n": false, "": false, "maybe\n": false} {
		var stderr bytes.Buffer
		a := &app{stdin: strings.NewReader(answer), stderr: &stderr}
		assert.Equal(t, want, a.agreed(t.Context(), "delete them?"), "%q", answer)
		assert.Equal(t, "delete them? [y/N] ", stderr.String())
	}
}

func TestParseStatuses(t *testing.T) {
	t.Parallel()
	got, err := parseStatuses([]string{"503=0.02", "500=0.1", "503=0.08"})
	require.NoError(t, err)
	assert.InDelta(t, 0.1, got[503], 1e-9)
	for _, bad := range []string{"", "503", "503=", "=0.1", "x=0.1", "503:0.1"} {
		_, err := parseStatuses([]string{bad})
		assert.ErrorContains(t, err, "status=probability", bad)
	}
}

func TestReachable(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "127.0.0.1:8089", reachable("[::]:8089"))
	assert.Equal(t, "127.0.0.1:8089", reachable("0.0.0.0:8089"))
	assert.Equal(t, "[::1]:8089", reachable("[::1]:8089"))
	assert.Equal(t, "10.0.0.7:8089", reachable("10.0.0.7:8089"))
}
