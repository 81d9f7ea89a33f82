package redistest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// EnvRequire is the environment variable that, set to "require", turns the skip
// of a test without redis-server into a failure. Continuous integration sets it.
const EnvRequire = "EDGEPURGE_TEST_REDIS"

const (
	program = "redis-server"
	// startWait bounds the wait for the first PING; 10 to 40 ms are usual.
	startWait = 15 * time.Second
	// startTries bounds how often Start picks another port when somebody else
	// took the one it had chosen.
	startTries = 5
)

// Server is a private redis-server. Its methods may be called from the test's
// goroutine and from others, but not at the same time.
type Server struct {
	dir  string // short: a socket's path must stay below 104 bytes
	port int
	args []string

	mu      sync.Mutex
	process *os.Process
	exited  chan struct{} // closed once process has been waited for
}

// Start starts a redis-server on a loopback port and a unix socket, waits until
// it answers PING and ends it when the test does. It persists nothing unless
// opts say so: they are further arguments, such as "--appendonly", "yes".
//
// Without the program the test is skipped, or fails if EnvRequire says so.
func Start(tb testing.TB, opts ...string) *Server {
	tb.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		missing(tb)
	}
	dir, err := os.MkdirTemp("", "ep") // TempDir of a test may be too long for a socket
	if err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	s := &Server{dir: dir}
	tb.Cleanup(func() {
		s.stop()
		if tb.Failed() {
			tb.Logf("redistest: output of %s:\n%s", program, s.output())
		}
		if err := os.RemoveAll(dir); err != nil {
			tb.Errorf("redistest: %v", err)
		}
	})
	for try := 1; ; try++ {
		s.port, err = freePort()
		if err != nil {
			tb.Fatalf("redistest: %v", err)
		}
		s.args = append([]string{
			path,
			"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1",
			"--unixsocket", s.socket(), "--dir", dir,
			"--save", "", "--appendonly", "no",
		}, opts...)
		err = s.start()
		if err == nil {
			return s
		}
		if try == startTries {
			tb.Fatalf("redistest: %v\n%s", err, s.output())
		}
	}
}

func missing(tb testing.TB) {
	tb.Helper()
	const line = "redistest: %s is not on PATH: install it (Debian: apt-get install redis-server, macOS: brew install redis)"
	if os.Getenv(EnvRequire) == "require" {
		tb.Fatalf(line+"; "+EnvRequire+"=require forbids to skip", program)
	}
	tb.Skipf(line, program)
}

// URL is the server's address on its loopback port, as redis.ParseURL reads it.
func (s *Server) URL() string { return fmt.Sprintf("redis://127.0.0.1:%d/0", s.port) }

// SocketURL is the server's address on its unix socket, as redis.ParseURL reads it.
func (s *Server) SocketURL() string { return "unix://" + s.socket() + "?db=0" }

// Client connects to URL; the connection is closed when the test ends.
func (s *Server) Client(tb testing.TB) redis.UniversalClient {
	tb.Helper()
	options, err := redis.ParseURL(s.URL())
	if err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	client := redis.NewClient(options)
	tb.Cleanup(func() { _ = client.Close() })
	return client
}

// Kill ends the server with SIGKILL, as a crash would, and waits until it is gone.
func (s *Server) Kill(tb testing.TB) {
	tb.Helper()
	if !s.stop() {
		tb.Fatalf("redistest: Kill: the server is not running")
	}
}

// Restart starts the server again on the same port, socket and directory, after
// Kill or in its stead. Only what was persisted is still there.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	s.stop()
	if err := s.start(); err != nil {
		tb.Fatalf("redistest: Restart: %v\n%s", err, s.output())
	}
}

// Pause stops the server with SIGSTOP: it accepts connections, the kernel does,
// and answers nothing until Resume.
func (s *Server) Pause(tb testing.TB) {
	tb.Helper()
	s.signal(tb, syscall.SIGSTOP)
}

// Resume lets a paused server go on.
func (s *Server) Resume(tb testing.TB) {
	tb.Helper()
	s.signal(tb, syscall.SIGCONT)
}

func (s *Server) signal(tb testing.TB, sig os.Signal) {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		tb.Fatalf("redistest: %v: the server is not running", sig)
	}
	if err := s.process.Signal(sig); err != nil {
		tb.Fatalf("redistest: %v: %v", sig, err)
	}
}

// start starts the process and waits for PING. After an error nothing runs.
func (s *Server) start() error {
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(s.args[0], s.args[1:]...) // ended in Cleanup, by its pid
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = endWithParent()
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait()
	}()
	s.mu.Lock()
	s.process, s.exited = cmd.Process, exited
	s.mu.Unlock()

	if err := s.waitReady(exited); err != nil {
		s.stop()
		return err
	}
	return nil
}

func (s *Server) waitReady(exited <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), startWait)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-exited:
			return errors.New(program + " ended before it answered PING")
		case <-ctx.Done():
			return fmt.Errorf("%s gave no answer to PING in %s: %w", program, startWait, err)
		case <-tick.C:
		}
	}
}

// ping asks on the socket, which is ours alone: on the port somebody else's
// server could answer. It speaks the protocol itself because go-redis logs
// every attempt that fails.
func (s *Server) ping(ctx context.Context) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", s.socket())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if strings.HasPrefix(line, "-LOADING") { // it still reads its AOF
		return errors.New(strings.TrimSpace(line))
	}
	return nil // "-NOAUTH" is an answer too
}

// stop kills the process and waits for its end; false if there was none.
func (s *Server) stop() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return false
	}
	_ = s.process.Kill() // an error means that it is gone already
	<-s.exited
	s.process = nil
	return true
}

func (s *Server) socket() string  { return filepath.Join(s.dir, "s") }
func (s *Server) logFile() string { return filepath.Join(s.dir, "log") }

func (s *Server) output() string {
	b, err := os.ReadFile(s.logFile())
	if err != nil {
		return err.Error()
	}
	const most = 8 << 10
	return string(b[max(0, len(b)-most):])
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}
