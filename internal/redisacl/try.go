package redisacl

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// scratch begins the keys that Try works on. One slot holds all of them.
const scratch = "edgepurge:{check}:"

// Commands are all that some part of edgepurge runs, alone or in scripts.
func Commands() []string {
	return Producer.With(Replicas).With(Bounded).With(Worker).With(Collapsing).With(Gateway).Commands
}

// unscripted are the commands that no script runs.
var unscripted = []string{"cluster|slots", "command", "eval", "evalsha", "hello", "info", "ping", "publish", "subscribe", "unsubscribe", "wait"}

// attempt runs each of the commands in ARGV, given as for probe, and answers what
// Redis said to each: "" if it ran.
var attempt = redis.NewScript(`
local answer, at = {}, 1
while at <= #ARGV do
  local n = tonumber(ARGV[at])
  local reply = redis.pcall(unpack(ARGV, at + 1, at + n))
  answer[#answer + 1] = type(reply) == 'table' and reply.err or ''
  at = at + 1 + n
end
redis.call('DEL', unpack(KEYS))
return answer
`)

// Try runs each command that edgepurge's and asynq's scripts use once in a script
// and returns what Redis refused, and why. id names keys of its own, which it
// deletes. A managed Redis may know a command and refuse it to scripts alone; that
// shows only when it is tried, which is harmless here and later stops a worker.
func Try(ctx context.Context, rdb redis.UniversalClient, id string) (refused map[string]string, err error) {
	keys := map[string]string{}
	var names []string
	for _, kind := range []string{"string", "hash", "list", "set", "zset"} {
		keys[kind] = scratch + id + ":" + kind
		names = append(names, keys[kind])
	}
	var tried []string
	var args []any
	for _, command := range Commands() {
		if slices.Contains(unscripted, command) {
			continue
		}
		words := []string{command}
		for w := range strings.FieldsSeq(arguments[command]) {
			if w == "KEY" {
				w = keys[typeOf(command)]
			}
			words = append(words, w)
		}
		tried = append(tried, command)
		args = append(args, len(words))
		for _, w := range words {
			args = append(args, w)
		}
	}
	answers, err := attempt.Run(ctx, rdb, names, args...).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("try the commands of the scripts: %w", err)
	}
	refused = map[string]string{}
	for i, command := range tried {
		if i < len(answers) && answers[i] != "" {
			refused[command] = answers[i]
		}
	}
	return refused, nil
}

// typeOf is the type of key that a command is about.
func typeOf(command string) string {
	switch command {
	case "set", "setex":
		return "string"
	}
	switch {
	case strings.HasPrefix(command, "h"):
		return "hash"
	case strings.HasPrefix(command, "l"), strings.HasPrefix(command, "r"):
		return "list"
	case strings.HasPrefix(command, "s"):
		return "set"
	case strings.HasPrefix(command, "z"):
		return "zset"
	}
	return "string"
}
