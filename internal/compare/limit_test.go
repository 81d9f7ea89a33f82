package compare

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
)

// limit is what the API allows: the tiny form has a window short enough to see two.
func limit() emulator.Limit {
	return emulator.Limit{Calls: size(60, 5), Per: size(time.Minute, time.Second)}
}

// limitedFor is two windows, less what keeps the first calls of a third one out.
func limitedFor() time.Duration { return 2*limit().Per - limit().Per/10 }

// limitedTags is how many tags wait for their calls under the limit.
func limitedTags() int { return size(1000, 200) }

// limited: tags that are all asked for three times before most calls can be
// made. How long those take that are not done by then is reckoned.
func limited(r *rig, f *figures) {
	l := limit()
	w := r.worker(func(role *role) { role.Calls, role.PerMillis = l.Calls, l.Per.Milliseconds() })
	asked := &asked{program: r.asker()}
	n := limitedTags()
	start := time.Now()
	for range 3 {
		produce(n/each, func(i int) { asked.ask(tagsOf(i*each, each)...) })
	}
	for over := start.Add(limitedFor()); time.Now().Before(over) && len(asked.lost(r.api.Journal())) > 0; {
		r.sleep(size(time.Second, 100*time.Millisecond))
	}
	w.stop()
	journal := r.api.Journal()
	purged, refused := n-len(items(asked.lost(journal))), 0
	end := start
	for _, c := range journal {
		if c.Status == http.StatusTooManyRequests {
			refused++
		}
		if c.Applied {
			end = c.End
		}
	}
	f.add(rowLimitPurged, r.c, float64(purged))
	f.add(rowLimitCalls, r.c, float64(len(journal)))
	f.add(rowLimitRefused, r.c, float64(refused))
	if purged == n {
		f.add(rowLimitTime, r.c, end.Sub(start).Seconds())
		return
	}
	f.add(rowLimitTime, r.c, reckon(limitedFor(), len(journal)-refused, n-purged, r.c.perCall).Seconds())
	f.reckon(rowLimitTime, r.c)
}

// reckon is how long all would take for whom some tags are left after a time, if
// it goes on at the rate of the calls made so far and fills each.
func reckon(so time.Duration, calls, left, perCall int) time.Duration {
	more := (left + perCall - 1) / perCall
	return so + so*time.Duration(more)/time.Duration(max(calls, 1))
}

func TestReckon(t *testing.T) {
	t.Parallel()
	const two = 2 * time.Minute
	assert.Equal(t, two, reckon(two, 120, 0, 1))
	assert.Equal(t, two+880*time.Second, reckon(two, 120, 880, 1))
	assert.Equal(t, two+55*time.Second, reckon(two, 120, 880, 16))
	assert.Equal(t, two+56*time.Second, reckon(two, 120, 881, 16), "a call that is not full is one too")
	assert.Equal(t, two+5*two, reckon(two, 0, 5, 1), "who made none is held to have made one")
}
