// Package proxies tells who made an HTTP request: the peer of the connection or,
// behind a proxy that the operator has named, the address the proxy reports.
package proxies

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Trusted lists the proxies whose X-Forwarded-For is believed; nil believes none.
// Anybody else can write whatever they like into that header.
type Trusted []netip.Prefix

// Includes reports whether an address is one of the proxies.
func (t Trusted) Includes(addr netip.Addr) bool {
	return slices.ContainsFunc([]netip.Prefix(t), func(p netip.Prefix) bool { return p.Contains(addr) })
}

// Client returns the address of whoever made the request. Of X-Forwarded-For it
// takes the last hop that is not a proxy itself: what comes before, the client may
// have made up. The zero Addr is returned for a peer without an IP address, such as
// a unix socket.
func (t Trusted) Client(r *http.Request) netip.Addr {
	peer := Peer(r)
	if !t.Includes(peer) {
		return peer
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		addr, ok := parseHop(strings.TrimSpace(hop))
		if !ok {
			return peer
		}
		if peer = addr; !t.Includes(peer) {
			return peer
		}
	}
	return peer
}

// parseHop reads an address, which some proxies write with its port.
func parseHop(hop string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(hop)
	if err != nil {
		at, err := netip.ParseAddrPort(hop)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = at.Addr()
	}
	return addr.Unmap().WithZone(""), true
}

// Peer returns the address at the other end of the request's connection, or the
// zero Addr if it has none.
func Peer(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap().WithZone("")
}
