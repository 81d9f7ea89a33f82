package redisurl

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// parts is a Redis URL cut as text. net/url is given the pieces only: its
// errors quote the whole input, password included, and it knows no lists of hosts.
type parts struct {
	scheme string
	user   *url.Userinfo // nil: none
	hosts  string        // "h1:1,h2:2"
	path   string        // still percent-encoded
	query  string
}

var errEncode = errors.New("'@' or '#' stands behind the host: percent-encode " +
	"special characters of user and password (/ %2F, ? %3F, # %23, @ %40, % %25)")

func cut(raw string) (parts, error) {
	raw = strings.TrimSpace(raw)
	if raw == "" {
		return parts{}, errors.New("is empty")
	}
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return parts{}, errors.New("has no scheme: begin with redis://")
	}
	p := parts{scheme: strings.ToLower(scheme)}
	if _, ok := examples[p.scheme]; !ok {
		return p, errors.New("unknown scheme: use redis, rediss, unix, redis+sentinel, rediss+sentinel, redis+cluster or rediss+cluster")
	}
	if strings.ContainsFunc(rest, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return p, errors.New("holds a space or a control character: percent-encode it")
	}
	authority, tail := cutAuthority(rest)
	if strings.ContainsAny(tail, "@#") {
		return p, errEncode
	}
	p.path, p.query, _ = strings.Cut(tail, "?")
	p.hosts = authority
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		p.hosts = authority[at+1:]
		var err error
		if p.user, err = userinfo(authority[:at]); err != nil {
			return p, err
		}
	}
	return p, nil
}

func cutAuthority(rest string) (authority, tail string) {
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		return rest[:i], rest[i:]
	}
	return rest, ""
}

func userinfo(s string) (*url.Userinfo, error) {
	name, password, _ := strings.Cut(s, ":")
	var errs [2]error
	name, errs[0] = url.PathUnescape(name)
	password, errs[1] = url.PathUnescape(password)
	if errs[0] != nil || errs[1] != nil { // they quote what they could not read
		return nil, errors.New("a '%' in user or password is not followed by two hex digits: write % as %25")
	}
	return url.UserPassword(name, password), nil
}

// addresses returns the hosts as host:port.
func (p parts) addresses(port string) ([]string, error) {
	list := strings.Split(p.hosts, ",")
	for i, s := range list {
		// Not quoted: in "redis://user:secret" it is the password that stands here.
		which := "the host"
		if len(list) > 1 {
			which = fmt.Sprintf("host %d of %d", i+1, len(list))
		}
		u, err := url.Parse("//" + s)
		if err != nil || u.Host != s || strings.Contains(u.Hostname(), ":") && s[0] != '[' {
			return nil, fmt.Errorf("%s is not of the form host:port, or its port is not a number", which)
		}
		if u.Hostname() == "" && (len(list) > 1 || port != portServer) {
			return nil, fmt.Errorf("%s has no name", which)
		}
		if u.Port() != "" {
			if n, err := strconv.Atoi(u.Port()); err != nil || n < 1 || n > 65535 {
				return nil, fmt.Errorf("the port of %s is out of range: use 1 to 65535", which)
			}
			list[i] = net.JoinHostPort(u.Hostname(), u.Port())
		} else {
			list[i] = net.JoinHostPort(u.Hostname(), port)
		}
		if slices.Contains(list[:i], list[i]) {
			return nil, fmt.Errorf("%s is listed twice", which)
		}
	}
	return list, nil
}

// segments returns the path's parts, decoded; empty ones are left out.
func (p parts) segments() ([]string, error) {
	var list []string
	for s := range strings.SplitSeq(p.path, "/") {
		if s == "" {
			continue
		}
		decoded, err := url.PathUnescape(s)
		if err != nil {
			return nil, errors.New("a '%' in the path is not followed by two hex digits")
		}
		list = append(list, decoded)
	}
	return list, nil
}

func checkDB(s string) error {
	if n, err := strconv.Atoi(s); err != nil || n < 0 || n > maxDB {
		return fmt.Errorf("the database in the path is not a number from 0 to %d", maxDB)
	}
	return nil
}
