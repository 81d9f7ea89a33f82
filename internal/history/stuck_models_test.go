package history_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/history"
	"github.com/edgepurge/edgepurge/tasks"
)

// from is the API that answers with a code for a while.
func from(after, until time.Duration, code int) func(*scheduler, string) int {
	return func(s *scheduler, _ string) int {
		if run := s.now.Sub(at(0)); run >= after && run < until {
			return code
		}
		return 200
	}
}

// TestStuck_KnownBadIsCaught runs programs that leave purges lying, each in one way: the
// checker must name what lies, and nothing else.
func TestStuck_KnownBadIsCaught(t *testing.T) {
	t.Parallel()
	for _, m := range []struct {
		name string
		set  func(*scheduler)
		// projects are whose items are stuck; "" is everyone's.
		projects, why string
		// since is when they could go at the earliest.
		since time.Duration
	}{
		{"ignores lanes past 128", func(s *scheduler) {
			s.looksAt = 128
			s.manyLanes(10*time.Second, 800)
		}, "quiet slow", "its project had no call while others had", 20 * time.Second},
		{"never offers a lane again after a change of pace", func(s *scheduler) {
			s.keepsOldPace, s.rate = true, 0.001
			s.terms.Spreads = []history.Spread{{Project: "slow", From: at(0), Rate: 0.001}, {Project: "slow", From: at(120_000)}}
			s.event = func(s *scheduler) {
				if s.now.Equal(at(120_000)) {
					s.rate = 0
				}
			}
		}, "slow", "no pause, hold or spread kept it", 2 * time.Minute},
		{"never takes in a request that a killed worker had in hand", func(s *scheduler) { s.forgets = 300 }, "", "it could go", 0},
		{"keeps a connection that is dead", func(s *scheduler) {
			s.event = func(s *scheduler) { s.unreachable = s.unreachable || s.now.Equal(at(120_000)) }
		}, "", "0 calls began", 2*time.Minute - time.Second},
		{"serves the newest first", func(s *scheduler) {
			s.newestFirst = true
			for n := range 200 {
				for k := range 5 {
					s.ask(time.Duration(n)*time.Second, "busy", "", fmt.Sprintf("lane%d-%d", k, n))
				}
			}
		}, "", "", 0},
		{"serves bulk never while there is anything else", func(s *scheduler) {
			s.neverRetries = true // no call fails here
			s.ask(time.Second, "busy", tasks.Bulk, "bulk")
			for n := range 199 {
				for k := range 5 {
					s.ask(time.Duration(n)*time.Second, "busy", "", fmt.Sprintf("lane%d-%d", k, n))
				}
			}
		}, "busy", "items that had waited less", time.Minute},
		{"waits a day because a 503 says so", func(s *scheduler) {
			s.neverRetries = true
			s.answer = from(100*time.Second, 101*time.Second, 503)
		}, "", "its call failed at", 100 * time.Second},
		{"loses a slot with each call that fails", func(s *scheduler) {
			s.leaksSlots, s.terms.InFlight = true, 4
			s.answer = from(100*time.Second, 110*time.Second, 503)
		}, "", "0 were under way", 100 * time.Second},
		{"keeps a hold that was released", func(s *scheduler) {
			s.ignores = "quiet"
			s.terms.Excuses = []history.Excuse{{Project: "quiet", From: at(0), To: at(200_000)}}
		}, "quiet", "it could go", 200 * time.Second},
		{"sleeps through a wake-up", func(s *scheduler) { s.every = time.Minute }, "", "it could go", 0},
	} {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(2) {
				s := schedule(seed, m.set)
				found := history.Stuck(s.requests, s.calls, s.letters, s.terms)
				require.NotEmpty(t, found, "seed %d: not caught", seed)
				for _, f := range first(found, 50) {
					require.Contains(t, f.Why, m.why, "seed %d", seed)
					if m.projects != "" {
						require.Contains(t, m.projects, f.Project, "seed %d: %s", seed, f)
					}
					require.False(t, f.Since.Before(at(0).Add(m.since)), "seed %d: too early: %s", seed, f)
				}
			}
		})
	}
}

// TestStuck_SlowButRightPasses: what is slow for a reason, or moves, is not stuck.
func TestStuck_SlowButRightPasses(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*scheduler){
		"as it should be":        func(*scheduler) {},
		"looks every 20 s":       func(s *scheduler) { s.every = 20 * time.Second },
		"a slow API":             func(s *scheduler) { s.latency, s.terms.InFlight = 50*time.Second, 2 },
		"a slow machine":         func(s *scheduler) { s.every, s.claims = 2*time.Second, 1 },
		"10 minutes of a budget": func(s *scheduler) { s.terms.Calls, s.terms.Per = 1, 5*time.Second },
		"800 lanes":              func(s *scheduler) { s.manyLanes(10*time.Second, 800) },
		"800 lanes and a slow machine": func(s *scheduler) {
			s.manyLanes(10*time.Second, 800)
			s.every, s.claims = time.Second, 1
		},
		"a slow spread": func(s *scheduler) {
			s.rate = 0.02
			s.terms.Spreads = []history.Spread{{Project: "slow", From: at(0), Rate: 0.02}}
		},
		"a change of pace": func(s *scheduler) {
			s.rate = 0.01
			s.terms.Spreads = []history.Spread{{Project: "slow", From: at(0), Rate: 0.01}, {Project: "slow", From: at(300_000)}}
			s.event = func(s *scheduler) {
				if s.now.Equal(at(300_000)) {
					s.rate = 0
					clear(s.spread)
				}
			}
		},
		"retries":     func(s *scheduler) { s.answer = from(100*time.Second, 160*time.Second, 503) },
		"a 429":       func(s *scheduler) { s.answer = from(100*time.Second, 101*time.Second, 429) },
		"bulk behind": func(s *scheduler) { s.ask(time.Second, "busy", tasks.Bulk, "bulk") },
		"a hold": func(s *scheduler) {
			s.event = func(s *scheduler) { s.ignores = map[bool]string{true: "quiet"}[s.now.Before(at(200_000))] }
			s.terms.Excuses = []history.Excuse{{Project: "quiet", From: at(0), To: at(200_000)}}
		},
		"an outage": func(s *scheduler) {
			s.event = func(s *scheduler) {
				if s.now.Equal(at(100_000)) {
					s.wakes = at(200_000)
				}
			}
			s.terms.Excuses = []history.Excuse{{From: at(100_000), To: at(200_000)}}
		},
		"a request in the hands of a worker that was killed": func(s *scheduler) {
			s.forgets = 300
			s.event = func(s *scheduler) {
				if len(s.requests) > 300 && s.terms.Excuses == nil {
					r := s.requests[300]
					s.terms.Excuses = []history.Excuse{{Request: r.ID, From: r.Asked}}
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(2) {
				s := schedule(seed, set)
				require.Empty(t, first(history.Stuck(s.requests, s.calls, s.letters, s.terms), 3), "seed %d", seed)
				assert.Greater(t, len(s.calls), 15, "it called")
			}
		})
	}
}

func first[T any](all []T, n int) []T { return all[:min(n, len(all))] }
