package compare

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/stretchr/testify/require"
)

// program is a child process: one of a contender's two.
type program struct {
	r    *rig
	stop func() // idempotent

	mu      sync.Mutex
	in      io.WriteCloser
	n       int
	waiting map[int]chan answer
	ended   chan struct{}
}

// start starts a program, and ends it with the test.
func (r *rig) start(role role) *program {
	r.t.Helper()
	cmd := r.command(&role)
	text, err := json.Marshal(role)
	require.NoError(r.t, err)
	cmd.Env = append(os.Environ(), envChild+"="+string(text))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(r.t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(r.t, err)
	require.NoError(r.t, cmd.Start())
	p := &program{r: r, in: in, waiting: map[int]chan answer{}, ended: make(chan struct{})}
	go p.read(out)
	p.stop = sync.OnceFunc(func() {
		_ = in.Close() // what it ends with
		select {
		case <-p.ended:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-p.ended
		}
		_ = cmd.Wait()
	})
	r.t.Cleanup(p.stop)
	p.look()
	return p
}

func (r *rig) command(role *role) *exec.Cmd {
	role.Contender, role.Redis, role.API = r.c.key, r.server.URL(), r.url
	if r.c.key != edgepurge.key {
		role.API += "/v1/edge-cache/dangerously-delete-by-tags?projectIdOrName=" + project
	}
	if r.c.node {
		cmd := exec.Command("node", "program.mjs")
		cmd.Dir = filepath.FromSlash(nodeModules)
		return cmd
	}
	self, err := os.Executable()
	require.NoError(r.t, err)
	return exec.Command(self)
}

func (p *program) read(out io.Reader) {
	defer close(p.ended)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var a answer
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			p.r.t.Errorf("%s wrote %q: %v", p.r.c.name, lines.Text(), err)
			continue
		}
		p.mu.Lock()
		ready := p.waiting[a.N]
		delete(p.waiting, a.N)
		p.mu.Unlock()
		if ready != nil {
			ready <- a
		}
	}
}

// exchange sends a question and waits for its answer.
func (p *program) exchange(tags []string) (answer, error) {
	ready := make(chan answer, 1)
	p.mu.Lock()
	p.n++
	line, err := json.Marshal(question{N: p.n, Tags: tags})
	if err == nil {
		p.waiting[p.n] = ready
		_, err = p.in.Write(append(line, '\n'))
	}
	p.mu.Unlock()
	if err != nil {
		return answer{}, err
	}
	select {
	case a := <-ready:
		if a.Error != "" {
			return a, errors.New(a.Error)
		}
		return a, nil
	case <-p.ended:
		return answer{}, errors.New("the program ended")
	case <-time.After(longest):
		return answer{}, errors.New("no answer")
	case <-interrupted.Done():
		return answer{}, errors.New("interrupted")
	}
}

func (p *program) look() look {
	p.r.t.Helper()
	a, err := p.exchange(nil)
	require.NoError(p.r.t, err, p.r.c.name)
	return a.look
}

// ask asks for tags; it may be called from any goroutine.
func (p *program) ask(tags ...string) {
	if _, err := p.exchange(tags); err != nil {
		p.r.t.Errorf("%s: ask: %v", p.r.c.name, err)
	}
}
