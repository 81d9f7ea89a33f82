package worker

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestStreak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pacer{wakeups: make(chan struct{}, 1)}
		goesOn := func() bool {
			lane, ok := p.more()
			return ok && lane == tagLane("prj")
		}
		assert.False(t, goesOn(), "before the first look")

		p.streak.begin(tagLane("prj"), time.Minute)
		assert.True(t, goesOn())
		time.Sleep(longestStreak - 1)
		assert.True(t, goesOn(), "however many claims it was")
		time.Sleep(time.Nanosecond)
		assert.False(t, goesOn(), "it is time for a look")

		p.streak.begin(tagLane("prj"), 10*time.Millisecond)
		time.Sleep(10 * time.Millisecond)
		assert.False(t, goesOn(), "another lane's time has come")

		p.streak.begin(tagLane("prj"), time.Minute)
		p.wake()
		assert.False(t, goesOn(), "another lane became ready")
		assert.Len(t, p.wakeups, 1, "which is for the look to take")
		<-p.wakeups
		assert.False(t, goesOn())
	})
}
