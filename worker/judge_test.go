package worker

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/vercel"
	"github.com/edgepurge/edgepurge/tasks"
)

// ruling is what design.md's table says of a status, for one item and for many.
type ruling struct {
	one, many Verdict
	reason    Reason
}

func rulingOf(status int) ruling {
	switch status {
	case 400:
		return ruling{Dead, Split, BadRequest}
	case 401:
		return ruling{HoldAccount, HoldAccount, Unauthorized}
	case 402:
		return ruling{HoldProject, HoldProject, PaymentDue}
	case 403:
		return ruling{HoldProject, HoldProject, Forbidden}
	case 404:
		return ruling{HoldProject, HoldProject, ProjectMissing}
	case 408, 425:
		return ruling{TryAgain, TryAgain, TryLater}
	case 410:
		return ruling{HoldProject, HoldProject, ProjectGone}
	case 429:
		return ruling{Wait, Wait, RateLimited}
	}
	switch status / 100 {
	case 2:
		return ruling{Done, Done, NoReason}
	case 3: // vercel.url leads somewhere else: so it would for every call
		return ruling{HoldAccount, HoldAccount, Redirected}
	case 4:
		return ruling{Dead, Dead, Refused}
	default:
		return ruling{TryAgain, TryAgain, ServerError}
	}
}

func answered(status int) (vercel.Answer, error) {
	a := vercel.Answer{Status: status, RequestID: "fra1::1", Limit: vercel.RateLimit{Remaining: vercel.NotTold}}
	if status < 300 {
		return a, nil
	}
	return a, &vercel.StatusError{Status: status, Code: "code", Message: "message", RequestID: a.RequestID, Limit: a.Limit}
}

func TestJudge_EveryStatus(t *testing.T) {
	for status := 200; status <= 599; status++ {
		want := rulingOf(status)
		for _, kind := range []tasks.Kind{tasks.Tag, tasks.SrcImage} {
			for _, n := range []int{1, 2, 16} {
				answer, err := answered(status)
				got := judge(answer, err, kind, n, time.Now())
				verdict := want.many
				if n == 1 {
					verdict = want.one
				}
				require.Equal(t, verdict, got.Verdict, "status %d, %d items", status, n)
				require.Equal(t, want.reason, got.Reason, "status %d", status)
				require.Zero(t, got.After, "status %d", status)
				require.Zero(t, got.LearnMax, "status %d", status)
				if status < 300 {
					require.Equal(t, Judgment{Verdict: Done}, got)
					require.Equal(t, "200", statusLabel(got))
					continue
				}
				message := "message"
				if status == http.StatusForbidden {
					refusal, _ := errors.AsType[*vercel.StatusError](err)
					message = refusal.Explained()
				}
				require.Equal(t, tasks.Verdict{
					Reason: string(want.reason), Status: status, Code: "code", Message: message, RequestID: "fra1::1",
				}, got.Letter, "status %d", status)
				require.Equal(t, strconv.Itoa(status), statusLabel(got))
			}
		}
	}
}

// ask makes a real call, so that headers and bodies are read as they come.
func ask(t *testing.T, h http.HandlerFunc) (vercel.Answer, error) {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	return askURL(t, server.URL, 5*time.Second, tasks.AllTargets)
}

func askURL(t *testing.T, url string, timeout time.Duration, target tasks.Target) (vercel.Answer, error) {
	t.Helper()
	client, err := vercel.New(vercel.Config{BaseURL: url, Token: testToken, Timeout: timeout})
	require.NoError(t, err)
	defer client.CloseIdleConnections()
	return client.Purge(t.Context(), vercel.Request{
		Project: "prj", Kind: tasks.SrcImage, Operation: tasks.Delete, Items: []string{"/a.png"}, Target: target, DeadlineSeconds: tasks.NoDeadline,
	})
}

