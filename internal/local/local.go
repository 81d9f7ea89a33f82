// Package local guards what checks nothing of its callers: the emulated API and
// webhooks of kind none. They listen on a developer's machine, where every web page
// that is open in a browser can send them requests.
package local

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// domains are names that no site on the internet has, so that no page of a stranger
// can be served under them.
var domains = []string{"localhost", "local", "internal", "test"}

// Refuse returns why a request may have been sent by a web page of a stranger, or nil.
// Such a page gives itself away by the browser's Sec-Fetch-Site or Origin, or, where
// its own name was made to lead to this machine (DNS rebinding), by that name in
// Host. Programs send none of these headers and call the machine by its address, by
// a name without a dot, or by one ending in .localhost, .local, .internal or .test.
func Refuse(host string, header http.Header) error {
	if !isOurs(host) {
		return fmt.Errorf("the Host header names %q: call it as localhost or by its IP address", host)
	}
	// The browser's headers count for GET as well: nothing here is meant for other sites.
	r := &http.Request{Method: http.MethodPost, Host: host, Header: header, URL: &url.URL{}}
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return errors.New("a web page of another site sent it")
	}
	return nil
}

func isOurs(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil || !strings.Contains(host, ".") {
		return true
	}
	return slices.Contains(domains, host[strings.LastIndexByte(host, '.')+1:])
}
