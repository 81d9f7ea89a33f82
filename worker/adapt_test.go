package worker

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/edgepurge/edgepurge/worker/lanes"
)

func TestEventOf(t *testing.T) {
	for name, c := range map[string]struct {
		j        Judgment
		adapting bool
		want     lanes.Event
	}{
		"success as ever":            {Judgment{Verdict: Done}, false, ""},
		"success while slowed":       {Judgment{Verdict: Done}, true, lanes.Succeeded},
		"5xx":                        {Judgment{Verdict: TryAgain, Reason: ServerError}, false, lanes.Failed},
		"the last of all attempts":   {Judgment{Verdict: Dead, Reason: ServerError}, false, lanes.Failed},
		"no answer":                  {Judgment{Verdict: TryAgain, Reason: Unreachable}, true, lanes.Failed},
		"429: pauses are for that":   {Judgment{Verdict: Wait, Reason: RateLimited, Limit: 3}, false, ""},
		"400: the API works":         {Judgment{Verdict: Split, Reason: BadRequest}, false, ""},
		"408: a matter of this call": {Judgment{Verdict: TryAgain, Reason: TryLater}, false, ""},
		"403: holds are for that":    {Judgment{Verdict: HoldAccount, Reason: Forbidden}, true, ""},
	} {
		assert.Equal(t, c.want, eventOf(c.j, lanes.Batch{Adapting: c.adapting}), name)
	}
}
