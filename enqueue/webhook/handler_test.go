package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/tasks"
)

// desk is a Handler and all that it does.
type desk struct {
	*Handler
	mu      sync.Mutex
	purges  []tasks.Purge
	letters []Letter
	counts  map[Outcome]int
	log     bytes.Buffer
	// enqueue and dead, if set, replace taking things in.
	enqueue func(context.Context, tasks.Purge) error
	dead    func(context.Context, Letter) error
}

func newDesk(tb testing.TB, dedupe Dedupe, sources ...Source) *desk {
	tb.Helper()
	d := &desk{counts: map[Outcome]int{}}
	var hooks []*Hook
	for _, s := range sources {
		hooks = append(hooks, compiled(tb, s))
	}
	var err error
	d.Handler, err = NewHandler(Config{
		Enqueue: func(ctx context.Context, p tasks.Purge) (string, error) {
			if d.enqueue != nil {
				return "made-here", d.enqueue(ctx, p)
			}
			d.mu.Lock()
			defer d.mu.Unlock()
			d.purges = append(d.purges, p)
			return fmt.Sprint("request-", len(d.purges)), nil
		},
		Dead: func(ctx context.Context, l Letter) error {
			if d.dead != nil {
				return d.dead(ctx, l)
			}
			d.mu.Lock()
			defer d.mu.Unlock()
			d.letters = append(d.letters, l)
			return nil
		},
		Dedupe: dedupe,
		Count: func(_ string, o Outcome) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.counts[o]++
		},
		Log: zerolog.New(zerolog.SyncWriter(&d.log)),
	}, hooks...)
	require.NoError(tb, err)
	return d
}

// memory is a Dedupe without Redis.
type memory struct {
	mu   sync.Mutex
	ids  map[string]time.Duration
	fail error
	hang bool
}

func (m *memory) Seen(ctx context.Context, source string, ids ...string) (bool, error) {
	if m.hang {
		<-ctx.Done()
		return false, ctx.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		if m.ids[source+id] != 0 {
			return true, m.fail
		}
	}
	return false, m.fail
}

