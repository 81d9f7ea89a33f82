package proxies

import (
	"net/http"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestTrusted_Client(t *testing.T) {
	t.Parallel()
	trusted := Trusted{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:1::/48")}
	for _, c := range []struct{ peer, forwarded, want string }{
		{"198.51.100.1:5", "", "198.51.100.1"},
		{"198.51.100.1:5", "203.0.113.7", "198.51.100.1"}, // anybody can send the header
		{"127.0.0.1:5", "203.0.113.7", "127.0.0.1"},       // not even loopback is believed unasked
		{"10.0.0.1:5", "203.0.113.7", "203.0.113.7"},
		{"10.0.0.1:5", "1.2.3.4, 203.0.113.7", "203.0.113.7"},
		{"10.0.0.1:5", "1.2.3.4, 203.0.113.7, 10.1.1.1", "203.0.113.7"}, // a chain of proxies
		{"10.0.0.1:5", "10.2.2.2, 10.1.1.1", "10.2.2.2"},                // all inside
		{"10.0.0.1:5", "203.0.113.7:51234", "203.0.113.7"},              // as Azure writes it
		{"10.0.0.1:5", "[2001:db8:9::1]:51234", "2001:db8:9::1"},
		{"10.0.0.1:5", "", "10.0.0.1"},
		{"10.0.0.1:5", "nonsense", "10.0.0.1"},
		{"10.0.0.1:5", "203.0.113.7, nonsense", "10.0.0.1"},
		{"[2001:db8:1::9]:5", "::ffff:203.0.113.7", "203.0.113.7"},
		{"[2001:db8:2::9]:5", "203.0.113.7", "2001:db8:2::9"},
		{"[::ffff:10.0.0.1]:5", "203.0.113.7", "203.0.113.7"},
		{"[fe80::1%eth0]:5", "", "fe80::1"},
		{"@", "203.0.113.7", "invalid IP"},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{}}
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		assert.Equal(t, c.want, trusted.Client(r).String(), "%s %s", c.peer, c.forwarded)
	}
	r := &http.Request{RemoteAddr: "10.0.0.1:5", Header: http.Header{"X-Forwarded-For": {"1.2.3.4", "203.0.113.7"}}}
	assert.Equal(t, "203.0.113.7", trusted.Client(r).String(), "one header a proxy")
	assert.Equal(t, "10.0.0.1", Trusted(nil).Client(r).String())
}
