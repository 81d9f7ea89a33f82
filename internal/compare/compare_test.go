package compare

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCompare puts every contender to every workload. What it asserts is of
// edgepurge alone: whether the others lose purges is counted, not demanded.
func TestCompare(t *testing.T) {
	all, without := contenders()
	if without != "" {
		t.Logf("BullMQ is left out: %s", without)
	}
	began, load := time.Now(), loadAverage()
	f := &figures{}
	t.Run("run", func(t *testing.T) { // it ends when all within have
		for _, w := range workloads {
			for round := range max(1, size(w.rounds, 1)) {
				for _, c := range all {
					t.Run(fmt.Sprintf("%s/%s/%d", w.name, c.key, round+1), func(t *testing.T) {
						if !full() || w.rounds == 0 {
							t.Parallel()
						}
						require.NoError(t, interrupted.Err())
						say(w, c, round)
						w.run(newRig(t, c, w.api), f)
					})
				}
			}
		}
	})
	if t.Failed() {
		return
	}
	for r := range rows {
		assert.NotEmpty(t, f.cell(r, edgepurge), r)
	}
	table := f.table(all)
	t.Logf("\n%s", table)
	if path := os.Getenv(envTable); path != "" {
		text := heading(began, load, without) + "\n" + table + notes
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
}

// say tells who waits for a run of minutes how far it is.
func say(w workload, c contender, round int) {
	if full() {
		fmt.Fprintf(os.Stderr, "%s %s: %s, %d\n", time.Now().Format(time.TimeOnly), w.name, c.name, round+1)
	}
}

const notes = `
A figure is the median, with the least and the most of its rounds, or of its tags for a lone tag; after it the ratio to edgepurge's.
≈: not waited for, but reckoned at the rate of the calls made so far, each of them full.
`

// heading says when a run was, and on what.
func heading(began time.Time, load, without string) string {
	processor := "of an unknown kind"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, after, found := strings.Cut(string(text), "model name\t: "); found {
			processor, _, _ = strings.Cut(after, "\n")
		}
	}
	about := []string{output("redis-server", "--version"), runtime.Version(), "asynq " + output("go", "list", "-m", "-f", "{{.Version}}", "github.com/hibiken/asynq")}
	if without == "" {
		about = append(about, "Node.js "+output("node", "--version"), "BullMQ "+output("node", "-p", "require('./"+nodeModules+"/node_modules/bullmq/package.json').version"))
	} else {
		about = append(about, "BullMQ is left out: "+without)
	}
	return fmt.Sprintf("`make compare`, %s to %s, commit %s, %d cores (%s), load %s at the start; %s.\n",
		began.UTC().Format("2 January 2006, 15:04"), time.Now().UTC().Format("15:04 UTC"),
		output("git", "rev-parse", "--short", "HEAD"), runtime.NumCPU(), processor, load, strings.Join(about, "; "))
}

// output is what a program says, in a line; of redis-server as far as its version.
func output(program string, args ...string) string {
	text, err := exec.Command(program, args...).Output()
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(bytes.TrimSpace(text)), " sha=")
	return line
}

func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}