func (m *memory) Mark(ctx context.Context, source string, ttl time.Duration, ids ...string) error {
	if m.hang {
		<-ctx.Done()
		return ctx.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ids == nil {
		m.ids = map[string]time.Duration{}
	}
	for _, id := range ids {
		m.ids[source+id] = ttl
	}
	return m.fail
}

const token = "let-me-in-0123456789"

// plainSource takes {"tags": [...]} and a token.
func plainSource(changes ...func(*Source)) Source {
	s := Source{
		Name: "plain", Secrets: []Secret{token}, Projects: []string{"prj_abc"},
		Override: Preset{Verify: []Verifier{{Kind: KindToken, From: "header.X-Token"}}, Tags: ".tags[]", DeliveryID: []string{"header.X-Id"}},
		Limits:   Limits{MappingTime: 500 * time.Millisecond},
	}
	for _, change := range changes {
		change(&s)
	}
	return s
}

// post delivers a body to plainSource.
func (d *desk) post(body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/hooks/plain", strings.NewReader(body))
	r.Header.Set("X-Token", token)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return d.serve(r)
}

func (d *desk) serve(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

// status checks the form of an answer and returns its status word.
func status(t *testing.T, w *httptest.ResponseRecorder, code int) string {
	t.Helper()
	require.Equal(t, code, w.Code, "%s", w.Body)
	assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
	var answer struct{ Status, ID, Error string }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
	if code == http.StatusOK {
		assert.Len(t, answer.ID, answerIDBytes)
	}
	return answer.Status
}

func TestHandler_Queued(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil, plainSource(func(s *Source) {
		s.Preset.Name = "mine"
		s.Projects = []string{"prj_a", "prj_b"}
		s.TagPrefix, s.Settle, s.Rebound, s.Priority, s.Target = "blog:", 2*time.Second, time.Minute, tasks.Urgent, tasks.Production
		s.Override.Operation = `if .gone then "delete" else "invalidate" end`
		s.Override.SrcImages = ".images[]?"
	}))
	assert.Equal(t, "queued", status(t, d.post(`{"tags":["a","b","a"],"images":["/i.png"],"gone":true}`), 200))
	want := tasks.Purge{
		Project: "prj_a", Operation: tasks.Delete, Tags: []string{"blog:a", "blog:b"}, SrcImages: []string{"/i.png"},
		Target: tasks.Production, Priority: tasks.Urgent, Settle: 2 * time.Second, Rebound: time.Minute, Source: "mine/plain",
	}
	other := want
	other.Project = "prj_b"
	assert.Equal(t, []tasks.Purge{want, other}, d.purges)
	for _, p := range d.purges {
		require.NoError(t, p.Validate())
	}
	assert.Equal(t, "queued", status(t, d.post(`{"tags":[],"images":["/i.png"]}`), 200))
	assert.Equal(t, tasks.AllTargets, d.purges[2].Target, "images alone take none")
	require.NoError(t, d.purges[2].Validate())
	assert.Equal(t, map[Outcome]int{Queued: 2}, d.counts)
}

func TestHandler_Outcomes(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 257)
	for _, test := range []struct {
		name, body string
		change     func(*Source)
		code       int
		word       string
		outcome    Outcome
		purged     int
		letter     string // part of its reason
	}{
		{"queued", `{"tags":["a"]}`, nil, 200, "queued", Queued, 1, ""},
		{"byte order mark", "\ufeff{\"tags\":[\"a\"]}", nil, 200, "queued", Queued, 1, ""},
		{"ignored", `{"tags":["a"]}`, func(s *Source) { s.Override.Accept = "false" }, 200, "ignored", Ignored, 0, ""},
		{"nothing to purge", `{"tags":[]}`, nil, 200, "ignored", NoTags, 0, ""},
		{"not JSON", `hello`, nil, 200, "dead_letter", Dead, 0, "the body is not JSON: "},
		{"two values", `{} {}`, nil, 200, "dead_letter", Dead, 0, "the body is not JSON: there is more"},
		{"not UTF-8", "{\"tags\":[\"\xff\"]}", nil, 200, "dead_letter", Dead, 0, "the body is not UTF-8"},
		{"empty", ``, func(s *Source) { s.Override.Tags = ".tags[]?" }, 200, "dead_letter", Dead, 0, "the body is empty"},
		{"empty, and the tags are fixed", ``, func(s *Source) { s.Override.Tags = `"all-posts"` }, 200, "queued", Queued, 1, ""},
		{"too deep", strings.Repeat("[", 101) + strings.Repeat("]", 101), nil, 200, "dead_letter", Dead, 0, "nested too deeply: the limit is 100"},
		{"expression fails", `{"tags":1}`, nil, 200, "dead_letter", Dead, 0, "tags: cannot iterate over: number (1)"},
		{"expression fails midway", `{"tags":["a"]}`, func(s *Source) { s.Override.Tags = ".tags[], error" }, 200, "dead_letter", Partial, 1, "tags: "},
		{"rejected", `{"tags":1}`, func(s *Source) { s.OnMappingError = Reject }, 422, "rejected", Rejected, 0, ""},
		{"rejected in part", `{"tags":["a","b,c"]}`, func(s *Source) { s.OnMappingError = Reject }, 422, "rejected", Rejected, 0, ""},
		{"one tag is bad", `{"tags":["a","b,c"]}`, nil, 200, "dead_letter", Partial, 1, "tags: holds a comma"},
		{"all tags are bad", `{"tags":["` + long + `"," a"]}`, nil, 200, "dead_letter", Dead, 0, "begins or ends with white space"},
		{"a number", `{"tags":[1]}`, nil, 200, "dead_letter", Dead, 0, "tags: yields a number, not a text: tag(…) makes texts of values"},
		{"null", `{"tags":[null]}`, nil, 200, "dead_letter", Dead, 0, "yields null"},
		{"half a character", `{"tags":["\ud83d"]}`, nil, 200, "dead_letter", Dead, 0, "U+FFFD"},
		{"everything", `{"tags":["*"]}`, nil, 200, "dead_letter", Dead, 0, "purges the whole project"},
		{"everything, as allowed", `{"tags":["*"]}`, func(s *Source) { s.AllowAll = true }, 200, "queued", Queued, 1, ""},
		{"a star behind a prefix", `{"tags":["*"]}`, func(s *Source) { s.TagPrefix = "p:" }, 200, "queued", Queued, 1, ""},
		{"many bad ones", `{"tags":["","","","","","","",""]}`, nil, 200, "dead_letter", Dead, 0, "tags: and 3 more"},
		{"too many", `{"tags":["a","b","c"]}`, func(s *Source) { s.Limits.Outputs = 2 }, 200, "dead_letter", Partial, 1, "yields more than 2 items"},
		{"accept is no boolean", `{"tags":["a"]}`, func(s *Source) { s.Override.Accept = ".published" }, 200, "dead_letter", Dead, 0, "accept: yields null, not true or false"},
		{"accept yields nothing", `{"tags":["a"]}`, func(s *Source) { s.Override.Accept = "empty" }, 200, "dead_letter", Dead, 0, "accept: yields nothing"},
		{"operation is none", `{"tags":["a"]}`, func(s *Source) { s.Override.Operation = `"purge"` }, 200, "dead_letter", Dead, 0, "operation: yields a text"},
		{"endless", `{"tags":["a"]}`, func(s *Source) {
			s.Override.Tags, s.Limits.MappingTime = `def f: f; f`, 5*time.Millisecond
		}, 200, "dead_letter", Dead, 0, "tags: took longer than mapping_time allows"},
		{"endless output", `{}`, func(s *Source) { s.Override.Tags = `repeat("a")` }, 200, "dead_letter", Partial, 1, "yields more than 5000 items"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := plainSource()
			if test.change != nil {
				test.change(&s)
			}
			d := newDesk(t, &memory{}, s)
			assert.Equal(t, test.word, status(t, d.post(test.body), test.code))
			assert.Len(t, d.purges, test.purged)
			assert.Equal(t, map[Outcome]int{test.outcome: 1}, d.counts)
			if test.letter == "" {
				assert.Empty(t, d.letters)
				return
			}
			require.Len(t, d.letters, 1)
			assert.Contains(t, d.letters[0].Reason, test.letter)
			assert.Equal(t, test.body, string(d.letters[0].Body))
			assert.Equal(t, "plain", d.letters[0].Source)
			assert.Empty(t, d.letters[0].Header.Get("X-Token"))
		})
	}
}

