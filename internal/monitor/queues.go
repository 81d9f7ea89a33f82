package monitor

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"

	"github.com/hibiken/asynq"
	"github.com/hibiken/asynqmon"
	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/internal/queues"
)

// queueUI serves asynqmon, with one index page instead of its own: without the
// fonts that it loads from elsewhere, with a way to our page, and with a policy
// that lets run only the scripts that it came with.
type queueUI struct {
	asynqmon http.Handler
	info     http.Handler // asynqmon with a client whose kind it knows, for Redis's own figures
	list     *queueList
	guard    *guard
	index    []byte
	policy   string
}

// sharedRedis makes asynqmon use a client that exists, of whatever kind. asynqmon
// must not be closed, as it would close it.
type sharedRedis struct{ rdb redis.UniversalClient }

// MakeRedisClient implements asynq.RedisConnOpt.
func (s sharedRedis) MakeRedisClient() any { return s.rdb }

func newQueues(rdb redis.UniversalClient, readOnly bool) (*queueUI, error) {
	light := queues.Light{UniversalClient: rdb}
	inspector := asynq.NewInspectorFromRedisClient(light)
	options := asynqmon.Options{
		RootPath: Root, RedisConnOpt: sharedRedis{light}, ReadOnly: readOnly,
		PayloadFormatter: asynqmon.PayloadFormatterFunc(formatPayload),
		ResultFormatter:  asynqmon.ResultFormatterFunc(formatResult),
	}
	q := &queueUI{
		asynqmon: asynqmon.New(options),
		list:     &queueList{rdb: rdb, inspector: inspector},
		guard:    &guard{rdb: rdb},
	}
	options.RedisConnOpt = sharedRedis{rdb}
	q.info = asynqmon.New(options)
	var page pageBuffer
	q.asynqmon.ServeHTTP(&page, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: Root + "/"}})
	if !bytes.Contains(page.Bytes(), []byte(`<div id="root">`)) {
		return nil, fmt.Errorf("asynqmon has no index page: it answered %.200q", page.String())
	}
	q.index = adapt(page.Bytes())
	q.policy = policyOf(q.index)
	return q, nil
}

// pageBuffer takes an answer in.
type pageBuffer struct{ bytes.Buffer }

// Header implements http.ResponseWriter.
func (*pageBuffer) Header() http.Header { return http.Header{} }

// WriteHeader implements http.ResponseWriter.
func (*pageBuffer) WriteHeader(int) {}

var (
	// Other hosts, and the manifest, which browsers fetch without our cookie.
	elsewhere    = regexp.MustCompile(`<link [^>]*(?:href="https?://|rel="manifest")[^>]*>`)
	inlineScript = regexp.MustCompile(`(?s)<script>(.*?)</script>`)
)

// adapt takes what an index page loads from other hosts out, and puts our link in.
func adapt(index []byte) []byte {
	index = elsewhere.ReplaceAll(index, nil)
	index = bytes.Replace(index, []byte("</head>"), []byte(`<link rel="stylesheet" href="`+Root+`/ui/style.css"/></head>`), 1)
	return bytes.Replace(index, []byte(`<div id="root">`),
		[]byte(`<a class="edgepurge-link" href="`+Root+`/purges"><span>edgepurge: </span>purges</a><div id="root">`), 1)
}

// policyOf allows the inline scripts of a page by their hashes. asynqmon's
// components write their styles into the page, which cannot be forbidden.
func policyOf(index []byte) string {
	var hashes strings.Builder
	for _, m := range inlineScript.FindAllSubmatch(index, -1) {
		sum := sha256.Sum256(m[1])
		hashes.WriteString(" 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'")
	}
	return "default-src 'none'; script-src 'self'" + hashes.String() + "; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; " +
		"connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
}

func (q *queueUI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ext := path.Ext(r.URL.Path)
	switch {
	case strings.HasPrefix(r.URL.Path, Root+"/api/"):
		if q.guard.serve(w, r) {
			return
		}
		q.api(r).ServeHTTP(&typedWriter{ResponseWriter: w, contentType: contentTypes[".json"]}, r)
	case !isRead(r):
		allow(w, r, http.MethodGet)
	case ext == ".map": // only for who builds asynqmon
		http.NotFound(w, r)
	case contentTypes[ext] != "":
		w.Header().Set("Cache-Control", "private, max-age=3600")
		q.asynqmon.ServeHTTP(&typedWriter{ResponseWriter: w, contentType: contentTypes[ext]}, r)
	default: // its own routes, which its script reads
		w.Header().Set("Content-Security-Policy", q.policy)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(q.index) //nolint:gosec // asynqmon's own page, the same for everybody
	}
}

// api is what answers a request that the guard lets through.
func (q *queueUI) api(r *http.Request) http.Handler {
	switch {
	case isRead(r) && r.URL.Path == Root+"/api/queues":
		return q.list
	case r.URL.Path == Root+"/api/redis_info":
		return q.info
	}
	return q.asynqmon
}

// typedWriter says of what type a good answer is; asynqmon guesses, and browsers
// were told not to.
type typedWriter struct {
	http.ResponseWriter
	contentType string
	begun       bool
}

// WriteHeader implements http.ResponseWriter.
func (w *typedWriter) WriteHeader(status int) {
	w.begun = true
	if status < http.StatusMultipleChoices {
		w.Header().Set("Content-Type", w.contentType)
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *typedWriter) Write(p []byte) (int, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}
