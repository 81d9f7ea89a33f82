package webhook

import (
	"context"
	"fmt"
	"runtime"
	"sync"
)

// Bounds on what has been received and not proved. A stranger may send as much as
// the line carries: what is over these bounds is answered with 503 at once, so
// that it costs neither the memory nor the time of what others send.
const (
	// unprovedBytes is what the bodies of all sources may hold together.
	unprovedBytes = 64 << 20
	// sourceBytes is what those of one source may hold, or two bodies of the
	// largest size that it takes.
	sourceBytes = 16 << 20
	// ownBytes is what each source may hold even while others hold unprovedBytes.
	ownBytes = 1 << 20
	// largeBody is from where on a body is worked on in turn: see turns.
	largeBody = 64 << 10
)

// maxTurns is how many large bodies are worked on at once. What a body becomes when
// it is parsed may be forty times its size; and one core, if there are two, is left
// to what is small.
func maxTurns() int { return min(2, max(1, runtime.GOMAXPROCS(0)-1)) }

// admission counts the bytes of bodies that are not proved.
type admission struct {
	mu       sync.Mutex
	total    int64
	bySource map[string]int64
}

// stay is what one delivery holds. All that changes is guarded by in.mu.
type stay struct {
	in     *admission
	source string
	most   int64 // of the source
	held   int64
	ended  bool
}

func (a *admission) stay(hook *Hook) *stay {
	return &stay{in: a, source: hook.name, most: max(sourceBytes, 2*hook.limits.Body)}
}

// fits reports whether there is room for n bytes more.
func (s *stay) fits(n int64) bool {
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	return s.fitsLocked(n)
}

func (s *stay) fitsLocked(n int64) bool {
	used := s.in.bySource[s.source] + n
	return used <= ownBytes || used <= s.most && s.in.total+n <= unprovedBytes
}

// grow takes n bytes more, if there is room.
func (s *stay) grow(n int64) bool {
	if s == nil {
		return true // it is proved
	}
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	if s.ended || !s.fitsLocked(n) {
		return false
	}
	s.in.bySource[s.source] += n
	s.in.total += n
	s.held += n
	return true
}

// end gives everything back, for good. It may be called again.
func (s *stay) end() {
	if s == nil {
		return
	}
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	s.ended = true
	s.in.total -= s.held
	if s.in.bySource[s.source] -= s.held; s.in.bySource[s.source] == 0 {
		delete(s.in.bySource, s.source)
	}
	s.held = 0
}

// turns lets a few large bodies be worked on at once; small ones pass it by.
type turns chan struct{}

// take waits for a turn, for as long as ctx lasts. The caller gives it back.
func (t turns) take(ctx context.Context, bodyBytes int) (back func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("work on the body: %w", err)
	}
	if bodyBytes < largeBody {
		return func() {}, nil
	}
	select {
	case t <- struct{}{}:
		return func() { <-t }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for other large bodies: %w", ctx.Err())
	}
}
