package configs

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/edgepurge/edgepurge/worker"
)

// validate asks the owners of the settings whether the values are in range, and
// places what they answer.
func (r *reader) validate() {
	if why, ok := r.unresolved[redisURL]; ok {
		r.fault(redisURL, "%s", why)
	}
	if err := checkAddress(r.cfg.Metrics); err != nil && !r.broken["worker.metrics"] {
		r.fault("worker.metrics", "%v", err)
	}
	r.validateRedis()
	r.validateGateway()
	var out faults // kept apart: consequence is to see only what was wrong before
	for _, err := range split(r.cfg.Worker.Validate()) {
		f, ok := errors.AsType[*worker.FieldError](err)
		switch {
		case !ok:
			out = append(out, r.places.fault("", err.Error()))
		case r.missingToken(f.Field), r.consequence(f.Field):
		case f.Field == "vercel.url" && strings.ContainsAny(r.cfg.Worker.VercelURL, "@?#"): // it is quoted, and may hold a password
			problem := fmt.Sprintf("%s is not a URL such as %s", quote(redactURL(r.cfg.Worker.VercelURL)), Default().Worker.VercelURL)
			out = append(out, r.places.fault(f.Field, problem))
		default:
			out = append(out, r.places.fault(f.Field, f.Problem))
		}
	}
	r.faults = append(r.faults, out...)
}

// maxQueued is as much as an account's backlog may be.
const maxQueued = 100_000_000

// validateRedis holds what concerns producers against the bounds of enqueue.Config.
func (r *reader) validateRedis() {
	if n := r.cfg.Redis.WaitReplicas; n < 0 || n > 100 {
		r.fault("redis.wait_replicas", "%d is out of range: use 0 (off) to 100", n)
	}
	if d := r.cfg.Redis.WaitTimeout; d < time.Millisecond || d > time.Minute {
		r.fault("redis.wait_timeout", "%s is out of range: use 1ms to 1m", d)
	}
	if n := r.cfg.Redis.MaxQueued; n < 0 || n > maxQueued {
		r.fault("redis.max_queued", "%d is out of range: use 0 (no bound) to %d", n, maxQueued)
	}
}

// missingToken reports whether a fault is RequireTokens's to report.
func (r *reader) missingToken(field string) bool {
	for i, a := range r.cfg.Worker.Accounts {
		if a.Token == "" && field == fmt.Sprintf("accounts[%d].token", i) {
			return true
		}
	}
	return false
}

// consequence reports whether a fault only follows from one that is reported
// already: of a value that could not be read, or of an account that is named
// where the names of the accounts could not be read.
func (r *reader) consequence(field string) bool {
	for at := field; at != ""; at = around(at) {
		if r.broken[at] {
			return true
		}
	}
	if !strings.HasPrefix(field, "projects[") || !strings.HasSuffix(field, ".account") {
		return false
	}
	for i := range r.cfg.Worker.Accounts {
		at := fmt.Sprintf("accounts[%d]", i)
		if r.broken[at] || r.broken[at+".name"] {
			return true
		}
	}
	return r.broken["accounts"]
}

// split takes the faults of errors.Join apart.
func split(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// checkAddress returns what is wrong with an address to listen at; empty is none.
func checkAddress(address string) error {
	if address == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf(`%s is not an address: write host:port, such as 127.0.0.1:9090, or "" for none`, quote(address))
	}
	return nil
}
