package compare

import (
	"context"
	"os"
	"os/exec"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/tasks"
)

// concurrency is how many calls any program makes at a time.
const concurrency = 10

// linger is how long a tag waits for company, where a program can wait: the
// least that asynq's groups allow, and edgepurge's default.
const linger = time.Second

// contender is a purge program.
type contender struct {
	// key is what a child is told, name the heading of its column.
	key, name string
	// perCall is how many tags its calls hold at most.
	perCall int
	// waits says that it cannot send a tag away at once.
	waits bool
	// node says that bullmq/program.mjs is the program. The rest is of the others.
	node bool
	// asks returns what asks for tags.
	asks func(rdb redis.UniversalClient) (func(ctx context.Context, tags []string) error, error)
	// works starts the worker, which goes on until the process ends.
	works func(rdb redis.UniversalClient, r role) error
	// pending counts the tags that wait elsewhere than in asynq's tasks; nil: none do.
	pending func(rdb redis.UniversalClient) (int, error)
}

var edgepurge = contender{
	key: "edgepurge", name: "edgepurge", perCall: tasks.MaxTagsPerCall,
	asks: askEdgepurge, works: workEdgepurge, pending: pendingEdgepurge,
}

// others are the contenders on asynq; edgepurge is what they are compared with.
var others = []contender{
	{key: "tag", name: "asynq, a task a tag", perCall: 1, asks: askAsynq(), works: workAsynq(handleTag)},
	{key: "groups", name: "asynq groups", perCall: tasks.MaxTagsPerCall, waits: true, asks: askAsynq(inGroup), works: workAsynq(handleGroup)},
	{key: "unique", name: "asynq Unique", perCall: 1, asks: askAsynq(unique), works: workAsynq(handleTag)},
}

var bullmq = contender{key: "bullmq", name: "BullMQ, keepLastIfActive", perCall: 1, node: true}

// nodeModules is where internal/compare/run installs bullmq/package.json.
const nodeModules = "bullmq/.modules"

// contenders are all that can run here; without is what is wrong with the rest.
func contenders() (all []contender, without string) {
	all = append([]contender{edgepurge}, others...)
	if !full() {
		return all, "the tiny form runs without it"
	}
	if _, err := exec.LookPath("node"); err != nil {
		return all, "node is not on PATH"
	}
	if _, err := os.Stat(nodeModules + "/node_modules/bullmq"); err != nil {
		return all, "it is not installed, which make compare does by npm"
	}
	return append(all, bullmq), ""
}
