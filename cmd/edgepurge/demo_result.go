package main

import (
	"math"
	"slices"
	"time"

	"github.com/edgepurge/edgepurge/internal/history"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
)

// demoResult is what the demo found, as --json prints it.
type demoResult struct {
	OK          bool    `json:"ok"` // nothing was lost and no limit broken
	Interrupted bool    `json:"interrupted"`
	Seed        uint64  `json:"seed"`
	Seconds     float64 `json:"seconds"`

	Requests  int     `json:"requests"`
	Planned   int     `json:"requests_planned"`
	AskedIn   float64 `json:"asked_in_seconds"`
	Items     int     `json:"items"`
	Distinct  int     `json:"distinct_items"`
	Sent      int     `json:"items_sent"`
	Dropped   int     `json:"duplicates_dropped"`
	Purged    int     `json:"items_purged"`
	DeadItems int     `json:"items_dead"`
	// Waiting is what an interrupted demo had not come to.
	Waiting int `json:"items_waiting"`
	Lost    int `json:"items_lost"`

	Calls       demoCalls    `json:"calls"`
	Budget      demoBudget   `json:"budget"`
	DeadLetters []demoLetter `json:"dead_letters"`
	Latency     demoLatency  `json:"latency"`
	AtVercel    demoAtVercel `json:"at_vercel"`
	Faults      []string     `json:"faults"` // what was lost or broken, in words; bounded
}

// demoCalls is what the calls were spent on.
type demoCalls struct {
	Total    int     `json:"total"`
	Batches  int     `json:"batches"`
	Fewest   int     `json:"fewest_possible"`
	Retries  int     `json:"retries"`
	Limited  int     `json:"rate_limited"`
	Refused  int     `json:"split"`
	Halves   int     `json:"halves"`
	Overhead float64 `json:"overhead_percent"`
}

type demoBudget struct {
	Calls  int     `json:"calls"`
	Per    float64 `json:"per_seconds"`
	Widest int     `json:"most_in_any_window"`
}

type demoLetter struct {
	Project string   `json:"project"`
	Items   []string `json:"items"`
	Reason  string   `json:"reason"`
	Message string   `json:"message"`
}

// demoLatency is from the acceptance of a request to the end of the call that
// purged the last of its items.
type demoLatency struct {
	Urgent demoSpread `json:"urgent"`
	Normal demoSpread `json:"normal"`
}

type demoSpread struct {
	Requests int     `json:"requests"`
	Median   float64 `json:"median_seconds"`
	Max      float64 `json:"max_seconds"`
}

// demoAtVercel is how long it would take at the rate limit that was measured.
type demoAtVercel struct {
	CallsAMinute  int     `json:"calls_a_minute"`
	OnePerRequest float64 `json:"one_call_a_request_minutes"`
	These         float64 `json:"these_calls_minutes"`
}

func newDemoResult(f demoFlags, run *demoRun) demoResult {
	r := run.report
	measured := emulator.MeasuredLimit()
	perMinute := float64(measured.Calls) * float64(time.Minute) / float64(measured.Per)
	result := demoResult{
		Interrupted: run.interrupted, Seed: f.seed, Seconds: seconds(run.took), AskedIn: seconds(run.asking),
		Requests: r.Requests, Planned: f.requests, Items: r.Asked, Distinct: distinctItems(run.asked),
		Sent: r.Packed, Dropped: r.Dropped(), Purged: r.Purged, DeadItems: r.Dead,
		Calls: demoCalls{
			Total: r.Calls(), Batches: r.Batches, Fewest: r.Fewest, Overhead: math.Round(r.Overhead()*1000) / 10,
			Retries: r.Failed, Limited: r.Limited, Refused: r.Refused, Halves: r.Halves,
		},
		Budget:      demoBudget{Calls: f.calls, Per: seconds(f.per), Widest: history.Widest(run.calls, f.per)},
		DeadLetters: []demoLetter{}, Latency: latencies(run), Faults: faultsOf(f, run),
		AtVercel: demoAtVercel{
			CallsAMinute:  int(perMinute),
			OnePerRequest: float64(r.Requests) / perMinute, These: float64(r.Calls()) / perMinute,
		},
	}
	if run.interrupted {
		result.Waiting = len(r.Lost)
	} else {
		result.Lost = len(r.Lost)
	}
	for _, l := range run.letters {
		result.DeadLetters = append(result.DeadLetters, demoLetter{
			Project: l.Project(), Reason: l.Reason, Message: l.Message,
			Items: slices.Concat(l.Items(tasks.Tag), l.Items(tasks.SrcImage)),
		})
	}
	result.OK = len(result.Faults) == 0
	return result
}
