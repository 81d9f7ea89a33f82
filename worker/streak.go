package worker

import (
	"sync"
	"time"

	"github.com/edgepurge/edgepurge/tasks"
)

// streak is a run of claims from the lane that was the only one ready, without
// a look at the others. It saves a long backlog two of three round trips a call.
type streak struct {
	mu    sync.Mutex
	lane  tasks.Lane
	until time.Time
}

// longestStreak bounds a streak for whatever causes no wake-up and was not known
// at the look.
const longestStreak = 250 * time.Millisecond

// begin allows claims from a lane until the next one's time comes.
func (s *streak) begin(lane tasks.Lane, next time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lane, s.until = lane, time.Now().Add(min(next, longestStreak))
}

func (s *streak) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until = time.Time{}
}

// next is the lane to claim from; false: there is no streak.
func (s *streak) next() (tasks.Lane, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lane, time.Now().Before(s.until)
}
