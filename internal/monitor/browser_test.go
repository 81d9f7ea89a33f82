package monitor

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/hibiken/asynq"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/deadletter"
	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// chromium is a headless browser; complaints are what its console says.
type chromium struct {
	context.Context
	t          *testing.T
	mu         sync.Mutex
	complaints []string
}

func newChromium(t *testing.T) *chromium {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed: no browser looks at the web UI")
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(profile(t)))
	ctx, stop := context.WithTimeout(t.Context(), 90*time.Second)
	t.Cleanup(stop)
	ctx, stopAllocator := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(stopAllocator)
	ctx, stopTab := chromedp.NewContext(ctx)
	t.Cleanup(stopTab)
	c := &chromium{Context: ctx, t: t}
	chromedp.ListenTarget(ctx, func(event any) {
		c.mu.Lock()
		defer c.mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			c.complaints = append(c.complaints, e.ExceptionDetails.Error())
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
				c.complaints = append(c.complaints, fmt.Sprintf("console: %s", e.Args[0].Value))
			}
		case *log.EventEntryAdded:
			if e.Entry.Level == log.LevelError || e.Entry.Level == log.LevelWarning {
				c.complaints = append(c.complaints, e.Entry.Text+" "+e.Entry.URL)
			}
		}
	})
	c.run(log.Enable())
	return c
}

func (c *chromium) run(actions ...chromedp.Action) {
	c.t.Helper()
	require.NoError(c.t, chromedp.Run(c, actions...))
}

// takeComplaints returns what the console said since last time.
func (c *chromium) takeComplaints() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.complaints
	c.complaints = nil
	return all
}

// sees waits until the page holds a text.
func (c *chromium) sees(text string) {
	c.t.Helper()
	var body string
	for start := time.Now(); time.Since(start) < 20*time.Second; time.Sleep(100 * time.Millisecond) {
		c.run(chromedp.Evaluate("document.body ? document.body.innerText : ''", &body))
		if strings.Contains(body, text) {
			return
		}
	}
	c.t.Fatalf("the page does not show %q but\n%s", text, body)
}

// picture saves what is seen into the folder of EDGEPURGE_PICTURES, if that is set.
func (c *chromium) picture(name string) {
	c.t.Helper()
	folder := os.Getenv("EDGEPURGE_PICTURES")
	if folder == "" {
		return
	}
	var png []byte
	c.run(chromedp.CaptureScreenshot(&png))
	require.NoError(c.t, os.WriteFile(filepath.Join(folder, name+".png"), png, 0o600))
}

// linkCoversNothing tells that our link lies within asynqmon's bar.
const linkCoversNothing = `document.querySelector(".edgepurge-link").getBoundingClientRect().bottom <= document.querySelector("header").getBoundingClientRect().bottom`

// is evaluates a condition.
func (c *chromium) is(condition string) bool {
	c.t.Helper()
	var ok bool
	c.run(chromedp.Evaluate(condition, &ok))
	return ok
}

