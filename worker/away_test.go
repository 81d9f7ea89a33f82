package worker

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
)

// While Redis is away a worker says so in one line, and in one that it is back: asynq's
// servers, the pacers and the sweeps met the same error in hundreds of lines.
func TestRun_SaysOnceThatRedisIsAway(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendonly", "yes")
	api := newAPI(t, emulator.Config{}, nil)
	rdb := server.Client(t)
	l := newLab(t, testConfig(api.URL), rdb).start()
	at := l.request(tasks.Purge{Tags: []string{"before"}})
	eventually(t, func() bool { return api.purged("before", at) && l.idle() }, "it works")
	before := len(l.logs.String())
	server.Kill(t)
	time.Sleep(8 * time.Second)
	server.Restart(t)
	eventually(t, func() bool { return rdb.Ping(t.Context()).Err() == nil }, "Redis is back")
	at = l.request(tasks.Purge{Tags: []string{"after"}})
	eventually(t, func() bool { return api.purged("after", at) && l.logs.has("Redis answers again") }, "it is back")
	var lines []string
	for line := range strings.SplitSeq(l.logs.String()[before:], "\n") {
		if line != "" && !strings.Contains(line, `"level":"debug"`) && !strings.Contains(line, `"message":"call"`) {
			lines = append(lines, line)
		}
	}
	assert.LessOrEqual(t, len(lines), 6, strings.Join(lines, "\n"))
}
