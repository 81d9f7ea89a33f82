package chaos

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// cost is what a program spent: time on a core and lines in the log.
type cost struct {
	at    time.Time
	cpu   time.Duration
	lines int
}

// cost reads the counters of the program as they stand.
func (p *process) cost(tb testing.TB) cost {
	tb.Helper()
	return cost{at: time.Now(), cpu: p.cpu(tb), lines: p.out.lines()}
}

// tick is the unit of /proc's times: USER_HZ, 100 on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// cpu is the time that the program has spent on a core; 0 where there is no /proc.
func (p *process) cpu(tb testing.TB) time.Duration {
	tb.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if os.IsNotExist(err) {
		return 0
	}
	require.NoError(tb, err)
	_, after, _ := strings.Cut(string(stat), ") ") // behind the name, which may hold blanks
	fields := strings.Fields(after)
	require.Greater(tb, len(fields), 13)
	user, err := strconv.Atoi(fields[11])
	require.NoError(tb, err)
	system, err := strconv.Atoi(fields[12])
	require.NoError(tb, err)
	return time.Duration(user+system) * tick
}

// assertIdle holds what a program spent since an earlier moment against the
// share of a core and the number of lines a second that it may.
func (p *process) assertIdle(tb testing.TB, since cost, share, lines float64) {
	tb.Helper()
	now := p.cost(tb)
	took := now.at.Sub(since.at).Seconds()
	used := (now.cpu - since.cpu).Seconds() / took
	said := float64(now.lines-since.lines) / took
	tb.Logf("%s: %.1f %% of a core, %.1f lines a second for %.1f s", p.name, 100*used, said, took)
	assert.Less(tb, used, share, "%s is in a busy loop", p.name)
	assert.LessOrEqual(tb, said, lines, "%s floods its log:\n%s", p.name, p.out.tail(2<<10))
}