// scrolls reports whether the page is wider than the window.
func (c *chromium) scrolls() bool {
	var wide bool
	c.run(chromedp.Evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth", &wide))
	return wide
}

func (c *chromium) window(width, height int64, scheme string) {
	c.run(chromedp.EmulateViewport(width, height),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
}

// furnish fills a site with a bit of everything.
func furnish(s *site) {
	for i := range 3 {
		var items []string
		for k := range 40 * (i + 1) {
			items = append(items, fmt.Sprintf("post-%d-%d", i, k))
		}
		s.wait(lane([]string{"prj_blog", "prj_shop", "prj_docs"}[i]), items...)
	}
	urgent := lane("prj_shop")
	urgent.Priority, urgent.Target, urgent.Operation = tasks.Urgent, tasks.Production, tasks.Invalidate
	s.wait(urgent, "product-1", "product-2")
	s.hold(lanes.ScopeProject("prj_docs"), "project_missing", "Vercel answered 404 not_found: Project not found. (x-vercel-id fra1::x7k2p)")
	s.bury("01DEADA", "prj_docs", "project_missing", "guide-1", "guide-2")
	s.bury("01DEADB", "prj_blog", "bad_request", "tag-of-a-dead-call", "<script>alert(1)</script>")
	now := time.Now()
	var calls []lanes.MadeCall
	for i := range 60 {
		c := lanes.MadeCall{
			At: now.Add(time.Duration(i-60) * 4 * time.Second), Account: "acme", Project: "prj_blog", Operation: tasks.Invalidate, Kind: tasks.Tag,
			Items: 16, First: []string{fmt.Sprintf("post-%d", i), "author-7", "home"}, Attempt: 1, Verdict: "done", Status: 200, TookMS: int64(80 + 40*math.Sin(float64(i))),
		}
		switch i % 17 {
		case 3:
			c.Verdict, c.Reason, c.Status, c.Message = "retry", "server_error", 503, "upstream is away"
		case 9:
			c.Project, c.Kind, c.Items, c.First, c.Operation = "prj_shop", tasks.SrcImage, 1, []string{"/images/a-rather-long-path/to/an/image.png"}, tasks.Delete
		case 13:
			c.Verdict, c.Reason, c.Status, c.Message = "dead", "bad_request", 400, "Vercel says no: <script>alert(2)</script>"
		}
		calls = append(calls, c)
	}
	s.called(calls...)
	var seconds []lanes.Second
	for i := range int64(280) {
		n := int(3 + 3*math.Sin(float64(i)/20) + float64(i%5)/2)
		x := lanes.Second{Unix: now.Unix() - 280 + i, Calls: n, Items: 14 * n}
		if i > 150 && i < 165 {
			x.Failed = n / 2
		}
		seconds = append(seconds, x)
	}
	require.NoError(s.t, s.lanes.NoteCalls(context.Background(), nil, seconds))
}

func TestBrowser(t *testing.T) {
	c := newChromium(t)
	s := newSiteOn(t, redistest.Start(t).Client(t), func(c *Config) {
		c.Spreads = []Spread{{Account: "acme", Project: "*", Rate: 20, Burst: 100}}
	})
	s.pace.Rate, s.pace.Burst = 20, 100
	furnish(s)
	worker := asynq.NewServerFromRedisClient(s.rdb, asynq.Config{Queues: map[string]int{tasks.QueueUrgent: 1}, LogLevel: asynq.FatalLevel})
	require.NoError(t, worker.Start(asynq.NotFoundHandler()))
	t.Cleanup(worker.Shutdown)
	claimed, err := s.lanes.Claim(t.Context(), s.pace, lane("prj_shop"), "01CLAIM")
	require.NoError(t, err)
	require.NotNil(t, claimed.Batch)

	// A wrong login is refused.
	c.window(1200, 800, "light")
	c.run(chromedp.Navigate(s.server.URL+Root+"/purges"), chromedp.WaitVisible("#password"))
	c.picture("login")
	c.run(chromedp.SendKeys("#user", testUser), chromedp.SendKeys("#password", "guess\r"))
	c.sees("User or password is wrong.")
	require.Len(t, c.takeComplaints(), 1, "the console tells of the 401")

	// The right one leads to our page.
	c.run(chromedp.SendKeys("#password", testPassword+"\r")) // the user is still there
	c.sees("prj_blog")
	c.sees("<script>alert(2)</script>") // as a text
	assert.Empty(t, c.takeComplaints())
	c.window(1200, 1700, "light")
	c.picture("desktop")
	for _, size := range []int64{390, 768, 1400} {
		for _, scheme := range []string{"dark", "light"} {
			c.window(size, 1700, scheme)
			assert.False(t, c.scrolls(), "at %d px it scrolls sideways", size)
			c.picture(fmt.Sprintf("%s-%d", scheme, size))
		}
	}
	c.window(1200, 800, "light")

	// It follows what happens, and the focus stays where it is.
	c.run(chromedp.Focus(`button[aria-label^="Release"]`, chromedp.ByQuery))
	s.wait(lane("prj_late"), "late")
	c.sees("prj_late")
	var focused string
	c.run(chromedp.Evaluate("document.activeElement.innerText", &focused))
	assert.Equal(t, "Release", focused)

	// The button of a hold, pressed by the keyboard, releases it.
	require.Len(t, s.holds(), 1)
	c.run(chromedp.KeyEvent("\r"))
	c.sees("Released: what waited goes on.")
	c.window(1400, 800, "light")
	c.picture("notice")
	assert.True(t, c.is(`document.querySelector(".notice").getBoundingClientRect().left === document.querySelector(".headline").getBoundingClientRect().left`), "the notice is in line with the page")
	assert.Empty(t, s.holds())
	assert.Empty(t, c.takeComplaints())

	// Replay takes the letters of one reason away.
	c.run(chromedp.Click(`button[aria-label="Replay 1 dead letters with reason project_missing"]`, chromedp.ByQuery))
	c.sees("Replayed 1 dead letter.")
	letters, err := s.letters.List(t.Context(), deadletter.Filter{})
	require.NoError(t, err)
	assert.Len(t, letters, 1)

	// asynqmon loads and shows the tags of an archived call.
	c.run(chromedp.Navigate(s.server.URL + Root + "/"))
	c.sees("edgepurge-calls")
	c.picture("asynqmon")
	c.window(390, 800, "light")
	c.picture("asynqmon-390")
	assert.True(t, c.is("document.querySelector('main').getBoundingClientRect().width > 300"), "the drawer leaves room on a phone")
	assert.True(t, c.is(linkCoversNothing), "our link lies in the bar")
	c.window(1200, 800, "light")
	assert.True(t, c.is(linkCoversNothing), "our link lies in the bar")
	c.run(chromedp.Navigate(s.server.URL + Root + "/queues/edgepurge-calls/tasks/01DEADB"))
	c.sees("tag-of-a-dead-call")
	c.sees("Vercel answered 400 bad_request: Vercel says no")
	c.picture("asynqmon-task")
	assert.Empty(t, c.takeComplaints())
}

// profile is a folder for a browser, some processes of which may write into it for a
// moment after the first has ended: t.TempDir would take that for a fault.
func profile(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "edgepurge-browser")
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.Eventually(t, func() bool { return os.RemoveAll(dir) == nil }, 10*time.Second, 50*time.Millisecond)
	})
	return dir
}
