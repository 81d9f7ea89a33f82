package compare

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
)

const (
	// envSize is the environment variable that, set to "full", runs the workloads
	// at the sizes of docs/benchmarks.md, one after the other.
	envSize = "EDGEPURGE_COMPARE"
	// envTable names the file that the table is written to.
	envTable = "EDGEPURGE_COMPARE_TABLE"
)

func full() bool { return os.Getenv(envSize) == "full" }

// size picks how large a workload is.
func size[T any](whole, tiny T) T {
	if full() {
		return whole
	}
	return tiny
}

// interrupted is done once the run is to end early: every wait looks at it, so
// that the tests end as failed ones do and leave nothing behind.
var interrupted context.Context

func TestMain(m *testing.M) {
	if text := os.Getenv(envChild); text != "" {
		if err := child(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	interrupted = ctx
	flag.Parse()
	// What runs in parallel waits: for linger, for a limit.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
