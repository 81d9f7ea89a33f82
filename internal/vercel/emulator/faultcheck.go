package emulator

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/edgepurge/edgepurge/tasks"
)

// validate reports all faults of the faults at once, by the names of the JSON form.
func (f Faults) validate() error {
	var faults []error
	add := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("emulator: faults: "+format, args...))
	}
	probability := func(name string, p float64) {
		if !(p >= 0 && p <= 1) { // so written, it refuses NaN too
			add("%s: %v is no probability: use 0 to 1", name, p)
		}
	}
	span := func(name string, d, most time.Duration) {
		if d < 0 || d > most {
			add("%s: %s is out of range: use 0 to %s", name, d, most)
		}
	}
	sum := f.Reset + f.Hang
	for _, status := range slices.Sorted(maps.Keys(f.Status)) {
		sum += f.Status[status]
		probability(fmt.Sprintf("status[%d]", status), f.Status[status])
		if status < 300 || status > 599 {
			add("status: %d is out of range: use 300 to 599", status)
		}
	}
	probability("html", f.HTML)
	probability("reset", f.Reset)
	probability("hang", f.Hang)
	probability("after_effect", f.AfterEffect)
	const rounding = 1e-9
	if sum > 1+rounding {
		add("status, reset and hang: probabilities add up to %v, more than 1", sum)
	}
	span("retry_after", f.RetryAfter, 24*time.Hour)
	span("latency", f.Latency, MaxLatency)
	span("latency_jitter", f.LatencyJitter, MaxLatency)
	for _, project := range slices.Sorted(maps.Keys(f.Projects)) {
		if status := f.Projects[project]; status < 400 || status > 599 {
			add("projects[%s]: %d is out of range: use 400 to 599", project, status)
		}
		if len(project) > tasks.MaxProjectBytes || project == "" {
			add("projects: a name has 1 to %d bytes", tasks.MaxProjectBytes)
		}
	}
	return errors.Join(faults...)
}
