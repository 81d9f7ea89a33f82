package plan

import (
	"context"
	"fmt"
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
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func examplePage(t *testing.T) (*Plan, string) {
	t.Helper()
	p, err := Make(example())
	require.NoError(t, err)
	page, err := Page(p, "spread: {rate: 1} # </pre><script>alert(1)</script>")
	require.NoError(t, err)
	return p, string(page)
}

// The page holds all that it needs, and what it shows is text.
func TestPage_IsSelfContained(t *testing.T) {
	t.Parallel()
	p, page := examplePage(t)
	for _, foreign := range []string{"<script", "http:", "https:", "src=", "@import", "ZgotmplZ", "NaN", "Inf"} {
		assert.NotContains(t, page, foreign)
	}
	assert.Contains(t, page, p.Headline())
	assert.Equal(t, len(p.Ways), strings.Count(page, "<svg "))
	for _, w := range p.Ways {
		assert.Contains(t, page, "<h3>"+w.Name)
	}
	assert.Less(t, len(page), 150_000)
}

func TestPage_InABrowser(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed: no browser looks at the page")
	}
	_, page := examplePage(t)
	file := filepath.Join(t.TempDir(), "plan.html")
	require.NoError(t, os.WriteFile(file, []byte(page), 0o600))
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(profile(t)))
	ctx, stop := context.WithTimeout(t.Context(), 90*time.Second)
	defer stop()
	ctx, stopAllocator := chromedp.NewExecAllocator(ctx, options...)
	defer stopAllocator()
	ctx, stopTab := chromedp.NewContext(ctx)
	defer stopTab()
	var mu sync.Mutex
	var complaints []string
	chromedp.ListenTarget(ctx, func(event any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			complaints = append(complaints, e.ExceptionDetails.Error())
		case *runtime.EventConsoleAPICalled:
			complaints = append(complaints, fmt.Sprintf("console: %s", e.Type))
		case *log.EventEntryAdded:
			complaints = append(complaints, e.Entry.Text+" "+e.Entry.URL)
		case *network.EventRequestWillBeSent:
			if u := e.Request.URL; !strings.HasPrefix(u, "file:") && !strings.HasPrefix(u, "data:") {
				complaints = append(complaints, "asks for "+u)
			}
		}
	})
	require.NoError(t, chromedp.Run(ctx, log.Enable(), network.Enable(), chromedp.Navigate("file://"+file)))
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{375, 768, 1200} {
			var wide bool
			var png []byte
			require.NoError(t, chromedp.Run(ctx,
				chromedp.EmulateViewport(width, 900),
				emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
				chromedp.Evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth", &wide),
				chromedp.FullScreenshot(&png, 100),
			))
			assert.False(t, wide, "at %d px it scrolls sideways", width)
			if folder := os.Getenv("EDGEPURGE_PICTURES"); folder != "" {
				require.NoError(t, os.WriteFile(filepath.Join(folder, fmt.Sprintf("plan-%s-%d.png", scheme, width)), png, 0o600))
			}
		}
	}
	mu.Lock()
	defer mu.Unlock()
	assert.Empty(t, complaints)
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
