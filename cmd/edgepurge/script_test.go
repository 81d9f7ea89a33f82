package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
)

// The secrets of every script. No output of any command may hold one.
const (
	secretToken    = "tok-SECRET-91bc7d02"
	secretPassword = "pw-SECRET-7f3a"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"edgepurge": checkedMain, "bare": bareMain})
}

// TestScripts runs the binary against a Redis and an emulated Vercel of each script's own.
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/script/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			testscript.Run(t, testscript.Params{
				Files:               []string{file},
				Setup:               w.setup,
				RequireExplicitExec: true,
				RequireUniqueNames:  true,
				Cmds: map[string]func(*testscript.TestScript, bool, []string){
					"exits": exits, "until": until, "fetch": fetch, "answers": answers, "expand": expand, "firstid": firstID, "stdoutid": stdoutID, "sigterm": sigterm,
					"faults": w.faults, "purged": w.purged, "flushall": w.flushAll, "forgetqueues": w.forgetQueues, "unknownforlong": w.unknownForLong,
				},
			})
		})
	}
}

// world is what a script runs in.
type world struct {
	redis    *redistest.Server
	emulator *emulator.Emulator
	vercel   string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{redis: redistest.Start(t, "--requirepass", secretPassword)}
	var err error
	w.emulator, err = emulator.New(emulator.Config{Tokens: []emulator.Token{{Name: "test", Secret: secretToken}}})
	require.NoError(t, err)
	server := httptest.NewServer(w.emulator)
	w.vercel = server.URL
	t.Cleanup(func() {
		w.emulator.Close()
		server.Close()
	})
	return w
}

func (w *world) setup(e *testscript.Env) error {
	free, err := freeAddress()
	if err != nil {
		return err
	}
	e.Setenv("EDGEPURGE_REDIS_URL", w.redisURL())
	e.Setenv("EDGEPURGE_VERCEL_URL", w.vercel)
	e.Setenv("VERCEL_TOKEN", secretToken)
	e.Setenv("TOKEN", secretToken)
	e.Setenv("FREE", free)
	return nil
}

func (w *world) redisURL() string {
	return strings.Replace(w.redis.URL(), "://", "://:"+secretPassword+"@", 1)
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// exits runs a command and asks for its exit code and that it tells no secret:
//
//	exits 2 edgepurge purge
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code command [args...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		failed, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%s: %v", args[1], err)
		}
		got = failed.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
	tellsNoSecret(ts)
}

func tellsNoSecret(ts *testscript.TestScript) {
	for _, secret := range []string{secretToken, secretPassword} {
		if strings.Contains(ts.ReadFile("stdout")+ts.ReadFile("stderr"), secret) {
			ts.Fatalf("the output holds the secret %s", secret)
		}
	}
}

// until runs a command again and again until its standard output matches:
//
//	until 'poison-1' edgepurge dead list
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until pattern command [args...]")
	}
	pattern := regexp.MustCompile(`(?m)` + args[0])
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		err := ts.Exec(args[1], args[2:]...)
		tellsNoSecret(ts)
		if err == nil && pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
	}
	ts.Fatalf("the output never matched %q", args[0])
}

// sigterm asks everything in the background to end, as a container's host does;
// testscript's kill knows SIGINT and SIGKILL only.
func sigterm(ts *testscript.TestScript, _ bool, _ []string) {
	for _, c := range ts.BackgroundCmds() {
		ts.Check(c.Process.Signal(syscall.SIGTERM))
	}
}

// fetch gets a URL, waiting until something listens there, as the standard
// output of a command.
func fetch(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: fetch url")
	}
	end := time.Now().Add(20 * time.Second)
	resp, err := http.Get(args[0])
	for ; err != nil && time.Now().Before(end); resp, err = http.Get(args[0]) {
		time.Sleep(50 * time.Millisecond)
	}
	ts.Check(err)
	defer resp.Body.Close()
	_, err = io.Copy(ts.Stdout(), resp.Body)
	ts.Check(err)
	if resp.StatusCode != http.StatusOK {
		ts.Fatalf("%s", resp.Status)
	}
}

// expand puts the values of variables into a file.
func expand(ts *testscript.TestScript, _ bool, args []string) {
	for _, file := range args {
		text := os.Expand(ts.ReadFile(file), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o600))
	}
}

// firstID sets a variable to the id of the first of a JSON list in the standard output.
func firstID(ts *testscript.TestScript, _ bool, args []string) {
	var list []struct{ ID string }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &list))
	if len(args) != 1 || len(list) == 0 {
		ts.Fatalf("usage: firstid variable, after a command that listed something")
	}
	ts.Setenv(args[0], list[0].ID)
}

// stdoutID sets a variable to the id of the JSON object in the standard output.
func stdoutID(ts *testscript.TestScript, _ bool, args []string) {
	var one struct{ ID string }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &one))
	if len(args) != 1 || one.ID == "" {
		ts.Fatalf("usage: stdoutid variable, after a command that printed an object with an id")
	}
	ts.Setenv(args[0], one.ID)
}

// faults sets the faults of the emulated Vercel, in its JSON form.
func (w *world) faults(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: faults json")
	}
	var f emulator.Faults
	ts.Check(json.Unmarshal([]byte(args[0]), &f))
	ts.Check(w.emulator.SetFaults(f))
}

// flushAll makes Redis lose everything.
func (w *world) flushAll(ts *testscript.TestScript, _ bool, _ []string) { w.redisDo(ts, "flushall") }

// forgetQueues makes Redis lose what asynq finds queues by.
func (w *world) forgetQueues(ts *testscript.TestScript, _ bool, _ []string) {
	w.redisDo(ts, "del", "asynq:queues")
}

// unknownForLong waits until a worker has put a task back and makes that long ago.
func (w *world) unknownForLong(ts *testscript.TestScript, _ bool, _ []string) {
	options, err := redis.ParseURL(w.redisURL())
	ts.Check(err)
	rdb := redis.NewClient(options)
	defer rdb.Close()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		keys, err := rdb.Keys(context.Background(), "edgepurge:unknown:*").Result()
		ts.Check(err)
		for _, key := range keys {
			ts.Check(rdb.Set(context.Background(), key, 1, redis.KeepTTL).Err())
		}
		if len(keys) > 0 {
			return
		}
	}
	ts.Fatalf("no task is unknown")
}

func (w *world) redisDo(ts *testscript.TestScript, args ...any) {
	options, err := redis.ParseURL(w.redisURL())
	ts.Check(err)
	rdb := redis.NewClient(options)
	defer rdb.Close()
	ts.Check(rdb.Do(context.Background(), args...).Err())
}

// purged waits until Vercel has purged the items; ! purged asks that it has not.
func (w *world) purged(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		for _, item := range args {
			if w.hasPurged(item) {
				ts.Fatalf("%s was purged", item)
			}
		}
		return
	}
	end := time.Now().Add(20 * time.Second)
	for _, item := range args {
		for !w.hasPurged(item) {
			if time.Now().After(end) {
				ts.Fatalf("%s was not purged", item)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

func (w *world) hasPurged(item string) bool {
	return slices.ContainsFunc(w.emulator.Journal(), func(c emulator.Call) bool {
		return c.Applied && slices.Contains(c.Items, item)
	})
}
