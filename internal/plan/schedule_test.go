package plan

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// weights of the tags that driven makes.
var testWeights = []lanes.Weight{{Match: "layout:", Prefix: true, Cost: 60}, {Match: "free:", Prefix: true}}

func testItems(tags []string) []Item {
	items := make([]Item, len(tags))
	for i, tag := range tags {
		items[i] = Item{Bytes: len(tag), Cost: 1}
		switch tag[0] {
		case 'l':
			items[i].Cost = 60
		case 'f':
			items[i].Cost = 0
		}
	}
	return items
}

// driven lets the worker's own scripts claim the tags, by a clock that jumps to
// whatever they wait for. Each call ends after the pace's CallTime.
func driven(t *testing.T, p Pace, tags []string) []Call {
	t.Helper()
	ctx := context.Background()
	rdb, clock := redistest.Mini(t)
	begin := time.UnixMilli(1_800_000_000_000)
	now := begin
	clock.SetTime(now)
	l := lanes.New(rdb)
	lane := tasks.Lane{Project: "prj", Kind: tasks.Tag, Operation: tasks.Delete, DeadlineSeconds: tasks.NoDeadline, Priority: tasks.Normal}
	pace := lanes.Pace{
		Account: "acme", Calls: p.Calls, Per: p.Per, Reserve: p.Reserve, InFlight: p.InFlight, Lease: p.CallTime + time.Minute,
		MaxItems: p.MaxItems, MaxBytes: p.MaxBytes, Full: p.Full, Linger: p.Linger,
		Rate: p.Rate, Burst: p.Burst, MaxDelay: p.MaxDelay, Weights: testWeights,
		StaggerMin: p.StaggerMin, StaggerOver: p.StaggerOver,
	}
	_, err := l.Absorb(ctx, pace, lanes.Absorption{Request: "r", Lane: lane, Items: tags})
	require.NoError(t, err)
	type flight struct {
		batch lanes.Batch
		end   time.Time
	}
	var flights []flight
	var calls []Call
	cost := func(items []string) (sum float64) {
		for _, item := range testItems(items) {
			sum += item.Cost
		}
		return sum
	}
	for left := len(tags); left > 0; {
		got, err := l.Claim(ctx, pace, lane, strconv.Itoa(len(calls)))
		require.NoError(t, err)
		if got.Batch != nil {
			b := *got.Batch
			left -= len(b.Items)
			flights = append(flights, flight{b, now.Add(p.CallTime)})
			calls = append(calls, Call{
				At: now.Sub(begin).Seconds(), Items: len(b.Items), Cost: cost(b.Items), Deadline: float64(b.DeadlineSeconds),
			})
			require.Less(t, len(calls), 10_000)
			continue
		}
		now = now.Add(max(got.Wait, time.Millisecond))
		if len(flights) > 0 && !flights[0].end.After(now) { // a call that ends wakes the pacer
			now = flights[0].end
			clock.SetTime(now)
			_, err := l.Finish(ctx, "acme", flights[0].batch, 1, true)
			require.NoError(t, err)
			flights = flights[1:]
		}
		clock.SetTime(now)
	}
	return calls
}

// The plan's schedule is that of the worker's own scripts, call for call.
func TestSchedule_AsTheWorker(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tags   int
		format string
		change func(p *Pace)
	}{
		"default settings":         {1000, "tag-%05d", func(*Pace) {}},
		"a last batch lingers":     {17, "tag-%05d", func(p *Pace) { p.Linger = 5 * time.Second }},
		"one call a minute":        {100, "tag-%05d", func(p *Pace) { p.Calls, p.Reserve = 1, 0 }},
		"no budget, in flight":     {1000, "tag-%05d", func(p *Pace) { p.Calls, p.CallTime = 0, 333*time.Millisecond }},
		"spread":                   {1000, "tag-%05d", func(p *Pace) { p.Rate, p.Burst, p.MaxDelay = 0.9, 100, 0 }},
		"spread raised":            {1000, "tag-%05d", func(p *Pace) { p.Rate, p.Burst, p.MaxDelay, p.Calls = 0.3, 10, 20*time.Minute, 60 }},
		"overdue by the budget":    {1000, "tag-%05d", func(p *Pace) { p.Rate, p.Burst, p.MaxDelay = 0.3, 10, 3*time.Minute }},
		"recommended":              {2000, "tag-%05d", func(p *Pace) { p.Rate, p.Burst, p.MaxDelay = 0.16, 179, 219*time.Minute }},
		"weights":                  {64, "layout:%05d", func(p *Pace) { p.Rate, p.Burst, p.MaxDelay = 20, 100, 0 }},
		"free":                     {64, "free:%05d", func(p *Pace) { p.Rate, p.Burst, p.MaxDelay = 20, 100, 0 }},
		"string form":              {900, "tag-%05d", func(p *Pace) { p.MaxItems, p.MaxBytes, p.Full = 8196, 900, 40 }},
		"deadlines":                {1000, "tag-%05d", func(p *Pace) { p.StaggerMin, p.StaggerOver = 10*time.Second, 10*time.Minute }},
		"deadlines, all at once":   {330, "tag-%05d", func(p *Pace) { p.Calls, p.StaggerMin, p.StaggerOver = 0, time.Second, time.Hour }},
		"deadlines and a spread":   {400, "tag-%05d", func(p *Pace) { p.Rate, p.Burst, p.StaggerOver = 2, 40, time.Minute }},
		"smaller batches, reserve": {90, "tag-%05d", func(p *Pace) { p.MaxItems, p.Full, p.Calls, p.Reserve = 5, 5, 9, 6 }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var tags []string
			for i := range c.tags {
				tags = append(tags, fmt.Sprintf(c.format, i))
			}
			p := defaultPace()
			c.change(&p)
			want, got := driven(t, p, tags), p.Schedule(testItems(tags))
			require.Len(t, got, len(want))
			for i := range want {
				assert.InDelta(t, want[i].At, got[i].At, 0.005, "call %d", i) // milliseconds are rounded in several places
				assert.InDelta(t, want[i].Deadline, got[i].Deadline, 1, "call %d", i)
				assert.Equal(t, want[i].Items, got[i].Items, "call %d", i)
				assert.InDelta(t, want[i].Cost, got[i].Cost, 1e-9, "call %d", i)
			}
		})
	}
}