func TestJudge_RateLimited(t *testing.T) {
	in := func(d time.Duration) time.Time { return time.Now().Add(d) }
	limit := func(reset, resetMs int64, total int) string {
		return fmt.Sprintf(`{"error":{"code":"rate_limited","message":"slow","limit":{"remaining":0,"reset":%d,"resetMs":%d,"total":%d}}}`, reset, resetMs, total)
	}
	for _, c := range []struct {
		name   string
		header map[string]string
		body   string
		low    time.Duration // the range of After
		high   time.Duration
		limit  int
	}{
		{name: "nothing told", body: `{"error":{"code":"too_many_requests","message":"slow"}}`},
		{name: "Retry-After in seconds", header: map[string]string{"Retry-After": "7"}, low: 7 * time.Second, high: 7 * time.Second},
		{
			name: "Retry-After as a date", header: map[string]string{"Retry-After": in(90 * time.Second).UTC().Format(http.TimeFormat)},
			low: 80 * time.Second, high: 90 * time.Second,
		},
		{name: "Retry-After in the past", header: map[string]string{"Retry-After": in(-time.Minute).UTC().Format(http.TimeFormat)}},
		{name: "reset in seconds", body: limit(in(60*time.Second).Unix(), in(60*time.Second).UnixMilli(), 6), low: 50 * time.Second, high: 61 * time.Second, limit: 6},
		{name: "reset in milliseconds", body: limit(in(60*time.Second).UnixMilli(), in(60*time.Second).UnixMilli(), 5), low: 50 * time.Second, high: 61 * time.Second, limit: 5},
		{name: "reset in the past", body: limit(in(-time.Minute).Unix(), in(-time.Minute).UnixMilli(), 4), limit: 4},
		{
			name: "headers of the limit", low: 20 * time.Second, high: 31 * time.Second, limit: 9,
			header: map[string]string{"X-RateLimit-Limit": "9", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": strconv.FormatInt(in(30*time.Second).Unix(), 10)},
		},
		{
			name: "the later of both counts", header: map[string]string{"Retry-After": "2"},
			body: limit(in(60*time.Second).Unix(), in(60*time.Second).UnixMilli(), 6), low: 50 * time.Second, high: 61 * time.Second, limit: 6,
		},
		{
			name: "either of both", header: map[string]string{"Retry-After": "120"},
			body: limit(in(10*time.Second).Unix(), in(10*time.Second).UnixMilli(), 6), low: 120 * time.Second, high: 120 * time.Second, limit: 6,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer, err := ask(t, func(w http.ResponseWriter, _ *http.Request) {
				for k, v := range c.header {
					w.Header().Set(k, v)
				}
				w.WriteHeader(http.StatusTooManyRequests)
				_, _ = w.Write([]byte(c.body))
			})
			got := judge(answer, err, tasks.SrcImage, 1, time.Now())
			assert.Equal(t, Wait, got.Verdict)
			assert.Equal(t, RateLimited, got.Reason)
			assert.Equal(t, c.limit, got.Limit)
			assert.GreaterOrEqual(t, got.After, c.low)
			assert.LessOrEqual(t, got.After, c.high)
		})
	}
}

func TestJudge_RetryAfterOfAServerError(t *testing.T) {
	answer, err := ask(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	got := judge(answer, err, tasks.SrcImage, 1, time.Now())
	assert.Equal(t, TryAgain, got.Verdict)
	assert.Equal(t, 3*time.Second, got.After)
}

func TestJudge_LearnMax(t *testing.T) {
	for _, c := range []struct {
		name, message string
		kind          tasks.Kind
		n, want       int
	}{
		{"documented words", "Invalid request: `tags` should NOT have more than 8 items.", tasks.Tag, 16, 8},
		{"images", "Invalid request: `srcImages` should NOT have more than 4 items.", tasks.SrcImage, 8, 4},
		{"one is allowed", "Invalid request: `tags` should NOT have more than 1 items.", tasks.Tag, 2, 1},
		{"of the other kind", "Invalid request: `tags` should NOT have more than 4 items.", tasks.SrcImage, 8, 0},
		{"no smaller than the batch", "Invalid request: `tags` should NOT have more than 16 items.", tasks.Tag, 16, 0},
		{"zero", "Invalid request: `tags` should NOT have more than 0 items.", tasks.Tag, 16, 0},
		{"characters", "Invalid request: `tags` should NOT have more than 8 characters.", tasks.Tag, 16, 0},
		{"silent", "Bad Request", tasks.Tag, 16, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := judge(vercel.Answer{Status: 400}, &vercel.StatusError{Status: 400, Message: c.message}, c.kind, c.n, time.Now())
			assert.Equal(t, Split, got.Verdict)
			assert.Equal(t, c.want, got.LearnMax)
		})
	}
}

