package monitor

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// How many wrong logins are let through. Whoever is logged in already does not
// notice; a right login by somebody else has to wait as well once all together
// are past allFailures.
const (
	remoteFailures = 5   // a remote, within failureWindow
	allFailures    = 100 // all remotes together
	failureWindow  = time.Minute
	// remotesMost bounds the table; the remotes that it does not hold share one entry.
	remotesMost = 1000
)

// limiter counts wrong logins in windows of failureWindow.
type limiter struct {
	now func() time.Time

	mu      sync.Mutex
	remotes map[netip.Prefix]*failures
	all     failures
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
	wait = max(f.wait(now, remoteFailures), l.all.wait(now, allFailures))
	if wait == 0 {
		f.n++
		l.all.n++
	}
	return wait
}

// forgive takes the last attempt of a remote back: it was right.
func (l *limiter) forgive(remote netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.of(remote, l.now())
	f.n = max(0, f.n-1)
	l.all.n = max(0, l.all.n-1)
}

func (l *limiter) of(remote netip.Prefix, now time.Time) *failures {
	if f := l.remotes[remote]; f != nil {
		return f
	}
	if len(l.remotes) >= remotesMost {
		for other, f := range l.remotes {
			if now.Sub(f.since) >= failureWindow {
				delete(l.remotes, other)
			}
		}
	}
	if len(l.remotes) >= remotesMost {
		remote = netip.Prefix{} // the others
	}
	f := l.remotes[remote]
	if f == nil {
		f = &failures{since: now}
		l.remotes[remote] = f
	}
	return f
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

// remoteOf is who asks: the peer, or if that is a proxy of a private network, the
// address that it says it was asked by. An IPv6 network of 64 bits is one remote.
func remoteOf(r *http.Request) netip.Prefix {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{} // a unix socket: all of them are one
	}
	addr = addr.Unmap()
	if addr.IsLoopback() || addr.IsPrivate() {
		list := r.Header.Values("X-Forwarded-For")
		if len(list) > 0 {
			hops := strings.Split(list[len(list)-1], ",")
			if a, err := netip.ParseAddr(strings.TrimSpace(hops[len(hops)-1])); err == nil {
				addr = a.Unmap()
			}
		}
	}
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	prefix, err := addr.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}
