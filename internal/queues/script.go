package queues

import (
	"embed"
	"strings"

	"github.com/redis/go-redis/v9"
)

//go:embed script/*.lua
var sources embed.FS

var (
	messagesScript = script("messages")
	entriesScript  = script("entries")
	tasksScript    = script("tasks")
	removeScript   = script("remove")
	archiveScript  = script("archive")
	reclaimScript  = script("reclaim")
)

// script reads a script and the part that it includes. The files are compiled in,
// so a missing one is a fault of the build.
func script(name string) *redis.Script {
	return redis.NewScript(strings.Replace(source(name), "--#include clip\n", source("clip"), 1))
}

func source(name string) string {
	text, err := sources.ReadFile("script/" + name + ".lua")
	if err != nil {
		panic(err)
	}
	return string(text)
}
