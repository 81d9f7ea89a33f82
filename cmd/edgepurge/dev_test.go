package main

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/configs"
	"github.com/edgepurge/edgepurge/enqueue"
	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/internal/vercel/emulator"
	"github.com/edgepurge/edgepurge/tasks"
)

// runDev runs dev until told matches what it prints, for as long as which does
// something with the Redis that it names.
func runDev(t *testing.T, env map[string]string, args []string, use func(redis string), told string) (stdout, stderr string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	var out, errs screen
	listening := make(chan string, 1)
	address := regexp.MustCompile(`Redis: "([^"]+)"`)
	pattern := regexp.MustCompile(told)
	out.seen = func(text string) {
		if m := address.FindStringSubmatch(text); m != nil {
			select {
			case listening <- m[1]:
			default:
			}
		}
		if pattern.MatchString(text) {
			stop()
		}
	}
	code := make(chan int)
	go func() {
		code <- run(ctx, append([]string{"dev", "--listen", anyPort}, args...), strings.NewReader(""), &out, &errs, func(name string) string { return env[name] })
	}()
	select {
	case url := <-listening:
		use(url)
	case c := <-code:
		t.Fatalf("dev ended with %d: %s", c, errs.String())
	}
	assert.Equal(t, exitDone, <-code, errs.String())
	assert.Regexp(t, told, out.String(), errs.String())
	return out.String(), errs.String()
}

// purge asks for a purge as the developer's application would.
func purge(t *testing.T, url string, p tasks.Purge) {
	t.Helper()
	client, err := enqueue.New(enqueue.Config{Redis: url})
	require.NoError(t, err)
	defer client.Close()
	p.Operation = tasks.Delete
	if p.Project == "" {
		p.Project = "demo"
	}
	_, err = client.Purge(t.Context(), p)
	require.NoError(t, err)
}

func TestDev(t *testing.T) { //nolint:paralleltest // it looks for goroutines that are left
	anywhere := []string{"--redis-listen", anyPort, "--emulator-listen", anyPort}
	t.Run("emulated", func(t *testing.T) {
		leavesNothing(t)
		stdout, stderr := runDev(t, nil, anywhere, func(url string) {
			deadline := 60
			purge(t, url, tasks.Purge{Tags: []string{"a", "b"}, Target: tasks.Production, DeadlineSeconds: &deadline, Priority: tasks.Urgent})
		}, `\d\d:\d\d:\d\d  200  demo  delete +tag +a, b  \(production\)  \(within 60 s\)`)
		assert.Contains(t, stdout, "FORGETS EVERYTHING")
		assert.Contains(t, stdout, "EMULATED")
		assert.Contains(t, stdout, "5 calls in any 1m")
		assert.Equal(t, "stopping: the calls in hand end\n", stderr)
	})
	t.Run("fast", func(t *testing.T) {
		leavesNothing(t)
		stdout, _ := runDev(t, nil, append(anywhere, "--fast"), func(url string) {
			for project := range strings.FieldsSeq("p1 p2 p3 p4 p5 p6") { // more calls than 5
				purge(t, url, tasks.Purge{Project: project, Tags: []string{"a"}, Priority: tasks.Urgent})
			}
		}, `(?s)(  200  p.*){6}`)
		assert.Contains(t, stdout, "unlimited")
	})
	t.Run("own Redis", func(t *testing.T) {
		leavesNothing(t)
		_, m := redistest.Mini(t)
		own := "redis://" + m.Addr() + "/0"
		stdout, _ := runDev(t, nil, []string{"--redis", own, "--emulator-listen", anyPort}, func(url string) {
			assert.Equal(t, own, url)
			purge(t, url, tasks.Purge{SrcImages: []string{"/x.png"}, Priority: tasks.Urgent})
		}, `200  demo  delete +src-image +/x.png`)
		assert.NotContains(t, stdout, "FORGETS")
	})
	t.Run("with a token", func(t *testing.T) {
		leavesNothing(t)
		w := newWorld(t)
		env := map[string]string{"VERCEL_TOKEN": secretToken, "EDGEPURGE_VERCEL_URL": w.vercel, "EDGEPURGE_LOG": "debug"}
		stdout, stderr := runDev(t, env, []string{"--redis-listen", anyPort}, func(url string) {
			purge(t, url, tasks.Purge{Tags: []string{"a", "b"}, Priority: tasks.Urgent})
		}, `200  demo  delete +tag +2 items`)
		assert.Contains(t, stdout, "REAL API at "+w.vercel)
		assert.Contains(t, stderr, "absorbed", "level debug shows the worker's log")
		assert.NotContains(t, stdout+stderr, secretToken)
		assert.True(t, w.hasPurged("a"))
	})
}

func TestDev_Refuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		env  map[string]string
		args []string
		code int
		want string
	}{
		{"token and emulator", map[string]string{"VERCEL_TOKEN": "t"}, []string{"--emulator-listen", anyPort}, exitUsage, "unset one of them"},
		{"token and fast", map[string]string{"VERCEL_TOKEN": "t"}, []string{"--fast"}, exitUsage, "--fast lifts"},
		{"another API without a token", map[string]string{"EDGEPURGE_VERCEL_URL": "http://localhost:1"}, nil, exitUsage, "VERCEL_TOKEN is not set"},
		{"two Redis", nil, []string{"--redis", "redis://localhost", "--redis-listen", anyPort}, exitUsage, "Give one of them"},
		{"no Redis there", nil, []string{"--redis", "redis://127.0.0.1:1/0"}, exitFailed, "leave --redis out"},
		{"no Redis URL", nil, []string{"--redis", "localhost"}, exitFailed, "redis URL"},
		{"unreadable configuration", nil, []string{"--config", "/nowhere.yaml"}, exitFailed, "/nowhere.yaml"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr screen
			code := run(t.Context(), append([]string{"dev"}, test.args...), strings.NewReader(""), &stdout, &stderr, func(name string) string { return test.env[name] })
			assert.Equal(t, test.code, code)
			assert.Contains(t, stderr.String(), test.want)
			assert.Empty(t, stdout.String())
		})
	}
}

func TestListed(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "a, b", listed([]string{"a", "b"}))
	assert.Equal(t, "a, b, c, d, e, f, g", listed(strings.Split("abcdefg", "")), "one more takes no more room than saying so")
	assert.Equal(t, "a, b, c, d, e, f and 2 more", listed(strings.Split("abcdefgh", "")))
}

func TestBudgetText(t *testing.T) {
	t.Parallel()
	account := configs.Default().Worker.Accounts[0]
	assert.Contains(t, budgetText(account, true), "--fast")
	assert.NotContains(t, budgetText(account, false), "--fast", "the real API has a limit")
}

func TestWider(t *testing.T) {
	t.Parallel()
	five, six := emulator.Limit{Calls: 5, Per: time.Minute}, emulator.Limit{Calls: 1, Per: 10 * time.Second}
	assert.Equal(t, five, wider(emulator.Limit{}, five, true))
	assert.Equal(t, six, wider(five, six, false))
	assert.Equal(t, six, wider(six, five, false))
	assert.Zero(t, wider(five, emulator.Limit{}, false), "unlimited")
	assert.Zero(t, wider(emulator.Limit{}, five, false))
}
