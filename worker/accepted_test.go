package worker

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
)

// A page or an error under 200 is no accepted purge: the call is made again.
func TestAttempt_AnotherAnswerUnder200IsTriedAgain(t *testing.T) {
	for name, body := range map[string]string{
		"a page":   "<!doctype html><p>Sign in",
		"an error": `{"error":{"code":"internal","message":"Try again"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			rdb, _ := redistest.Mini(t)
			l := newLab(t, testConfig(answering(t, &reply{status: 200, body: body}).URL), rdb)
			c := callNamed("b", "x")
			var retry *retryError
			require.ErrorAs(t, l.attempt(c), &retry)
			assert.Contains(t, l.logs.String(), `"verdict":"retry","status":200,"reason":"unreachable"`)
		})
	}
}
