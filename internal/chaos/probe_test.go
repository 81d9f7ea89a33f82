package chaos

import (
	"context"
	"encoding/json"
	"flag"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

var refused = flag.Duration("chaos.refused", 75*time.Second,
	"how long the token is refused where -chaos.hurry=false lets the probes of a hold take their time: 1 min, then 2, 4 …")

// The token is refused for a while in the middle of 10,000 pending tags, and
// nobody does anything about the hold: a probe finds the token valid again.
func TestTokenRefused_ThenValidWithoutAPerson(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		status int
		faults emulator.Faults
	}{
		{"401", http.StatusUnauthorized, emulator.Faults{Projects: map[string]int{"shop": http.StatusUnauthorized}}},
		{"403", http.StatusForbidden, emulator.Faults{ExpiredTokens: []string{tokenName}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			refuse(t, c.status, c.faults)
		})
	}
}

func refuse(t *testing.T, status int, faults emulator.Faults) {
	t.Helper()
	const tags = 10_000
	well := emulator.Faults{Latency: 30 * time.Millisecond}
	faults.Latency = well.Latency
	c := usual()
	c.faults = well
	s := newSite(t, c)
	s.produce(t.Context(), 4, tags/50, 0, func(i int) tasks.Purge {
		return tasks.Purge{ID: many(i).ID, Project: "shop", Operation: tasks.Invalidate, Tags: numbered(50*i, 50)}
	}).end(t)
	s.worker(t)
	s.worker(t)
	s.worker(t)
	await(t, 20*time.Second, "the middle of the backlog", func() bool { return len(s.api.Journal()) >= tags/16/2 })

	require.NoError(t, s.api.SetFaults(faults))
	from := time.Now()
	await(t, 10*time.Second, "the hold", func() bool { return len(s.holds(t)) == 1 })
	time.Sleep(2 * c.timeout) // the calls that were under way end; nothing follows
	early := count(s.api.Journal(), status)
	assert.LessOrEqual(t, early, c.inFlight, "calls after the hold")
	left := s.backlog(t).Pending
	assert.Greater(t, left, int64(tags/3), "the hold keeps the rest pending")

	if *hurry {
		s.passUntilProbe(t)
		await(t, 10*time.Second, "the first probe, in vain", func() bool { return count(s.api.Journal(), status) == early+1 })
		await(t, 10*time.Second, "a longer wait", func() bool { return s.holds(t)[0].Step == 2*time.Minute })
	} else {
		time.Sleep(time.Until(from.Add(*refused)))
	}
	valid := time.Now()
	require.NoError(t, s.api.SetFaults(well))
	probes := count(s.api.Journal(), status) - early
	longest := 16 * time.Minute // between two probes, and a bit
	if *hurry {
		s.passUntilProbe(t)
		longest = 20 * time.Second
	}
	await(t, longest, "a probe lifts the hold", func() bool { return len(s.holds(t)) == 0 })
	lifted := time.Now()
	s.drain(t, 30*time.Second, *hurry)

	r := s.check(t)
	s.assertKept(t, r)
	letters := s.letters(t)
	assert.Len(t, letters, 1, "a refused token costs one dead letter")
	assert.LessOrEqual(t, r.Dead, tasks.MaxTagsPerCall)
	assert.Equal(t, tags, r.Asked)
	assert.Equal(t, tags-r.Dead, r.Purged, "everything else is purged")
	t.Logf("refused with %d for %s: %d calls at once, %d probes in vain; lifted %s after the token was valid, and %d tags purged in %s more; %d dead letter of %d tags, %d lost",
		status, valid.Sub(from).Round(time.Second), early, probes, lifted.Sub(valid).Round(time.Second),
		left, time.Since(lifted).Round(100*time.Millisecond), len(letters), r.Dead, len(r.Lost))
}

func (s *site) holds(tb testing.TB) []lanes.Hold {
	tb.Helper()
	all, err := lanes.New(s.rdb).Holds(context.Background(), account)
	require.NoError(tb, err)
	return all
}

// passUntilProbe stands for the minutes until the next probe of the account's
// hold: it puts its moment into the past, and nothing else.
func (s *site) passUntilProbe(tb testing.TB) {
	tb.Helper()
	ctx := context.Background()
	key := "edgepurge:{" + account + "}:hold"
	text, err := s.rdb.HGet(ctx, key, lanes.ScopeAccount).Result()
	require.NoError(tb, err)
	var hold map[string]any
	require.NoError(tb, json.Unmarshal([]byte(text), &hold))
	hold["next"] = 1
	changed, err := json.Marshal(hold)
	require.NoError(tb, err)
	require.NoError(tb, s.rdb.HSet(ctx, key, lanes.ScopeAccount, changed).Err())
	require.NoError(tb, s.rdb.Publish(ctx, "edgepurge:wake", account).Err())
}
