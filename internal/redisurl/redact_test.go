package redisurl

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestRedact(t *testing.T) {
	for raw, want := range map[string]string{
		"":                               "",
		"redis://h:6379/0":               "redis://h:6379/0",
		"redis://":                       "redis://",
		"redis://u:hunter2@h:6379/0":     "redis://u:xxxxx@h:6379/0",
		"redis://:hunter2@h":             "redis://:xxxxx@h",
		"redis://hunter2@h":              "redis://xxxxx@h",
		"redis://u:a@hunter2@h":          "redis://u:xxxxx@h",
		"redis://u:hunter2/x@h":          "redis://xxxxx",
		"redis://u:1#hunter2@h":          "redis://xxxxx",
		"redis://u:hunter2":              "redis://xxxxx",
		"u:hunter2@h":                    "xxxxx",
		"hunter2":                        "xxxxx",
		"u:hunter2://h":                  "xxxxx",
		"http://u:hunter2@h/x":           "http://u:xxxxx@h/x",
		"unix://u:hunter2@/run/s?db=0":   "unix://u:xxxxx@/run/s?db=0",
		"redis://h?read_timeout=6s":      "redis://h?read_timeout=6s",
		"redis://h?":                     "redis://h?",
		"redis://h?secret=hunter2":       "redis://h?secret=xxxxx",
		"redis+cluster://u:hunter2@a,b":  "redis+cluster://u:xxxxx@a,b",
		"rediss+sentinel://u:x@a:1,b/m/": "rediss+sentinel://u:xxxxx@a:1,b/m/",
		"redis+sentinel://a/m?sentinel_username=su&sentinel_password=hunter2&db=1": "redis+sentinel://a/m?sentinel_username=su&password=xxxxx",
		"redis+sentinel://a/m?sentinel_p%61ssword=hunter2":                         "redis+sentinel://a/m?password=xxxxx",
		"redis+sentinel://a/m?sentinel_password=hunter2@hunter2":                   "redis+sentinel://xxxxx",
	} {
		assert.Equal(t, want, Redact(raw), raw)
	}
}

// FuzzOpen puts a secret into both places where a password stands, amid
// anything, and looks for it in whatever comes out.
func FuzzOpen(f *testing.F) {
	for _, s := range []string{"", "@", "/", "?", "#", "%", "%zz", ":", ",", "&", "&read_timeout=", "@h/0?", " ", "\n", "://", "ß\xff", "[", ";"} {
		f.Add("redis", "u", s, "h:6379", "/0")
		f.Add("rediss+sentinel", "u"+s, "", "h1,h2"+s, "/m/0?sentinel_password="+s)
		f.Add("redis+cluster", s, "", s, "?pool_size=7"+s)
		f.Add("unix"+s, "", s, "", "/run/x.sock?db=1")
	}
	const secret = "hunter2"
	f.Fuzz(func(t *testing.T, scheme, user, amid, host, tail string) {
		if strings.Contains(scheme+user+amid+host+tail, "hunter") || strings.Contains(scheme, "://") {
			return
		}
		password := secret + amid + secret
		for _, raw := range []string{
			scheme + "://" + user + ":" + password + "@" + host + tail,
			scheme + "://" + host + "/m?sentinel_password=" + password + tail,
			scheme + "://" + host + "?sentinel_password=" + password + tail,
		} {
			assert.NotContains(t, Redact(raw), secret, raw)
			o, err := parse(raw)
			if err != nil {
				assert.NotContains(t, err.Error(), secret, raw)
				continue
			}
			// Nobody is dialled, except to keep idle connections ready.
			if strings.Contains(tail+host+amid, "min_idle") || strings.Contains(raw, "%") {
				continue
			}
			assert.NoError(t, o.client(1).Close())
		}
	})
}

func TestHasPassword(t *testing.T) {
	for raw, want := range map[string]bool{
		"":                               false,
		"redis://127.0.0.1:6379/0":       false,
		"redis://user@h:6379/0":          false,
		"redis://user:@h:6379/0":         false,
		"rediss://h/0?read_timeout=6s":   false,
		"unix:///run/redis.sock?db=1":    false,
		"redis+sentinel://s1:1,s2:2/m/0": false,
		"redis+sentinel://s/m?sentinel_username=u&sentinel_password=": false,
		"redis://user:pw@h:6379/0":                                    true,
		"redis://:pw@h":                                               true,
		"redis://:p@w@h":                                              true,
		"redis://u:p/w@h/0":                                           true,
		"redis://u:p#w@h/0":                                           true,
		"redis://u:p?w@h/0":                                           true,
		"user:pw@h:6379":                                              true,
		"unix://:pw@/run/redis.sock?db=1":                             true,
		"redis+cluster://u:pw@a:1,b:2":                                true,
		"redis+sentinel://s/m?sentinel_username=u&sentinel_password=pw": true,
		"redis+sentinel://s/m?sentinel%5Fpass%77ord=pw":                 true,
		"redis://h/0?password=pw":                                       true,
		"redis://h/0?%zz=pw":                                            true,
	} {
		assert.Equal(t, want, HasPassword(raw), raw)
	}
}
