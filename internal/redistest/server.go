package redistest

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
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
	host    = "127.0.0.1"
	// startWait bounds the wait for the first PING; 10 to 40 ms are usual.
	startWait = 15 * time.Second
	// startTries bounds how often Start picks another port when somebody else
	// took the one it had chosen.
	startTries = 5
)

// Server is a private redis-server. Its methods may be called from the test's
// goroutine and from others, but not at the same time.
type Server struct {
	dir    string // short: a socket's path must stay below 104 bytes
	port   int
	args   []string
	scheme string
	roots  *x509.CertPool // of a server with TLS

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
	return launch(tb, plan{opts: opts})
}

// plan is what kind of server to launch.
type plan struct {
	// port picks one; nil: any free one.
	port func() (int, error)
	// conf is the text of a configuration file; empty: there is none.
	conf string
	// files lie in the server's directory, which is its working directory.
	files map[string][]byte
	tls   *x509.CertPool
	opts  []string
}

func launch(tb testing.TB, p plan) *Server {
	tb.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		missing(tb)
	}
	dir, err := os.MkdirTemp("", "ep") // TempDir of a test may be too long for a socket
	if err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	s := &Server{dir: dir, scheme: "redis", roots: p.tls}
	tb.Cleanup(func() {
		s.stop()
		if tb.Failed() {
			tb.Logf("redistest: output of %s:\n%s", program, s.output())
		}
		if err := os.RemoveAll(dir); err != nil {
			tb.Errorf("redistest: %v", err)
		}
	})
	if err := p.write(dir); err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	if p.port == nil {
		p.port = freePort
	}
	for try := 1; ; try++ {
		s.port, err = p.port()
		if err != nil {
			tb.Fatalf("redistest: %v", err)
		}
		s.args = append([]string{path}, p.args(s)...)
		err = s.start()
		if err == nil {
			return s
		}
		if try == startTries {
			tb.Fatalf("redistest: %v\n%s", err, s.output())
		}
	}
}

const confFile = "conf"

func (p plan) write(dir string) error {
	files := maps.Clone(p.files)
	if p.conf != "" {
		files = map[string][]byte{confFile: []byte(p.conf)}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (p plan) args(s *Server) []string {
	var args []string
	if p.conf != "" {
		args = append(args, filepath.Join(s.dir, confFile))
	}
	port := strconv.Itoa(s.port)
	if p.tls != nil {
		s.scheme = "rediss"
		args = append(args, "--port", "0", "--tls-port", port)
	} else {
		args = append(args, "--port", port)
	}
	args = append(
		args,
		"--bind", host, "--unixsocket", s.socket(), "--dir", s.dir,
		"--save", "", "--appendonly", "no",
	)
	return append(args, p.opts...)
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
func (s *Server) URL() string { return s.scheme + "://" + s.Addr() + "/0" }

// Addr is the server's loopback address, host:port.
func (s *Server) Addr() string { return net.JoinHostPort(host, strconv.Itoa(s.port)) }

// SocketURL is the server's address on its unix socket, as redis.ParseURL reads it.
func (s *Server) SocketURL() string { return "unix://" + s.socket() + "?db=0" }

// Client connects to URL; the connection is closed when the test ends.
func (s *Server) Client(tb testing.TB) redis.UniversalClient {
	tb.Helper()
	options, err := redis.ParseURL(s.URL())
	if err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	if s.roots != nil {
		options.TLSConfig.RootCAs = s.roots
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
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}
