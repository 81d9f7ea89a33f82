package deadletter_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/edgepurge/edgepurge/internal/deadletter"
	"github.com/edgepurge/edgepurge/tasks"
)

func TestFilter(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	call := deadCall("01A")
	died := deadletter.Letter{
		Key: deadletter.Key{Queue: tasks.QueueCalls, ID: "01A"}, Reason: "refused", Died: noon, Call: &call,
	}
	byHand := died
	byHand.Died = time.Time{}
	unreadable := deadletter.Letter{Key: died.Key, Reason: "invalid", Died: noon}

	for name, c := range map[string]struct {
		filter deadletter.Filter
		letter deadletter.Letter
		want   bool
	}{
		"no filter":                     {deadletter.Filter{}, died, true},
		"id":                            {deadletter.Filter{IDs: []string{"x", "01A"}}, died, true},
		"other id":                      {deadletter.Filter{IDs: []string{"x"}}, died, false},
		"reason":                        {deadletter.Filter{Reasons: []string{"refused"}}, died, true},
		"other reason":                  {deadletter.Filter{Reasons: []string{"invalid"}}, died, false},
		"project":                       {deadletter.Filter{Projects: []string{"prj_abc"}}, died, true},
		"project of what is unreadable": {deadletter.Filter{Projects: []string{"prj_abc"}}, unreadable, false},
		"account":                       {deadletter.Filter{Accounts: []string{"acme"}}, died, true},
		"one of two does not match":     {deadletter.Filter{Accounts: []string{"acme"}, Reasons: []string{"x"}}, died, false},
		"before":                        {deadletter.Filter{Before: noon.Add(time.Second)}, died, true},
		"not before":                    {deadletter.Filter{Before: noon}, died, false},
		"after":                         {deadletter.Filter{After: noon.Add(-time.Second)}, died, true},
		"not after":                     {deadletter.Filter{After: noon}, died, false},
		"never failed, before":          {deadletter.Filter{Before: noon.Add(time.Second)}, byHand, false},
		"never failed, after":           {deadletter.Filter{After: noon.Add(-time.Second)}, byHand, false},
	} {
		s := c.letter.Summary()
		assert.Equal(t, c.want, c.filter.Match(&s), name)
	}
	assert.True(t, deadletter.Filter{}.Empty())
	assert.False(t, deadletter.Filter{IDs: []string{"a"}}.Empty())
	assert.False(t, deadletter.Filter{After: noon}.Empty())
}
