package emulator

import (
	"sync"
	"sync/atomic"
	"time"
)

// limiter holds the windows of all accounts. One lock serialises the arrivals
// of all calls, and the time is taken under it: so the order of admission is
// the order of time, and the journal's times prove the limit exactly.
type limiter struct {
	unlimited atomic.Bool // read without the lock: a benchmark has no limit
	mu        sync.Mutex
	limit     Limit
	windows   map[string]*window
}

// sweepAbove is how many accounts are kept before idle ones are forgotten: with
// any token accepted, a client could make up new ones for ever.
const sweepAbove = 1024

// verdict is what the limit says to one call.
type verdict struct {
	at        time.Time // when the call arrived
	ok        bool
	limit     Limit // Calls 0: unlimited, and what follows means nothing
	remaining int   // after this call
	reset     time.Time
}

func (l *limiter) get() Limit {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limit
}

func (l *limiter) set(limit Limit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	limit = limit.withDefaults()
	if l.windows == nil || limit.Mode != l.limit.Mode {
		l.windows = map[string]*window{}
	}
	l.limit = limit
	l.unlimited.Store(limit.Calls == 0)
}

func (l *limiter) admit(account string) verdict {
	if l.unlimited.Load() {
		return verdict{at: time.Now(), ok: true}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.limit.Calls == 0 { // lifted since
		return verdict{at: now, ok: true}
	}
	w := l.windows[account]
	if w == nil {
		l.sweep(now)
		w = &window{}
		l.windows[account] = w
	}
	return w.admit(now, l.limit)
}

func (l *limiter) sweep(now time.Time) {
	if len(l.windows) < sweepAbove {
		return
	}
	for account, w := range l.windows {
		if n := len(w.calls); n == 0 || now.Sub(w.calls[n-1]) >= l.limit.Per {
			delete(l.windows, account)
		}
	}
}

// window is what is counted of one account.
type window struct {
	// calls are the counted arrivals, oldest first. Sliding: those of the last
	// Per. Fixed: those of the window that began with the first.
	calls []time.Time
}

// admit is the whole rule: it counts a call at now, or refuses it. now must
// not go back from call to call.
func (w *window) admit(now time.Time, l Limit) verdict {
	switch {
	case l.Mode == Fixed && len(w.calls) > 0 && now.Sub(w.calls[0]) >= l.Per:
		w.calls = w.calls[:0]
	case l.Mode == Sliding:
		for len(w.calls) > 0 && now.Sub(w.calls[0]) >= l.Per {
			w.calls = w.calls[1:]
		}
	}
	v := verdict{at: now, limit: l, ok: len(w.calls) < l.Calls}
	if v.ok {
		w.calls = append(w.calls, now)
	}
	v.remaining = max(l.Calls-len(w.calls), 0)
	// A sliding window that a lower limit has overfilled is free again only when
	// enough of its calls are past, not with the first.
	first := 0
	if l.Mode == Sliding {
		first = max(len(w.calls)-l.Calls, 0)
	}
	v.reset = w.calls[first].Add(l.Per)
	return v
}