func TestJudge_Exhausted(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	for _, c := range []struct {
		name  string
		limit vercel.RateLimit
		want  time.Duration
	}{
		{"none left", vercel.RateLimit{Remaining: 0, Reset: now.Add(7 * time.Second)}, 7 * time.Second},
		{"none left until a moment ago", vercel.RateLimit{Remaining: 0, Reset: now.Add(-time.Second)}, 0},
		{"none left, no reset", vercel.RateLimit{Remaining: 0}, 0},
		{"one left", vercel.RateLimit{Remaining: 1, Reset: now.Add(time.Second)}, 0},
		{"not told", vercel.RateLimit{Remaining: vercel.NotTold, Reset: now.Add(time.Second)}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := judge(vercel.Answer{Status: 200, Limit: c.limit}, nil, tasks.Tag, 3, now)
			assert.Equal(t, Judgment{Verdict: Done, Exhausted: c.want}, got)
		})
	}
}

func TestJudge_NoAnswer(t *testing.T) {
	broken := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write([]byte("{"))
	}
	silent := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does net/http notice that the client has left
		<-r.Context().Done()
	}
	for _, c := range []struct {
		name string
		ask  func(t *testing.T) (vercel.Answer, error)
	}{
		{"connection refused", func(t *testing.T) (vercel.Answer, error) {
			server := httptest.NewServer(http.NotFoundHandler())
			server.Close()
			return askURL(t, server.URL, time.Second, tasks.AllTargets)
		}},
		{"timeout", func(t *testing.T) (vercel.Answer, error) {
			server := httptest.NewServer(http.HandlerFunc(silent))
			defer server.Close()
			return askURL(t, server.URL, 50*time.Millisecond, tasks.AllTargets)
		}},
		{"a 200 that breaks off", func(t *testing.T) (vercel.Answer, error) { return ask(t, broken) }},
		{"a connection that breaks off", func(t *testing.T) (vercel.Answer, error) {
			return ask(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer, err := c.ask(t)
			require.Error(t, err)
			got := judge(answer, err, tasks.SrcImage, 1, time.Now())
			assert.Equal(t, TryAgain, got.Verdict)
			assert.Equal(t, Unreachable, got.Reason)
			assert.Equal(t, "none", statusLabel(got))
			assert.Equal(t, string(Unreachable), got.Letter.Reason)
			assert.Contains(t, got.Letter.Message, "POST /v1/edge-cache/dangerously-delete-by-src-images: ")
			assert.NotContains(t, got.Letter.Message, testToken)
		})
	}
}

func TestJudge_ClientRefuses(t *testing.T) {
	answer, err := askURL(t, "http://127.0.0.1:1", time.Second, tasks.Production) // images take no target
	require.ErrorIs(t, err, tasks.ErrInvalid)
	got := judge(answer, err, tasks.SrcImage, 1, time.Now())
	assert.Equal(t, Dead, got.Verdict)
	assert.Equal(t, Invalid, got.Reason)
	assert.Equal(t, "none", statusLabel(got))
	assert.Contains(t, got.Letter.Message, "Vercel takes no target for source images")
}

