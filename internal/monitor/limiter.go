package monitor

import (
	"net/netip"
	"sync"
	"time"
)

// How many failed logins are let through. Each address is counted for itself: a
// common limit would let strangers keep everybody out.
const (
	remoteFailures = 5 // an address, within failureWindow
	failureWindow  = time.Minute
	// maxRemotes bounds the table; beyond it the address whose window is the oldest goes.
	maxRemotes = 10_000
)

// limiter counts failed logins in windows of failureWindow.
type limiter struct {
	now func() time.Time

	mu      sync.Mutex
	remotes map[netip.Prefix]*failures
}

type failures struct {
	since time.Time
	n     int
}

func newLimiter() *limiter { return &limiter{now: time.Now, remotes: map[netip.Prefix]*failures{}} }

// try books an attempt before it is judged, so that many at once get no more
// than one after the other. If there is no room it says how long to wait.
// The attempt is a failure unless forgive says otherwise.
func (l *limiter) try(remote netip.Prefix) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	f := l.of(remote, now)
	wait = f.wait(now, remoteFailures)
	if wait == 0 {
		f.n++
	}
	return wait
}

// forgive takes the last attempt of a remote back: it was right.
func (l *limiter) forgive(remote netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.of(remote, l.now())
	f.n = max(0, f.n-1)
}

func (l *limiter) of(remote netip.Prefix, now time.Time) *failures {
	f := l.remotes[remote]
	if f == nil {
		if len(l.remotes) >= maxRemotes {
			l.forget(now)
		}
		f = &failures{since: now}
		l.remotes[remote] = f
	}
	return f
}

// forget drops the windows that are over, or else the oldest.
func (l *limiter) forget(now time.Time) {
	var oldest netip.Prefix
	first := now.Add(time.Second)
	for remote, f := range l.remotes {
		if now.Sub(f.since) >= failureWindow {
			delete(l.remotes, remote)
		} else if f.since.Before(first) {
			oldest, first = remote, f.since
		}
	}
	if len(l.remotes) >= maxRemotes {
		delete(l.remotes, oldest)
	}
}

func (f *failures) wait(now time.Time, most int) time.Duration {
	if now.Sub(f.since) >= failureWindow {
		*f = failures{since: now}
	}
	if f.n < most {
		return 0
	}
	return failureWindow - now.Sub(f.since)
}

// remoteOf is what an address is counted as: an IPv6 network of 64 bits is one
// remote, and all peers without an address (unix sockets) are one.
func remoteOf(addr netip.Addr) netip.Prefix {
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}
