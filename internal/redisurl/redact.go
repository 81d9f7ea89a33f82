package redisurl

import (
	"net/url"
	"strings"
)

// mask stands for what Redact leaves out, as in url.URL.Redacted.
const mask = "xxxxx"

// Redact returns the URL without its passwords, for logs and errors. It takes
// any text; the less it resembles a URL, the less is left of it.
func Redact(raw string) string {
	raw = strings.TrimSpace(raw)
	if raw == "" {
		return ""
	}
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok || !isScheme(scheme) {
		return mask
	}
	authority, tail := cutAuthority(rest)
	if strings.ContainsAny(tail, "@#") { // the password may reach up to here
		return scheme + "://" + mask
	}
	path, query, asked := strings.Cut(tail, "?")
	s := scheme + "://" + redactAuthority(authority) + path
	if asked {
		s += "?" + redactQuery(query)
	}
	return s
}

// HasPassword reports whether the text, a URL or one that resembles it, holds a
// password. In doubt it does: what stands around an "@" may be one.
func HasPassword(raw string) bool {
	_, rest, ok := strings.Cut(raw, "://")
	if !ok {
		rest = raw
	}
	authority, tail := cutAuthority(rest)
	if strings.ContainsAny(tail, "@#") { // the password may reach up to here
		return true
	}
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		if _, password, _ := strings.Cut(authority[:at], ":"); password != "" {
			return true
		}
	}
	_, query, _ := strings.Cut(tail, "?")
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if decoded, err := url.QueryUnescape(name); value != "" && (err != nil || secret(decoded)) {
			return true
		}
	}
	return false
}

func isScheme(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '+' && c != '-' && c != '.' {
			return false
		}
	}
	return s != ""
}

func redactAuthority(s string) string {
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		if _, err := (parts{hosts: s}).addresses(portServer); err != nil {
			return mask // such as user:password without a host
		}
		return s
	}
	user, _, ok := strings.Cut(s[:at], ":")
	if !ok { // old URLs hold the password alone
		return mask + s[at:]
	}
	return user + ":" + mask + s[at:]
}

// harmless are the options besides the numeric ones whose values are shown.
var harmless = map[string]bool{
	"client_name": true, "conn_max_idle_time": true, "conn_max_lifetime": true, "dial_timeout": true,
	"pool_fifo": true, "pool_timeout": true, "read_timeout": true, "sentinel_username": true,
	"skip_verify": true, "write_timeout": true,
}

// redactQuery leaves out all from the first password on, since an '&' in it
// looks like the next option, and the value of any option it does not know.
func redactQuery(s string) string {
	if s == "" {
		return ""
	}
	var kept []string
	for pair := range strings.SplitSeq(s, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if decoded, err := url.QueryUnescape(name); err != nil || secret(decoded) {
			return strings.Join(append(kept, "password="+mask), "&")
		}
		if _, numeric := bounds[name]; !numeric && !harmless[name] {
			value = mask
		}
		kept = append(kept, name+"="+value)
	}
	return strings.Join(kept, "&")
}
