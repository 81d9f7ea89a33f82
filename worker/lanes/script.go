package lanes

import (
	"embed"
	"strings"

	"github.com/redis/go-redis/v9"
)

//go:embed script/*.lua
var sources embed.FS

var (
	absorbScript  = script("absorb")
	peekScript    = script("peek")
	claimScript   = script("claim")
	offerScript   = script("offer")
	surveyScript  = script("survey")
	acquireScript = script("acquire")
	restoreScript = script("restore")
	finishScript  = script("finish")
	pauseScript   = script("pause")
	holdScript    = script("hold")
	releaseScript = script("release")
	adaptScript   = script("adapt")
	takeScript    = script("take")
	buryScript    = script("bury")
	settleScript  = script("settle")
	reofferScript = script("reoffer")
	parcelScript  = script("parcel")
	adoptScript   = script("adopt")
	giveScript    = script("give")

	backlogScript  = script("backlog")
	collapseScript = script("collapse")
)

// script reads a script and puts the shared parts where it includes them. The
// files are compiled in, so a missing one is a fault of the build.
func script(name string) *redis.Script {
	source := read(name)
	for _, part := range []string{"time", "pending", "terms", "budget", "limit", "receipts", "origins"} {
		source = strings.Replace(source, "--#include "+part+"\n", read(part), 1)
	}
	return redis.NewScript(source)
}

func read(name string) string {
	text, err := sources.ReadFile("script/" + name + ".lua")
	if err != nil {
		panic(err)
	}
	return string(text)
}
