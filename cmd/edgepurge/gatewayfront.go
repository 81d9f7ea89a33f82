package main

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/edgepurge/edgepurge/enqueue/webhook"
	"github.com/edgepurge/edgepurge/internal/deadletter"
)

// front hands each request to the part that its path belongs to. It is no
// http.ServeMux, which answers unclean paths with redirects: senders of webhooks
// follow none, and some switch a hook off for one.
type front struct {
	hooks   http.Handler
	metrics http.Handler
	ready   http.Handler
	// parts are the others, by the beginning of their paths; a part that is not
	// served is not here.
	parts []part
	// letters is where deliveries go that cannot be mapped.
	letters *deadletter.Box
	// dedupe remembers the deliveries of hooks.
	dedupe *webhook.RedisDedupe
}

// flushWithin bounds the wait for Redis at the end.
const flushWithin = time.Second

// flush waits until what was answered is remembered, when no more requests come.
func (f *front) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushWithin)
	defer cancel()
	return f.dedupe.Flush(ctx)
}

// part serves the paths that begin with one of its prefixes, whole elements of a
// path: "/a" and "/a/" serve "/a/b", and "/a" serves "/a" as well.
type part struct {
	prefixes []string
	handler  http.Handler
}

var _ http.Handler = (*front)(nil)

// ServeHTTP implements http.Handler.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, webhook.Prefix) { // they bound their bodies themselves
		f.hooks.ServeHTTP(w, r)
		return
	}
	withoutWaiting(f.handler(r)).ServeHTTP(w, r)
}

// handler returns what serves a path that is not a webhook's.
func (f *front) handler(r *http.Request) http.Handler {
	path := r.URL.Path
	switch path {
	case "/metrics":
		return readOnly(f.metrics)
	case "/healthz":
		return readOnly(http.HandlerFunc(alive))
	case "/readyz":
		return readOnly(f.ready)
	}
	for _, p := range f.parts {
		for _, prefix := range p.prefixes {
			if path == prefix || strings.HasPrefix(path, strings.TrimSuffix(prefix, "/")+"/") {
				return p.handler
			}
		}
	}
	return status404
}

// asksForPurges tells the requests that have a trace: those that may end in a purge.
func asksForPurges(r *http.Request) bool {
	return r.Method == http.MethodPost && (strings.HasPrefix(r.URL.Path, webhook.Prefix) || strings.HasPrefix(r.URL.Path, "/v1/"))
}

// status404 is for paths that nothing serves.
var status404 = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusNotFound)
	_, _ = w.Write([]byte(`{"error":"not found"}`))
})

// readOnly lets a handler be asked, not told.
func readOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		h.ServeHTTP(w, r)
	})
}