func TestHandler_Refusals(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil, plainSource(func(s *Source) { s.Limits.Body = 20 }))
	for _, test := range []struct {
		method, target string
		code           int
	}{
		{http.MethodGet, "/hooks/plain", 405},
		{http.MethodHead, "/hooks/plain", 405},
		{http.MethodPut, "/hooks/plain", 405},
		{http.MethodOptions, "/hooks/plain", 405},
		{http.MethodPost, "/hooks/other", 404},
		{http.MethodPost, "/hooks/plain/", 404},
		{http.MethodPost, "/hooks//plain", 404},
		{http.MethodPost, "/hooks/../hooks/plain", 404},
		{http.MethodPost, "/hooks/", 404},
		{http.MethodPost, "/", 404},
		{http.MethodPost, "/plain", 404},
		{http.MethodGet, "/hooks/other", 404},
	} {
		w := d.serve(httptest.NewRequest(test.method, test.target, nil))
		status(t, w, test.code)
		if test.code == 405 {
			assert.Equal(t, "POST", w.Header().Get("Allow"))
		}
	}
	assert.Equal(t, 4, d.counts[BadMethod])
	assert.Empty(t, d.purges)
}

func TestHandler_BodyLimit(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil, plainSource(func(s *Source) { s.Limits.Body = 16 }))
	status(t, d.post(`{"tags":["1234"]}`), 413)
	assert.Equal(t, "queued", status(t, d.post(`{"tags":["123"]}`), 200), "16 bytes")
	r := httptest.NewRequest(http.MethodPost, "/hooks/plain", io.MultiReader(strings.NewReader(`{"tags":["123"]}`), strings.NewReader(" ")))
	require.EqualValues(t, -1, r.ContentLength)
	r.Header.Set("X-Token", token)
	w := d.serve(r)
	status(t, w, 413) // and not cut to what still parses
	assert.Equal(t, "close", w.Header().Get("Connection"))
	assert.Len(t, d.purges, 1)
	assert.Equal(t, map[Outcome]int{TooLarge: 2, Queued: 1}, d.counts)
}

