package redisurl

import (
	"errors"
	"maps"
	"net/url"
	"strings"

	"github.com/redis/go-redis/v9"
)

const (
	portServer   = "6379"
	portSentinel = "26379"
)

func (p parts) single(q url.Values) (*redis.Options, error) {
	u := url.URL{Scheme: p.scheme, User: p.user, RawQuery: q.Encode()}
	if p.scheme == "unix" {
		if p.hosts != "" {
			return nil, errors.New("a socket's path begins with '/' right behind unix:// or the '@'")
		}
		path, err := url.PathUnescape(p.path)
		if err != nil {
			return nil, errors.New("a '%' in the path is not followed by two hex digits")
		}
		if strings.Trim(path, "/") == "" {
			return nil, errors.New("the socket's path is missing")
		}
		u.Path = path
	} else {
		addrs, err := p.addresses(portServer)
		if err != nil {
			return nil, err
		}
		if len(addrs) > 1 {
			return nil, errors.New("several hosts need redis+sentinel or redis+cluster")
		}
		db, err := p.segments()
		switch {
		case err != nil:
			return nil, err
		case len(db) > 1:
			return nil, errors.New("the path holds more than the number of the database")
		case len(db) == 1:
			if err := checkDB(db[0]); err != nil {
				return nil, err
			}
			u.Path = "/" + db[0]
		}
		u.Host = addrs[0]
	}
	o, err := redis.ParseURL(u.String())
	return o, optionFault(q, err)
}

// sentinel rewrites into what ParseFailoverURL reads: there the user stands for
// the sentinels' and the query holds the data nodes'.
func (p parts) sentinel(q url.Values) (*redis.FailoverOptions, error) {
	addrs, err := p.addresses(portSentinel)
	if err != nil {
		return nil, err
	}
	path, err := p.segments()
	if err != nil {
		return nil, err
	}
	if len(path) < 1 || len(path) > 2 {
		return nil, errors.New("the path is not the master's name and the database")
	}
	u := url.URL{Scheme: strings.TrimSuffix(p.scheme, "+sentinel"), Host: addrs[0]}
	if len(path) == 2 {
		if err := checkDB(path[1]); err != nil {
			return nil, err
		}
		u.Path = "/" + path[1]
	}
	asked := q // faults are told by what was written
	q = rewritten(q, addrs)
	q.Set("master_name", path[0])
	if p.user != nil {
		password, _ := p.user.Password()
		q.Set("username", p.user.Username())
		q.Set("password", password)
	}
	if q.Has("sentinel_password") || q.Has("sentinel_username") {
		u.User = url.UserPassword(q.Get("sentinel_username"), q.Get("sentinel_password"))
		q.Del("sentinel_username")
		q.Del("sentinel_password")
	}
	u.RawQuery = q.Encode()
	o, err := redis.ParseFailoverURL(u.String())
	if err != nil {
		return nil, optionFault(asked, err)
	}
	verifyDialled(o.TLSConfig)
	return o, nil
}

func (p parts) clusterNodes(q url.Values) (*redis.ClusterOptions, error) {
	addrs, err := p.addresses(portServer)
	if err != nil {
		return nil, err
	}
	if path := strings.Trim(p.path, "/"); (path != "" && path != "0") || q.Has("db") {
		return nil, errors.New("a cluster has database 0 only: leave path and db out")
	}
	u := url.URL{
		Scheme:   strings.TrimSuffix(p.scheme, "+cluster"),
		User:     p.user,
		Host:     addrs[0],
		RawQuery: rewritten(q, addrs).Encode(),
	}
	o, err := redis.ParseClusterURL(u.String())
	if err != nil {
		return nil, optionFault(q, err)
	}
	if len(addrs) > 1 {
		verifyDialled(o.TLSConfig)
	}
	return o, nil
}

// rewritten is a copy of q with all hosts but the first, as go-redis takes them.
func rewritten(q url.Values, addrs []string) url.Values {
	c := url.Values{"addr": addrs[1:]}
	maps.Copy(c, q)
	return c
}
