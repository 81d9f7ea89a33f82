package redisacl

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// arguments are what follows each command that a Rights may name, KEY and
// CHANNEL in place of what its patterns allow. They are those of a call that
// Redis would run: asked about an EVALSHA with too few, Redis before 8.6 crashes
// (redis/redis#14843).
var arguments = map[string]string{
	"hello": "", "ping": "", "time": "", "info": "", "command": "", "wait": "0 1", "unsubscribe": "",
	"cluster|slots": "",
	"publish":       "CHANNEL m", "subscribe": "CHANNEL",
	"evalsha": "e0e1f9fabfc9d4800c877a703b823ac0578ff8db 1 KEY",
	"del":     "KEY", "exists": "KEY", "expire": "KEY 1", "expireat": "KEY 1", "pexpire": "KEY 1", "pttl": "KEY",
	"get": "KEY", "incr": "KEY", "set": "KEY v", "setex": "KEY 1 v",
	"hdel": "KEY f", "hget": "KEY f", "hgetall": "KEY", "hincrby": "KEY f 1", "hkeys": "KEY", "hlen": "KEY", "hmget": "KEY f", "hset": "KEY f v", "hvals": "KEY",
	"llen": "KEY", "lpush": "KEY v", "lrange": "KEY 0 1", "lrem": "KEY 0 v", "ltrim": "KEY 0 1", "rpoplpush": "KEY KEY", "rpush": "KEY v",
	"sadd": "KEY m", "sismember": "KEY m", "smembers": "KEY",
	"zadd": "KEY 1 m", "zcard": "KEY", "zcount": "KEY 0 1", "zmscore": "KEY m", "zrange": "KEY 0 1", "zrangebyscore": "KEY 0 1",
	"zrem": "KEY m", "zremrangebyrank": "KEY 0 1", "zremrangebyscore": "KEY 0 1", "zrevrange": "KEY 0 1", "zscan": "KEY 0", "zscore": "KEY m",
}

// probe asks Redis which of the commands in ARGV the user of this connection may
// run, and runs none of them. Each is its number of words and the words; the
// answer is a string of 0 and 1. Redis before 7.0 cannot tell: "".
var probe = redis.NewScript(`
if not redis.acl_check_cmd then return '' end
local answer, at = {}, 1
while at <= #ARGV do
  local n = tonumber(ARGV[at])
  local known, may = pcall(redis.acl_check_cmd, unpack(ARGV, at + 1, at + n))
  answer[#answer + 1] = (may or not known) and '1' or '0'
  at = at + 1 + n
end
return table.concat(answer)
`)

// question is whether the user may run a command on one pattern of his.
type question struct {
	command string
	pattern string // empty: the command takes neither key nor channel
	words   []string
}

// questions asks for every command with every pattern that it could be about.
func (r Rights) questions() ([]question, error) {
	var all []question
	for _, command := range r.Commands {
		if command == "eval" {
			continue // it is what asks
		}
		rest, ok := arguments[command]
		if !ok {
			return nil, fmt.Errorf("redisacl: command %q has no arguments", command)
		}
		words := append(strings.Split(command, "|"), strings.Fields(rest)...)
		placeholder, patterns := "KEY", r.Keys
		if slices.Contains(words, "CHANNEL") {
			placeholder, patterns = "CHANNEL", r.Channels
		}
		if !slices.Contains(words, placeholder) {
			all = append(all, question{command: command, words: words})
			continue
		}
		for _, p := range patterns {
			concrete := slices.Clone(words)
			for i := range concrete {
				if concrete[i] == placeholder {
					concrete[i] = sample(p)
				}
			}
			all = append(all, question{command: command, pattern: p, words: concrete})
		}
	}
	return all, nil
}

// Missing lists the rules that the connected user lacks, as ACL SETUSER takes
// them: "+lpush", "~edgepurge:*", "(+lpush ~asynq:…)". It is empty if none is, and if
// Redis, being older than 7.0, cannot tell. A pattern that only one command is for
// and that command cannot be told apart: both are named.
func (r Rights) Missing(ctx context.Context, rdb redis.UniversalClient) ([]string, error) {
	parts := append([]Rights{r}, r.Selectors...)
	asked := make([][]question, len(parts))
	var args []any
	n := 0
	for i, part := range parts {
		var err error
		if asked[i], err = part.questions(); err != nil {
			return nil, err
		}
		n += len(asked[i])
		for _, q := range asked[i] {
			args = append(args, len(q.words))
			for _, w := range q.words {
				args = append(args, w)
			}
		}
	}
	answer, err := probe.Eval(ctx, rdb, nil, args...).Text()
	if err != nil {
		return nil, fmt.Errorf("ask Redis for the rights of its user: %w", err)
	}
	if len(answer) != n {
		return nil, nil
	}
	missing := r.lacking(asked[0], answer)
	answer = answer[len(asked[0]):]
	for i, s := range r.Selectors {
		own := answer[:len(asked[i+1])]
		if strings.Contains(own, "0") {
			missing = append(missing, s.selector())
		}
		answer = answer[len(own):]
	}
	return missing, nil
}

// lacking is which of the rules outside selectors the answers deny. A command is
// granted if it may be run on anything, a pattern if anything may be run on it.
func (r Rights) lacking(all []question, answer string) []string {
	return slices.DeleteFunc(r.ownRules(), func(rule string) bool {
		for i, q := range all {
			if answer[i] == '1' && (rule == "+"+q.command || q.pattern != "" && rule[1:] == q.pattern) {
				return true
			}
		}
		return rule == "+eval" // which has just run
	})
}

// Refused reports whether Redis refused something for want of a right. By its
// text: asynq keeps nothing else of an error, and an error inside of a script
// has no code of its own.
func Refused(err error) bool {
	return err != nil && RefusedText(err.Error())
}

// RefusedText is Refused for the text of an error.
func RefusedText(text string) bool {
	return strings.Contains(text, "NOPERM") || strings.Contains(text, "ACL failure in script") ||
		strings.Contains(text, "The user executing the script can't")
}

// Explain adds to an error for want of rights which ones the user lacks; other
// errors it returns as they are. Redis 7.0 names neither the command of a script
// nor a key.
func (r Rights) Explain(ctx context.Context, rdb redis.UniversalClient, err error) error {
	if !Refused(err) {
		return err
	}
	missing, unknown := r.Missing(ctx, rdb)
	if unknown != nil || len(missing) == 0 {
		return err
	}
	return fmt.Errorf("%w (the Redis user lacks %s)", err, strings.Join(missing, " "))
}
