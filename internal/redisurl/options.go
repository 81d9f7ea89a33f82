package redisurl

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	maxConns = 10_000
	maxDB    = 1 << 20
)

// bounds of the numeric options. go-redis does not check them: it panics on a
// negative pool and tries to allocate a huge one.
var bounds = map[string][2]int{
	"db":                         {0, maxDB},
	"protocol":                   {2, 3},
	"max_retries":                {-1, 100},
	"max_redirects":              {-1, 100},
	"dialer_retries":             {0, 100},
	"pool_size":                  {0, maxConns},
	"min_idle_conns":             {0, 1000},
	"max_idle_conns":             {0, maxConns},
	"max_active_conns":           {0, maxConns},
	"max_concurrent_dials":       {0, maxConns},
	"pipeline_pool_size":         {-1, maxConns},
	"pipeline_read_buffer_size":  {0, 16 << 20},
	"pipeline_write_buffer_size": {0, 16 << 20},
	"failing_timeout_seconds":    {0, 3600},
}

// elsewhere are options of go-redis that stand in another part of our URLs, or
// that read from replicas.
var elsewhere = map[string]string{
	"username":                   "write user:password before the '@'",
	"password":                   "write user:password before the '@'",
	"addr":                       "list the hosts with commas",
	"master_name":                "write it as the path",
	"read_only":                  "replicas lag behind, and a purge must not be lost",
	"replica_only":               "replicas lag behind, and a purge must not be lost",
	"use_disconnected_replicas":  "replicas lag behind, and a purge must not be lost",
	"route_by_latency":           "replicas lag behind, and a purge must not be lost",
	"route_by_latency_tolerance": "replicas lag behind, and a purge must not be lost",
	"route_randomly":             "replicas lag behind, and a purge must not be lost",
}

// options reads the query and checks what go-redis would not. Its errors name
// options that stand in the tables above, never a value.
func (p parts) options() (url.Values, error) {
	q, err := url.ParseQuery(p.query)
	if err != nil { // it quotes what it could not read
		return nil, errors.New("the query is not of the form name=value&name=value, percent-encoded")
	}
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if why, ok := elsewhere[name]; ok {
			return nil, fmt.Errorf("option %s is not allowed: %s", name, why)
		}
		b, ok := bounds[name]
		if !ok {
			continue
		}
		for _, v := range q[name] {
			if n, err := strconv.Atoi(v); v != "" && (err != nil || n < b[0] || n > b[1]) {
				return nil, fmt.Errorf("option %s is not a number from %d to %d", name, b[0], b[1])
			}
		}
	}
	return q, nil
}

// optionFault passes on go-redis's fault of an option, which quotes the query,
// unless a password stands there: an '&' in it would make options of its rest.
func optionFault(q url.Values, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*url.Error](err); ok { // it quotes the whole URL
		return errors.New("go-redis cannot read it")
	}
	for name := range q {
		if secret(name) {
			return errors.New("an option is unknown or has a wrong value " +
				"(which one is not said because a password stands among them; an '&' in it is written %26)")
		}
	}
	return errors.New(strings.TrimPrefix(err.Error(), "redis: "))
}

func secret(name string) bool { return strings.Contains(strings.ToLower(name), "pass") }
