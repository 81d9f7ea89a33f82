package main

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/edgepurge/edgepurge/internal/history"
)

// demoMostFaults bounds what is told of each kind of fault.
const demoMostFaults = 5

// faultsOf says in words what must not have happened; nothing if all is well.
func faultsOf(f demoFlags, run *demoRun) []string {
	faults := []string{}
	if !run.interrupted { // else they were not lost, they still waited
		for i, l := range run.report.Lost {
			if i == demoMostFaults {
				faults = append(faults, fmt.Sprintf("lost: %d more items", len(run.report.Lost)-i))
				break
			}
			faults = append(faults, fmt.Sprintf("lost: %s %s of request %s: %s %s, no call since %s",
				l.Kind, l.Item, l.Request, l.Project, l.Operation, l.Due.Format("15:04:05.000")))
		}
	}
	for i, b := range run.report.Broken {
		if i == demoMostFaults {
			faults = append(faults, fmt.Sprintf("limit of the API broken: by %d more calls", len(run.report.Broken)-i))
			break
		}
		faults = append(faults, fmt.Sprintf("limit of the API broken: a call of %s %s", b.Call.Start.Format("15:04:05.000"), b.Problem))
	}
	if widest := history.Widest(run.calls, f.per); widest > f.calls {
		faults = append(faults, fmt.Sprintf("budget broken: %d calls within %s, %d are allowed", widest, f.per, f.calls))
	}
	return faults
}

// latencies are how long the requests waited, of those that were purged.
func latencies(run *demoRun) demoLatency {
	var urgent, normal []time.Duration
	for id, wait := range run.report.Waits {
		if run.urgent[id] {
			urgent = append(urgent, wait)
		} else {
			normal = append(normal, wait)
		}
	}
	return demoLatency{Urgent: spreadOf(urgent), Normal: spreadOf(normal)}
}

func spreadOf(waits []time.Duration) demoSpread {
	if len(waits) == 0 {
		return demoSpread{}
	}
	slices.Sort(waits)
	return demoSpread{Requests: len(waits), Median: seconds(waits[len(waits)/2]), Max: seconds(waits[len(waits)-1])}
}

// distinctItems is how many different items were asked for.
func distinctItems(asked []history.Request) int {
	type item struct {
		history.Family
		name string
	}
	seen := map[item]bool{}
	for _, r := range asked {
		for _, name := range r.Items {
			seen[item{r.Family, name}] = true
		}
	}
	return len(seen)
}

// seconds is a duration as a number, to the millisecond.
func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }
