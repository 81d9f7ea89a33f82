package layout

import (
	"errors"
	"fmt"
	"go/build"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	module = "github.com/edgepurge/edgepurge"
	root   = "../.."
)

// rule says what the packages of a pattern may import from this module. A
// pattern is a folder, or a folder and all below it ("x/..."). A package always
// may import its own test helpers and what its rule names, nothing else.
type rule struct {
	packages string
	imports  []string
	// stdlib forbids third-party packages too.
	stdlib bool
}

// rules is the graph of imports, cmd → configs → {enqueue, worker} → tasks; the
// first rule that matches a package counts.
//
// A new package goes here, and its rule is an answer to: who must be able to
// build without it?
var rules = []rule{
	{packages: "cmd/...", imports: []string{"..."}},
	{packages: "configs", imports: []string{"enqueue/...", "worker", "tasks", "internal/redisurl", "internal/proxies"}},
	{packages: "enqueue/...", imports: []string{"enqueue/...", "tasks", "internal/..."}},
	{packages: "worker", imports: []string{"worker/lanes", "tasks", "internal/..."}},
	{packages: "worker/...", imports: []string{"tasks", "internal/..."}}, // a part of the pipeline does not know the pipeline
	// Who merely enqueues imports tasks, and gets nothing else with it.
	{packages: "tasks", stdlib: true},

	{packages: "internal/vercel", imports: []string{"tasks"}},
	{packages: "internal/vercel/api", imports: []string{"tasks"}},
	{packages: "internal/vercel/emulator", imports: []string{"tasks", "internal/vercel", "internal/vercel/api", "internal/local"}},
	{packages: "internal/redisurl"},
	{packages: "internal/proxies", stdlib: true},
	{packages: "internal/local", stdlib: true},
	{packages: "internal/early", stdlib: true}, // the less it imports, the earlier it is
	{packages: "internal/redisacl"},
	{packages: "internal/redisaway"},
	{packages: "internal/redisgroup"},
	{packages: "internal/receipt", stdlib: true},
	{packages: "internal/spans"},
	{packages: "internal/tracing", imports: []string{"internal/spans"}},
	{packages: "internal/redistest"},
	{packages: "internal/tcpproxy", stdlib: true},
	{packages: "internal/loglines", stdlib: true},
	{packages: "internal/layout"},
	{packages: "internal/pages", stdlib: true},   // imported by tests that hold the pages true
	{packages: "internal/tagfile", stdlib: true}, // apart from cmd, whose fuzzing would instrument everything
	{packages: "internal/queues", imports: []string{"tasks", "internal/redisacl"}},
	{packages: "internal/deadletter", imports: []string{"enqueue", "tasks", "internal/queues", "worker/lanes"}},
	{packages: "internal/overview", imports: []string{"worker/lanes", "tasks", "internal/queues"}},
	{packages: "internal/monitor", imports: []string{"worker/lanes", "enqueue", "internal/deadletter", "internal/overview", "internal/proxies", "internal/queues", "tasks"}},
	{packages: "internal/plan", imports: []string{"worker/lanes", "tasks"}},                // its tests only: against the scripts of the worker
	{packages: "internal/history", imports: []string{"tasks", "internal/vercel/emulator"}}, // test text may import more
	{packages: "internal/prodredis", imports: []string{"..."}},                             // runs the whole on real Redis set-ups
	{packages: "internal/bench", imports: []string{"..."}},                                 // measures the whole; nothing imports it
	{packages: "internal/compare", imports: []string{"..."}},                               // puts the whole beside others; nothing imports it
	{packages: "internal/chaos", imports: []string{"..."}},                                 // breaks the whole; nothing imports it
}

// apart are pairs that no rule may bring together, whatever it says.
var apart = [][2]string{
	{"enqueue/...", "worker/..."},
	{"worker/...", "enqueue/..."},
	{"internal/vercel/...", "worker/..."},
	{"internal/vercel/...", "enqueue/..."},
	// Who enqueues, and the pipeline, know the API of OpenTelemetry and not its SDK.
	{"enqueue/...", "internal/tracing"},
	{"worker/...", "internal/tracing"},
}

// helpers may be imported by the tests of every package, and by no other code
// but theirs and the commands that embed them.
var helpers = []string{"internal/redistest", "internal/tcpproxy", "internal/loglines", "internal/vercel/emulator", "internal/pages"}

func matches(pattern, pkg string) bool {
	folder, below := strings.CutSuffix(pattern, "...")
	if !below {
		return pattern == pkg
	}
	return folder == "" || pkg+"/" == folder || strings.HasPrefix(pkg, folder)
}

func matchesAny(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, pkg) })
}

// faults returns what is wrong with the imports of one package. Paths of this
// module are without its prefix.
func faults(pkg string, imports []string, test bool) []string {
	i := slices.IndexFunc(rules, func(r rule) bool { return matches(r.packages, pkg) })
	if i < 0 {
		return []string{fmt.Sprintf("package %s has no rule: add it to rules in internal/layout/imports_test.go", pkg)}
	}
	r := rules[i]
	var found []string
	for _, imported := range imports {
		own, ours := strings.CutPrefix(imported, module+"/")
		if !ours {
			first, _, _ := strings.Cut(imported, "/")
			if r.stdlib && !test && strings.Contains(first, ".") {
				found = append(found, fmt.Sprintf("%s imports %s: it may import the standard library only", pkg, imported))
			}
			continue
		}
		allowed := matchesAny(r.imports, own)
		if slices.Contains(helpers, own) {
			allowed = test || matches("cmd/...", pkg) || pkg == "internal/bench"
		}
		for _, pair := range apart {
			if matches(pair[0], pkg) && matches(pair[1], own) {
				allowed = false
			}
		}
		if own == pkg && test { // package x_test
			allowed = true
		}
		if !allowed {
			found = append(found, fmt.Sprintf("%s imports %s: it may import %s from this module (internal/layout/imports_test.go)",
				pkg, own, orNothing(r.imports)))
		}
	}
	return found
}

func orNothing(patterns []string) string {
	if len(patterns) == 0 {
		return "nothing"
	}
	return strings.Join(patterns, ", ")
}

func TestImports(t *testing.T) {
	t.Parallel()
	context := build.Default
	context.UseAllFiles = true // a file under a build tag is held to the rules too
	packages := 0
	require.NoError(t, filepath.WalkDir(root, func(dir string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		if name := entry.Name(); dir != root && (name == "testdata" || name[0] == '.' || name[0] == '_') {
			return fs.SkipDir
		}
		pkg, err := context.ImportDir(dir, 0)
		if _, none := errors.AsType[*build.NoGoError](err); none {
			return nil
		}
		if err != nil {
			return err
		}
		packages++
		relative, err := filepath.Rel(root, dir)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(relative)
		for _, fault := range slices.Concat(
			faults(name, pkg.Imports, false),
			faults(name, slices.Concat(pkg.TestImports, pkg.XTestImports), true),
		) {
			t.Error(fault)
		}
		return nil
	}))
	require.Greater(t, packages, 1, "%s is not the root of the module", root)
}

// The rules themselves: what they must let pass and what they must refuse.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pkg, imported string
		test          bool
		want          string // part of the fault; "" is allowed
	}{
		{"tasks", "encoding/json", false, ""},
		{"tasks", "github.com/rs/zerolog", false, "standard library only"},
		{"tasks", "github.com/stretchr/testify/require", true, ""},
		{"tasks", "./worker", false, "may import nothing"},
		{"tasks", "./tasks", true, ""},
		{"enqueue", "./tasks", false, ""},
		{"enqueue", "./internal/redisurl", false, ""},
		{"enqueue", "./worker", false, "enqueue imports worker"},
		{"enqueue", "./worker", true, "enqueue imports worker"},
		{"enqueue", "./worker/lanes", false, "enqueue imports worker/lanes"},
		{"enqueue/webhook", "./enqueue", false, ""},
		{"enqueue/webhook", "./worker", false, "enqueue/webhook imports worker"},
		{"enqueue", "./configs", false, "enqueue imports configs"},
		{"enqueue", "./internal/redistest", true, ""},
		{"enqueue", "./internal/spans", false, ""},
		{"enqueue", "./internal/tracing", false, "enqueue imports internal/tracing"},
		{"worker", "./internal/tracing", false, "worker imports internal/tracing"},
		{"enqueue", "./internal/redistest", false, "enqueue imports internal/redistest"},
		{"worker", "./internal/vercel", false, ""},
		{"worker", "./internal/vercel/emulator", false, "worker imports internal/vercel/emulator"},
		{"worker", "./internal/vercel/emulator", true, ""},
		{"worker", "./worker/lanes", false, ""},
		{"worker", "./enqueue", false, "worker imports enqueue"},
		{"worker", "./enqueue", true, "worker imports enqueue"},
		{"worker/lanes", "./tasks", false, ""},
		{"worker/lanes", "./worker", false, "worker/lanes imports worker"},
		{"worker/lanes", "./enqueue/webhook", false, "worker/lanes imports enqueue/webhook"},
		{"configs", "./enqueue/webhook", false, ""},
		{"configs", "./worker", false, ""},
		{"configs", "./worker/lanes", false, "configs imports worker/lanes"},
		{"configs", "./cmd/edgepurge", false, "configs imports cmd/edgepurge"},
		{"internal/vercel", "./tasks", false, ""},
		{"internal/vercel", "./worker", false, "internal/vercel imports worker"},
		{"internal/vercel", "./worker", true, "internal/vercel imports worker"},
		{"cmd/edgepurge", "./configs", false, ""},
		{"cmd/edgepurge", "./internal/vercel/emulator", false, ""},
		{"pkg/util", "strings", false, "add it to rules in internal/layout/imports_test.go"},
		{"workers", "strings", false, "package workers has no rule"},
	} {
		t.Run(fmt.Sprintf("%s-%s-%t", test.pkg, path.Base(test.imported), test.test), func(t *testing.T) {
			t.Parallel()
			imported := test.imported
			if own, ours := strings.CutPrefix(imported, "./"); ours {
				imported = module + "/" + own
			}
			found := faults(test.pkg, []string{imported}, test.test)
			if test.want == "" {
				assert.Empty(t, found)
				return
			}
			require.Len(t, found, 1)
			assert.Contains(t, found[0], test.want)
		})
	}
}