// Whoever is refused learns nothing, whatever the reason.
func TestHandler_UnauthorizedIsConstant(t *testing.T) {
	t.Parallel()
	answers := map[string]bool{}
	for _, v := range vectors(t) {
		s := v.source(t)
		s.Name = "blog"
		d := newDesk(t, nil, s)
		if v.Expect == "valid" {
			continue
		}
		r := httptest.NewRequest(http.MethodPost, "/hooks/blog", strings.NewReader(v.Body))
		for name, value := range v.Headers {
			r.Header.Set(name, value)
		}
		w := d.serve(r)
		status(t, w, 401)
		answers[fmt.Sprint(w.Code, w.Header(), w.Body)] = true
		assert.Equal(t, map[Outcome]int{Unauthorized: 1}, d.counts)
		assert.Empty(t, d.purges)
		assert.Empty(t, d.letters)
	}
	assert.Len(t, answers, 1)
}

// Where a letter has no room, the sender is asked to send it again, and that is counted apart.
func TestHandler_NoRoom(t *testing.T) {
	t.Parallel()
	m := &memory{}
	d := newDesk(t, m, plainSource())
	d.dead = func(context.Context, Letter) error { return fmt.Errorf("%w: of source blog", ErrNoRoom) }
	w := d.post(`hello`, "X-Id", "1")
	status(t, w, 503)
	assert.Equal(t, "30", w.Header().Get("Retry-After"))
	assert.Equal(t, map[Outcome]int{NoRoom: 1}, d.counts)
	assert.Empty(t, m.ids)
	assert.Contains(t, d.log.String(), `"outcome":"no_room"`)
	assert.Contains(t, d.log.String(), "no room for another dead letter: of source blog")
}

// A source without room costs no redaction; what is kept already is asked for too.
func TestHandler_AsksForRoomFirst(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil, plainSource())
	full, asked := true, Letter{}
	d.Room = func(_ context.Context, l Letter, bytes int) error {
		asked = l
		assert.Equal(t, len("hello"), bytes)
		if full {
			return ErrNoRoom
		}
		return nil
	}
	status(t, d.post("hello"), 503)
	assert.Equal(t, map[Outcome]int{NoRoom: 1}, d.counts)
	assert.Empty(t, d.letters)
	full = false
	status(t, d.post("hello"), 200)
	if assert.Len(t, d.letters, 1) {
		kept := d.letters[0]
		assert.Equal(t, "hello", string(kept.Body))
		kept.Header, kept.Body, asked.ReceivedAt = nil, nil, kept.ReceivedAt
		assert.Equal(t, kept, asked, "but for header and body")
	}
}

// A letter says whether it was proved genuine.
func TestHandler_UnverifiedLetters(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil, plainSource(func(s *Source) { s.LogOnly = true }))
	status(t, d.post(`hello`, "X-Token", "wrong", "X-Id", "1"), 200)
	status(t, d.post(`hello`, "X-Id", "1"), 200)
	require.Len(t, d.letters, 2)
	assert.True(t, d.letters[0].Unverified)
	assert.False(t, d.letters[1].Unverified)
}

