package chaos

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
)

// many asks for tags of its own.
func many(i int) tasks.Purge {
	p := tasks.Purge{ID: fmt.Sprintf("r-%d", i), Project: "shop", Operation: tasks.Invalidate}
	p.Tags = numbered(5*i, 5)
	return p
}

func numbered(from, n int) []string {
	tags := make([]string, n)
	for i := range tags {
		tags[i] = fmt.Sprintf("tag-%d", from+i)
	}
	return tags
}

func TestTokenExpires_InABacklog(t *testing.T) {
	t.Parallel()
	c := usual()
	c.calls = 20
	c.faults = emulator.Faults{Latency: 30 * time.Millisecond}
	s := newSite(t, c)
	s.worker(t)
	s.worker(t)
	s.produce(t.Context(), 4, 200, 0, many).end(t)
	await(t, 10*time.Second, "the middle of the backlog", func() bool { return len(s.api.Journal()) >= 15 })

	expired := c.faults
	expired.ExpiredTokens = []string{tokenName}
	require.NoError(t, s.api.SetFaults(expired))
	await(t, 10*time.Second, "the hold", func() bool { return count(s.api.Journal(), http.StatusForbidden) > 0 })
	time.Sleep(2 * time.Second) // the calls that were under way end; nothing follows
	assert.Contains(t, s.run(t, "hold", "list"), "forbidden")
	assert.LessOrEqual(t, count(s.api.Journal(), http.StatusForbidden), c.inFlight, "calls after the hold")
	left := s.backlog(t)
	assert.NotZero(t, left.Pending, "the hold keeps everything pending")

	require.NoError(t, s.api.SetFaults(c.faults))
	assert.Contains(t, s.run(t, "hold", "release", account), "released")
	s.drain(t, 30*time.Second, true)
	r := s.check(t)
	s.assertKept(t, r)
	letters := s.letters(t)
	require.Len(t, letters, 1, "an expired token costs one dead letter")
	assert.Equal(t, "forbidden", letters[0].Reason)
	assert.Contains(t, letters[0].Message, "Not authorized")
	assert.Equal(t, len(letters[0].Items(tasks.Tag)), r.Dead)

	s.run(t, "dead", "replay", letters[0].ID)
	s.drain(t, 10*time.Second, true)
	assert.Zero(t, s.check(t).Dead, "the replay purges what was in it")
}
