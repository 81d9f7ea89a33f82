package chaos

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/deadletter"
	"github.com/edgepurge/edgepurge/internal/history"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
)

// letters returns the dead letters.
func (s *site) letters(tb testing.TB) []deadletter.Letter {
	tb.Helper()
	var all []deadletter.Letter
	require.NoError(tb, deadletter.New(s.rdb, s.client).Each(context.Background(), deadletter.Filter{}, func(l deadletter.Letter) error {
		all = append(all, l)
		return nil
	}))
	return all
}

// check judges the run: the requests that Redis acknowledged against the calls
// that reached the API.
func (s *site) check(tb testing.TB) history.Report {
	tb.Helper()
	return history.Check(s.ledger.all(), calls(s.api.Journal()), records(s.letters(tb)))
}

// assertKept checks the promises: nothing lost, no limit broken, the budget kept.
func (s *site) assertKept(tb testing.TB, r history.Report) {
	tb.Helper()
	assert.Equal(tb, int(s.ledger.accepted.Load()), r.Requests)
	assert.Empty(tb, first(r.Lost, 5), "%d of %d items are lost", len(r.Lost), r.Asked)
	assert.Empty(tb, first(r.Broken, 5), "%d calls broke a limit", len(r.Broken))
	journal := s.api.Journal()
	assert.LessOrEqual(tb, emulator.PeakInWindow(journal, time.Second, nil), s.calls, "the budget was exceeded")
	assert.Zero(tb, count(journal, http.StatusTooManyRequests), "the API refused calls as too many")
}

func first[T any](all []T, n int) []T { return all[:min(n, len(all))] }

func count(journal []emulator.Call, status int) int {
	n := 0
	for _, c := range journal {
		if c.Status == status {
			n++
		}
	}
	return n
}

// calls is the journal for history. Of a call that was refused before its body
// was read nobody knows the items; it purged nothing.
func calls(journal []emulator.Call) []history.Call {
	var all []history.Call
	for _, c := range journal {
		if c.Kind == "" || !c.Counted {
			continue
		}
		all = append(all, history.Call{
			Family: history.Family{Project: c.Project, Kind: c.Kind, Operation: c.Operation, Target: c.Target},
			Items:  c.Items, StringForm: c.StringForm, Start: c.Start, End: c.End, OK: c.Applied, Status: c.Status,
		})
	}
	return all
}

func records(letters []deadletter.Letter) []history.Letter {
	var all []history.Letter
	for _, l := range letters {
		for _, kind := range []tasks.Kind{tasks.Tag, tasks.SrcImage} {
			items := l.Items(kind)
			if len(items) == 0 {
				continue
			}
			if l.Request != nil {
				lane := l.Request.Lane(kind)
				all = append(all, history.Letter{Family: family(lane), Items: items, Request: l.Request.ID})
				continue
			}
			all = append(all, history.Letter{Family: family(l.Call.Lane), Items: items, At: l.Call.ClaimedAt, Grain: time.Millisecond})
		}
	}
	return all
}

func family(l tasks.Lane) history.Family {
	return history.Family{Project: l.Project, Kind: l.Kind, Operation: l.Operation, Target: l.Target}
}
