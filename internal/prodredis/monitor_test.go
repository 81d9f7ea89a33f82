package prodredis

import (
	"bufio"
	"context"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
)

// command is one that a server ran, with what its script ran.
type command struct {
	name       string
	keys       []string
	tags       map[string]bool // hash tags of the keys: one tag, one slot
	undeclared []string        // keys of one of our scripts that it does not declare
}

const endOfWatch = "end of watch"

// watch notes every command that the servers run, by MONITOR, until the
// function that it returns is called.
func watch(t *testing.T, servers []*redistest.Server) func() []command {
	t.Helper()
	var all sync.WaitGroup
	seen := make([][]command, len(servers))
	conns := make([]net.Conn, len(servers))
	for i, s := range servers {
		conn, err := net.Dial("tcp", s.Addr())
		require.NoError(t, err)
		conns[i] = conn
		_, err = conn.Write([]byte("MONITOR\r\n"))
		require.NoError(t, err)
		all.Go(func() {
			lines := bufio.NewReader(conn)
			for {
				line, err := lines.ReadString('\n')
				if err != nil {
					return
				}
				name, args, lua := parse(line)
				if name == "echo" && slices.Equal(args, []string{endOfWatch}) {
					return
				}
				if name == "" {
					continue
				}
				if !lua { // what a script runs comes right behind it
					seen[i] = append(seen[i], command{name: name, tags: map[string]bool{}})
				}
				if n := len(seen[i]); n > 0 {
					seen[i][n-1].add(name, args, lua)
				}
			}
		})
	}
	return func() []command {
		for _, s := range servers {
			require.NoError(t, s.Client(t).Echo(context.Background(), endOfWatch).Err())
		}
		all.Wait()
		for _, c := range conns {
			_ = c.Close()
		}
		return slices.Concat(seen...)
	}
}

func (c *command) add(name string, args []string, lua bool) {
	for _, key := range keysOf(name, args) {
		if lua && strings.HasPrefix(key, "edgepurge:") && !slices.Contains(c.keys, key) {
			c.undeclared = append(c.undeclared, key)
		}
		c.keys = append(c.keys, key)
		c.tags[hashTag(key)] = true
	}
}

var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// parse reads `1700000000.000000 [0 127.0.0.1:1234] "get" "key"`, or "[0 lua]".
func parse(line string) (name string, args []string, lua bool) {
	_, rest, ok := strings.Cut(line, "] ")
	if !ok {
		return "", nil, false
	}
	for _, q := range quoted.FindAllString(rest, -1) {
		s, err := strconv.Unquote(q)
		if err != nil {
			s = q
		}
		args = append(args, s)
	}
	if len(args) == 0 {
		return "", nil, false
	}
	return strings.ToLower(args[0]), args[1:], strings.Contains(line, " lua] ")
}

func keysOf(name string, args []string) []string {
	switch name {
	case "evalsha", "eval":
		n, _ := strconv.Atoi(args[1])
		return args[2 : 2+n]
	case "del", "exists", "mget":
		return args
	case "rpoplpush":
		return args[:2]
	case "publish", "subscribe", "ping", "time", "hello", "client", "cluster", "command", "info", "monitor",
		"replconf", "psync", "select", "script", "config", "auth", "readonly", "multi", "exec", "memory":
		return nil
	}
	if len(args) == 0 {
		return nil
	}
	return args[:1]
}

// hashTag is the part of a key that decides its slot.
func hashTag(key string) string {
	if _, rest, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(rest, "}"); ok && tag != "" {
			return tag
		}
	}
	return key
}