func TestHandler_LogOnly(t *testing.T) {
	t.Parallel()
	m := &memory{}
	d := newDesk(t, m, plainSource(func(s *Source) { s.LogOnly = true }))
	for range 2 {
		assert.Equal(t, "queued", status(t, d.post(`{"tags":["a"]}`, "X-Token", "wrong", "X-Id", "1"), 200))
	}
	assert.Empty(t, m.ids, "what was not verified must not suppress a purge")
	assert.Equal(t, "queued", status(t, d.post(`{"tags":["a"]}`, "X-Id", "1"), 200))
	assert.Equal(t, "duplicate", status(t, d.post(`{"tags":["a"]}`, "X-Id", "1"), 200))
	assert.Equal(t, map[Outcome]int{Unverified: 2, Queued: 3, Duplicate: 1}, d.counts)
	assert.Contains(t, d.log.String(), `"reason":"mismatch"`)
}

func TestHandler_Unavailable(t *testing.T) {
	t.Parallel()
	away := errors.New("dial tcp: connection refused")
	for name, test := range map[string]struct {
		enqueue func(context.Context, tasks.Purge) error
		dead    func(context.Context, Letter) error
		body    string
	}{
		"enqueue fails":        {func(context.Context, tasks.Purge) error { return away }, nil, `{"tags":["a"]}`},
		"enqueue breaks":       {func(context.Context, tasks.Purge) error { panic("boom " + token) }, nil, `{"tags":["a"]}`},
		"dead letters fail":    {nil, func(context.Context, Letter) error { return away }, `hello`},
		"the rest's fail":      {nil, func(context.Context, Letter) error { return away }, `{"tags":["a","b,c"]}`},
		"its time is over":     {func(context.Context, tasks.Purge) error { return context.DeadlineExceeded }, nil, `{"tags":["a"]}`},
		"enqueue fails partly": {func(_ context.Context, p tasks.Purge) error { return away }, nil, `{"tags":["a","b,c"]}`},
	} {
		m := &memory{}
		d := newDesk(t, m, plainSource())
		d.enqueue, d.dead = test.enqueue, test.dead
		w := d.post(test.body, "X-Id", "1")
		status(t, w, 503)
		assert.Equal(t, "30", w.Header().Get("Retry-After"), name)
		assert.Equal(t, map[Outcome]int{Unavailable: 1}, d.counts, name)
		assert.Empty(t, m.ids, "%s: the retry must not be a duplicate", name)
		assert.NotContains(t, d.log.String(), token)
		assert.Contains(t, d.log.String(), `"level":"error"`)
		assert.Regexp(t, `"(error|panic)":"`, d.log.String(), name)
	}
}

// What the queue calls invalid is for people, not for a retry.
func TestHandler_InvalidIsADeadLetter(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil, plainSource())
	d.enqueue = func(context.Context, tasks.Purge) error { return fmt.Errorf("purge request: %w", tasks.ErrInvalid) }
	assert.Equal(t, "dead_letter", status(t, d.post(`{"tags":["a"]}`), 200))
	require.Len(t, d.letters, 1)
	assert.Equal(t, "enqueue: purge request: invalid", d.letters[0].Reason)
}

func TestNewHandler_Faults(t *testing.T) {
	t.Parallel()
	h := compiled(t, plainSource())
	_, err := NewHandler(Config{}, h)
	require.ErrorContains(t, err, "Config.Enqueue and Config.Dead are required")
	_, err = NewHandler(Config{
		Enqueue: func(context.Context, tasks.Purge) (string, error) { return "", nil },
		Dead:    func(context.Context, Letter) error { return nil },
	}, h, h)
	require.ErrorContains(t, err, `two sources have the name "plain"`)
}
