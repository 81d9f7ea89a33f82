package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/pages"
)

// shells are the languages of blocks that hold commands. In "console", commands
// stand behind "$ ", and below each what it prints, "…" for what is left out.
var shells = []string{"sh", "bash", "console"}

// deed is what becomes of a block of commands.
type deed struct {
	// setup names the script of testdata/setup that runs it.
	setup string
	// reason says why it is not run; empty: it is.
	reason string
}

// deedOf reads the mark above a block of commands:
//
//	<!-- not run: needs a Kubernetes cluster -->
//	<!-- run: worker -->
//
// Without a mark it is run as it stands.
func deedOf(b pages.Block) (deed, error) {
	what, value, _ := strings.Cut(b.Mark, ": ")
	switch {
	case what == "not run" && len(value) >= 10:
		return deed{reason: value}, nil
	case what == "not run":
		return deed{}, errors.New("the mark gives no reason: <!-- not run: because … -->")
	case what == "run" && value != "":
		return deed{setup: value}, nil
	case b.Mark != "":
		return deed{}, fmt.Errorf("the mark %q is neither \"run: setup\" nor \"not run: reason\"", b.Mark)
	case b.Language != "console" && strings.Contains(b.Text, "…"):
		return deed{}, errors.New("it holds a … and so cannot be run: write it out, or say <!-- not run: reason -->")
	default:
		return deed{setup: "plain"}, nil
	}
}

// commandsOf returns the lines of a block to be run, and those that they must print.
func commandsOf(b pages.Block) (script string, printed []string) {
	if b.Language != "console" {
		return b.Text, nil
	}
	for line := range strings.Lines(b.Text) {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			script += command
		} else if line = fold(line); line != "" && line != "…" {
			printed = append(printed, line)
		}
	}
	return script, printed
}

// fold makes one space of several: tables are set differently here and there.
func fold(line string) string { return strings.Join(strings.Fields(line), " ") }

// shows matches a line that a page shows, in which "…" stands for what differs each time.
func shows(line string) func(string) bool {
	parts := strings.Split(line, "…")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile("^" + strings.Join(parts, ".+") + "$").MatchString
}

// stand-ins for programs: the binary under test for what the pages build, and
// one that not every system has.
var standIns = map[string]string{
	"go":      "#!/bin/sh\n[ \"$1 $2\" = 'run ./cmd/edgepurge' ] || { echo \"go $*: mark the block as not run\" >&2; exit 1; }\nshift 2\nexec edgepurge \"$@\"\n",
	"uuidgen": "#!/bin/sh\necho 0b4cf3f0-6f2c-4bd5-b9ab-2d8e1a9f0c11\n",
}

// setupBlock puts a block, the files of its page and the stand-ins into the script's
// folder. Addresses of the defaults become free ones, for blocks run side by side.
func (w *world) setupBlock(e *testscript.Env, p pages.Page, script string) error {
	if err := w.setup(e); err != nil {
		return err
	}
	metrics, err := freeAddress()
	if err != nil {
		return err
	}
	e.Setenv("EDGEPURGE_LISTEN", e.Getenv("FREE"))
	e.Setenv("EDGEPURGE_METRICS", metrics)
	e.Setenv("SHOP_KEY", "key-SECRET-0123456789")
	bin := filepath.Join(e.WorkDir, ".bin")
	e.Setenv("PATH", bin+string(filepath.ListSeparator)+e.Getenv("PATH"))
	if err := os.Mkdir(bin, 0o700); err != nil {
		return err
	}
	for name, text := range standIns {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o700); err != nil {
			return err
		}
	}
	here := strings.NewReplacer("127.0.0.1:8080", e.Getenv("FREE"), "127.0.0.1:9090", metrics)
	files := map[string]string{"block.sh": script}
	for _, b := range p.Blocks {
		if name, ok := strings.CutPrefix(b.Mark, "file: "); ok {
			files[name] = b.Text
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(e.WorkDir, name), []byte(here.Replace(text)), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// block is a command of the set-ups: it runs the block, every line of which must
// succeed, print what the page says, and tell no secret.
func block(printed []string) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) > 0 {
			ts.Fatalf("usage: block")
		}
		err := ts.Exec("sh", "-eu", "block.sh")
		tellsNoSecret(ts)
		ts.Check(err)
		stdout := strings.Split(ts.ReadFile("stdout"), "\n")
		for i := range stdout {
			stdout[i] = fold(stdout[i])
		}
		for _, line := range printed {
			if !slices.ContainsFunc(stdout, shows(line)) {
				ts.Fatalf("the page says that it prints %q", line)
			}
		}
	}
}