// Without a mark a 403 may be about the project alone.
func TestJudge_WhoA403IsAbout(t *testing.T) {
	for body, want := range map[string]Verdict{
		`{"error":{"code":"forbidden","message":"Not authorized","invalidToken":true}}`: HoldAccount,
		`{"error":{"code":"forbidden","message":"No token","missingToken":true}}`:       HoldAccount,
		`{"error":{"code":"forbidden","message":"Not authorized"}}`:                     HoldProject,
		"": HoldProject,
	} {
		answer, err := ask(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, body)
		})
		got := judge(answer, err, tasks.Tag, 1, time.Now())
		assert.Equal(t, want, got.Verdict, body)
		assert.Equal(t, Forbidden, got.Reason, body)
	}
}

func TestJudge_LettersSayWhatToDo(t *testing.T) {
	text := func(j Judgment) string {
		return (&letterError{reason: j.Reason, cause: withoutReason(&j.Letter)}).Error()
	}
	of := func(status int, code, message string) Judgment {
		return judge(vercel.Answer{Status: status}, &vercel.StatusError{Status: status, Code: code, Message: message, RequestID: "fra1::x"}, tasks.Tag, 1, time.Now())
	}
	for _, c := range []struct {
		want string
		j    Judgment
	}{
		{"bad_request: the call cannot succeed: Vercel answered 400 bad_request: Invalid request (x-vercel-id fra1::x)", of(400, "bad_request", "Invalid request")},
		{"forbidden: the call cannot succeed: Vercel answered 403 forbidden: Not authorized (the token's user lacks the role (owner or member of the team), the token has expired or does not cover this team or project, or Vercel asks for a recent login (challenge_required)) (x-vercel-id fra1::x)", of(403, "forbidden", "Not authorized")},
		{"server_error: every attempt failed: Vercel answered 503: Down (x-vercel-id fra1::x)", of(503, "", "Down")},
		{"try_later: every attempt failed: Vercel answered 425 (x-vercel-id fra1::x)", of(425, "", "")},
		{"redirected: the call cannot succeed: Vercel answered 301 (x-vercel-id fra1::x)", of(301, "", "")},
		{
			"unreachable: every attempt failed: POST /v1/x: connection refused",
			judge(vercel.Answer{}, &vercel.TransportError{Method: "POST", Path: "/v1/x", Err: errors.New("connection refused")}, tasks.Tag, 1, time.Now()),
		},
	} {
		assert.Equal(t, c.want, text(c.j))
	}
}

func TestLetterError_IsSkipRetry(t *testing.T) {
	cause := &tasks.FieldError{Field: "tags", Problem: "is empty"}
	err := fmt.Errorf("outer: %w", &letterError{reason: Invalid, cause: cause})
	require.ErrorIs(t, err, asynq.SkipRetry)
	require.ErrorIs(t, err, tasks.ErrInvalid)
	assert.NotErrorIs(t, err, asynq.RevokeTask)
	assert.NotErrorIs(t, error(&retryError{cause: cause}), asynq.SkipRetry)
	assert.NotErrorIs(t, error(&laterError{why: "x"}), asynq.SkipRetry)
}

// A reason without its metric would be a letter that nobody counts.
func TestLetterReasons_Complete(t *testing.T) {
	reasons := map[Reason]bool{NoAccount: true, BacklogFull: true} // the intake's own
	for status := 300; status <= 599; status++ {
		answer, err := answered(status)
		if j := judge(answer, err, tasks.Tag, 1, time.Now()); j.Verdict != Wait {
			reasons[j.Reason] = true
		}
	}
	for _, err := range []error{&vercel.TransportError{Err: errors.New("x")}, tasks.ErrInvalid} {
		reasons[judge(vercel.Answer{}, err, tasks.Tag, 1, time.Now()).Reason] = true
	}
	for reason := range reasons {
		assert.Contains(t, LetterReasons(), reason)
	}
	assert.Len(t, LetterReasons(), len(reasons))
	assert.NotContains(t, LetterReasons(), NoReason)
}

func TestVerdicts_AreMetricLabels(t *testing.T) {
	assert.Equal(t, []string{"done", "wait", "retry", "split", "dead", "hold_account", "hold_project"}, Verdicts())
	for v := Done; v <= HoldProject; v++ {
		assert.Equal(t, int(v), slices.Index(Verdicts(), v.String()))
	}
}
