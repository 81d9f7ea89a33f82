package chaos

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	program  = flag.String("chaos.program", "", "test this `file` instead of building the program")
	logs     = flag.String("chaos.logs", "", "keep what every process printed in this `folder`")
	withRace = flag.Bool("chaos.race", false, "build the program under test with the race detector")
)

// build compiles the program once for all tests and returns its path.
var build = sync.OnceValues(func() (string, error) {
	if *program != "" {
		return filepath.Abs(*program)
	}
	path := filepath.Join(scratch, "edgepurge")
	args := []string{"build", "-o", path}
	if *withRace {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "github.com/edgepurge/edgepurge/cmd/edgepurge")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return path, nil
})

// process is the program at work, or at its end.
type process struct {
	name  string
	cmd   *exec.Cmd
	out   output
	ended chan struct{} // closed once it has been waited for
	end   time.Time     // when that was
}

// launch starts the program. It is killed with the test at the latest.
func launch(tb testing.TB, name string, env []string, args ...string) *process {
	tb.Helper()
	path, err := build()
	require.NoError(tb, err)
	p := &process{name: name, cmd: exec.Command(path, args...), ended: make(chan struct{})}
	p.cmd.Env = env
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.SysProcAttr = endWithParent()
	require.NoError(tb, p.cmd.Start())
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // the state says how it went
		p.end = time.Now()
	}()
	tb.Cleanup(func() {
		p.kill()
		if *logs != "" {
			file := strings.NewReplacer("/", "_", " ", "_").Replace(fmt.Sprintf("%s-%s-%d.log", tb.Name(), p.name, p.cmd.Process.Pid))
			require.NoError(tb, os.WriteFile(filepath.Join(*logs, file), []byte(p.out.String()), 0o600))
		}
		if tb.Failed() {
			tb.Logf("the last lines of %s:\n%s", p.name, p.out.tail(4<<10))
		}
	})
	return p
}

// running reports whether the program has not ended yet.
func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// kill ends the program as a crash of its machine would, and waits for its end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // an error means that it is gone already
	<-p.ended
}

// signal sends a signal that the program may outlive; one that has ended gets none.
func (p *process) signal(tb testing.TB, sig syscall.Signal) {
	tb.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		tb.Fatalf("%s: %v: %v", p.name, sig, err)
	}
}

// exit waits for the end and returns the exit code; -1 means a signal.
func (p *process) exit(tb testing.TB, most time.Duration) int {
	tb.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(most):
		tb.Fatalf("%s still runs after %s", p.name, most)
		return 0
	}
}

// output is what a program printed. It is safe for concurrent use.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// has reports whether the program has printed a text.
func (o *output) has(text string) bool { return strings.Contains(o.String(), text) }

func (o *output) lines() int { return strings.Count(o.String(), "\n") }

func (o *output) tail(most int) string {
	s := o.String()
	return s[max(0, len(s)-most):]
}

// await polls until the condition holds.
func await(tb testing.TB, most time.Duration, what string, holds func() bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			tb.Fatalf("waited %s in vain: %s", most, what)
		}
	}
}