// TestDocs runs every block of commands in README.md and docs/, against a Redis and an
// emulated Vercel of its own, but those that say why they are not run.
func TestDocs(t *testing.T) {
	t.Parallel()
	all, err := pages.Read("../..")
	require.NoError(t, err)
	ran, not := 0, 0
	for _, p := range all {
		for _, b := range p.Blocks {
			if !slices.Contains(shells, b.Language) {
				continue
			}
			name := fmt.Sprintf("%s:%d", p.Path, b.Line)
			d, err := deedOf(b)
			if !assert.NoError(t, err, name) {
				continue
			}
			if d.reason != "" {
				not++
				t.Logf("%s is not run: %s", name, d.reason)
				continue
			}
			ran++
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				script, printed := commandsOf(b)
				testscript.Run(t, testscript.Params{
					Files:               []string{filepath.Join("testdata/setup", d.setup+".txtar")},
					Setup:               func(e *testscript.Env) error { return w.setupBlock(e, p, script) },
					RequireExplicitExec: true,
					Cmds: map[string]func(*testscript.TestScript, bool, []string){
						"block": block(printed), "exits": exits, "until": until, "fetch": fetch, "sigterm": sigterm,
						"faults": w.faults, "purged": w.purged,
					},
				})
			})
		}
	}
	t.Logf("%d blocks of commands are run, %d are marked as not", ran, not)
	assert.Greater(t, ran, not)
}

var (
	// spoken is a command in the middle of a sentence.
	spoken = regexp.MustCompile("`edgepurge ([^`]+)`")
	// besides are commands in the comment behind one that is run.
	besides = regexp.MustCompile("(?m)# and: (.+)$")
)

// spokenCommands returns what a page says of commands without running them, from
// the word behind "edgepurge" on.
func spokenCommands(text string) []string {
	var commands []string
	for _, m := range spoken.FindAllStringSubmatch(text, -1) {
		commands = append(commands, m[1])
	}
	for _, m := range besides.FindAllStringSubmatch(text, -1) {
		commands = append(commands, strings.Split(m[1], ", ")...)
	}
	return commands
}

// Commands in the middle of sentences, runbooks above all, exist with their flags.
func TestDocs_SpokenCommands(t *testing.T) {
	t.Parallel()
	all, err := pages.Read("../..")
	require.NoError(t, err)
	count := 0
	for _, p := range all {
		for _, command := range spokenCommands(p.Text) {
			count++
			cmd, rest, err := newRoot(&app{}).Find(strings.Fields(command))
			if !assert.NoError(t, err, "%s: %s", p.Path, command) {
				continue
			}
			unknown := cmd.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-")
			assert.False(t, unknown, "%s: %s", p.Path, command)
			if err := cmd.ParseFlags(rest); !errors.Is(err, pflag.ErrHelp) {
				assert.NoError(t, err, "%s: %s", p.Path, command)
			}
		}
	}
	assert.Greater(t, count, 50)
}

func TestSpokenCommands(t *testing.T) {
	t.Parallel()
	page := "See `edgepurge status --json`, not `redis-cli`.\n```sh\nedgepurge hold list # and: hold release a, dead list\nedgepurge check # Redis\n```\n"
	assert.Equal(t, []string{"status --json", "hold release a", "dead list"}, spokenCommands(page))
}

func TestDeedOf(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		block pages.Block
		want  deed
		fault string
	}{
		{block: pages.Block{Text: "edgepurge status\n"}, want: deed{setup: "plain"}},
		{block: pages.Block{Text: "edgepurge status\n", Mark: "run: worker"}, want: deed{setup: "worker"}},
		{block: pages.Block{Text: "kubectl get pods\n", Mark: "not run: needs a Kubernetes cluster"}, want: deed{reason: "needs a Kubernetes cluster"}},
		{block: pages.Block{Language: "console", Text: "$ edgepurge status\n…\n"}, want: deed{setup: "plain"}},
		{block: pages.Block{Text: "kubectl get pods\n", Mark: "not run: "}, fault: "gives no reason"},
		{block: pages.Block{Text: "kubectl get pods\n", Mark: "not run"}, fault: "gives no reason"},
		{block: pages.Block{Text: "edgepurge status\n", Mark: "run: "}, fault: "neither"},
		{block: pages.Block{Text: "edgepurge status\n", Mark: "runs: worker"}, fault: "neither"},
		{block: pages.Block{Text: "export VERCEL_TOKEN=…\n"}, fault: "cannot be run"},
	} {
		got, err := deedOf(test.block)
		assert.Equal(t, test.want, got)
		if test.fault == "" {
			assert.NoError(t, err)
		} else {
			assert.ErrorContains(t, err, test.fault)
		}
	}
}

func TestShows(t *testing.T) {
	t.Parallel()
	assert.True(t, shows("receipt …: 2 items")("receipt 01K: 2 items"))
	assert.False(t, shows("receipt …: 2 items")("receipt 01K: 2 items in 1 task"))
	assert.False(t, shows("1.5 s")("105 s"))
}

func TestCommandsOf(t *testing.T) {
	t.Parallel()
	script, printed := commandsOf(pages.Block{Language: "sh", Text: "a\n$ b\n"})
	assert.Equal(t, "a\n$ b\n", script)
	assert.Empty(t, printed)
	script, printed = commandsOf(pages.Block{Language: "console", Text: "$ a \\\n$   --b\nx   1\n\n…\n$ c\n"})
	assert.Equal(t, "a \\\n  --b\nc\n", script)
	assert.Equal(t, []string{"x 1"}, printed)
}
