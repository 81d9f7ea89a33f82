package worker

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
)

func TestQuietLog_TellsALineOnceInAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		q := newQuietLog(asynqLog{log: zerolog.New(&out)}, func() bool { return false })
		said := func() int { return strings.Count(out.String(), "\n") }
		for range 100 {
			q.Error("Dequeue error: ", "READONLY")
			q.Warn("recoverer: could not list")
		}
		assert.Equal(t, 2, said())
		q.Error("Dequeue error: ", "LOADING")
		assert.Equal(t, 3, said(), "another error")
		time.Sleep(sameLine)
		q.Error("Dequeue error: ", "READONLY")
		assert.Equal(t, 4, said(), "it goes on")
		for i := range 10 * mostTold {
			q.Error(fmt.Sprint("task ", i))
		}
		assert.LessOrEqual(t, len(q.told), mostTold)
	})
}
