package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
)

// send delivers to the source "blog", with headers by pairs.
func (d *desk) send(body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/hooks/blog", strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return d.serve(r)
}

const blogSecret = "blog-secret-0123"

func blog(tb testing.TB, preset string) Source {
	return source(tb, preset, func(s *Source) { s.Secrets = []Secret{blogSecret} })
}

func TestDedupe_ByID(t *testing.T) {
	t.Parallel()
	m := &memory{}
	d := newDesk(t, m, blog(t, "shopify"))
	send := func(body, event, topic string) string {
		return status(t, d.send(body, "X-Shopify-Hmac-Sha256", base64Of(mac(blogSecret, body)), "X-Shopify-Event-Id", event, "X-Shopify-Topic", topic), 200)
	}
	assert.Equal(t, "queued", send(`{"id":1}`, "e1", "products/update"))
	assert.Equal(t, "duplicate", send(`{"id":1}`, "e1", "products/update"), "a retry")
	assert.Equal(t, "duplicate", send(`{"id":1}`, "e2", "products/update"), "a replay under a new id")
	assert.Equal(t, "queued", send(`{"id":2}`, "e2", "products/update"), "the replay did not use the id up")
	assert.Equal(t, "queued", send(`{"id":3}`, "e3", "products/update"))
	assert.Equal(t, "queued", send(`{"handle":"a"}`, "e3", "collections/update"), "another topic of the same event")
	for _, ttl := range m.ids {
		assert.Equal(t, 96*time.Hour, ttl)
	}
}

// A body may be the same for two events. Taking the second for a copy would
// lose its purge: a page published, corrected and published again.
func TestDedupe_SameBodyIsNotTheSameEvent(t *testing.T) {
	t.Parallel()
	now := time.Now()
	stamp := func(i int) string { return fmt.Sprint(now.Add(time.Duration(i) * time.Second).UnixMilli()) }
	for name, headers := range map[string]func(i int) (body string, headers []string){
		"sanity": func(i int) (string, []string) {
			const body = `{"_id":"a"}`
			return body, []string{"Sanity-Webhook-Signature", "t=" + stamp(i) + ",v1=" + base64URLOf(mac(blogSecret, stamp(i)+"."+body)), "Idempotency-Key", fmt.Sprint(i)}
		},
		"ghost": func(i int) (string, []string) {
			return `{}`, []string{"X-Ghost-Signature", "sha256=" + hexOf(mac(blogSecret, "{}"+stamp(i))) + ", t=" + stamp(i)}
		},
		"kontent": func(int) (string, []string) {
			const body = `{"notifications":[{"data":{"system":{"id":"a"}},"message":{"object_type":"x","delivery_slot":"published"}}]}`
			return body, []string{"X-Kontent-ai-Signature", base64Of(mac(blogSecret, body))}
		},
		"woocommerce": func(i int) (string, []string) {
			const body = `{"id":101}`
			return body, []string{"X-WC-Webhook-Signature", base64Of(mac(blogSecret, body)), "X-WC-Webhook-Resource", "product", "X-WC-Webhook-Delivery-ID", fmt.Sprint(i)}
		},
		"directus": func(int) (string, []string) {
			return `{"collection":"a","key":1}`, []string{"Authorization", "Bearer " + blogSecret}
		},
		"umbraco": func(int) (string, []string) {
			return `{"Id":"a"}`, []string{"Authorization", "Bearer " + blogSecret, "Umb-Webhook-Event", "Umbraco.ContentPublish"}
		},
	} {
		d := newDesk(t, &memory{}, blog(t, name))
		for i := range 2 {
			body, h := headers(i)
			assert.Equal(t, "queued", status(t, d.send(body, h...), 200), "%s %d", name, i)
		}
	}
}

// The same delivery, signed time and all, is a copy whatever its id says.
func TestDedupe_Replay(t *testing.T) {
	t.Parallel()
	d := newDesk(t, &memory{}, blog(t, "sanity"))
	stamp := fmt.Sprint(time.Now().UnixMilli())
	signature := "t=" + stamp + ",v1=" + base64URLOf(mac(blogSecret, stamp+`.{"_id":"a"}`))
	assert.Equal(t, "queued", status(t, d.send(`{"_id":"a"}`, "Sanity-Webhook-Signature", signature, "Idempotency-Key", "1"), 200))
	assert.Equal(t, "duplicate", status(t, d.send(`{"_id":"a"}`, "Sanity-Webhook-Signature", signature, "Idempotency-Key", "2"), 200))
	assert.Equal(t, "duplicate", status(t, d.send(`{"_id":"a"}`, "Sanity-Webhook-Signature", signature), 200))
	assert.Len(t, d.purges, 1)
}

func TestDedupe_IDFromTheBody(t *testing.T) {
	t.Parallel()
	h := compiled(t, source(t, "datocms-cache-tags"))
	id, ok := h.id(Delivery{Body: []byte(`{"webhook_call_id":"7"}`)})
	assert.True(t, ok)
	assert.Equal(t, "7", id)
	for _, body := range []string{`{}`, `{"webhook_call_id":7}`, `{"webhook_call_id":""}`, `[]`, `x`, `{"webhook_call_id":"7","webhook_call_id":"8"}`} {
		_, ok := h.id(Delivery{Body: []byte(body)})
		assert.False(t, ok, body)
	}
	id, ok = compiled(t, source(t, "prismic")).id(Delivery{Body: []byte(`{}`)})
	assert.True(t, ok)
	assert.Equal(t, "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", id)
}

func TestRedisDedupe(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		r := NewRedisDedupe(rdb, zerolog.Nop())
		seen := func(source string, ids ...string) bool {
			yes, err := r.Seen(t.Context(), source, ids...)
			require.NoError(t, err)
			return yes
		}
		assert.False(t, seen("blog", "id:1", "signed:2"))
		require.NoError(t, r.Mark(t.Context(), "blog", time.Hour, "id:1", "signed:2"))
		assert.True(t, seen("blog", "id:1"))
		assert.True(t, seen("blog", "id:x", "signed:2"))
		assert.False(t, seen("blog", "id:2", "signed:1"))
		assert.False(t, seen("shop", "id:1"))

		require.NoError(t, r.Flush(t.Context()))
		// Pinned: a renamed key would forget every delivery.
		const key = "edgepurge:hook:blog:b824aa9f0adf7e5566e10d86dff0cb8babe4f754ac92f43a4ba1b53f888fb24d"
		ttl, err := rdb.TTL(t.Context(), key).Result()
		require.NoError(t, err)
		assert.InDelta(t, time.Hour, ttl, float64(time.Minute))
	})
}

func TestRedisDedupe_Cluster(t *testing.T) {
	t.Parallel()
	r := NewRedisDedupe(redistest.Cluster(t, 3).Client(t), zerolog.Nop())
	ids := []string{"a", "b", "c", "d", "e", "f"} // in different slots
	require.NoError(t, r.Mark(t.Context(), "blog", time.Minute, ids...))
	for _, id := range ids {
		seen, err := r.Seen(t.Context(), "blog", "x", id, "y")
		require.NoError(t, err)
		assert.True(t, seen)
	}
}

// A mark without its purge would make the retry a duplicate, and lose the purge.
func TestRedisDedupe_MarksAfterTheEnqueue(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	marks := func() int {
		keys, err := rdb.Keys(t.Context(), "edgepurge:hook:*").Result()
		require.NoError(t, err)
		return len(keys)
	}
	dedupe := NewRedisDedupe(rdb, zerolog.Nop())
	d := newDesk(t, dedupe, plainSource())
	failing := errors.New("no")
	d.enqueue = func(ctx context.Context, _ tasks.Purge) error {
		require.NoError(t, dedupe.Flush(ctx)) // were it marked already, it would be in Redis now
		assert.Zero(t, marks(), "while the purge is not stored")
		return failing
	}
	status(t, d.post(`{"tags":["a"]}`, "X-Id", "1"), 503)
	require.NoError(t, dedupe.Flush(t.Context()))
	assert.Zero(t, marks(), "the purge was not stored")
	failing = nil
	assert.Equal(t, "queued", status(t, d.post(`{"tags":["a"]}`, "X-Id", "1"), 200))
	assert.Equal(t, "duplicate", status(t, d.post(`{"tags":["a"]}`, "X-Id", "1"), 200), "seen as soon as it is answered")
	assert.Equal(t, 1, marks())
}

// A mark that is lost is told.
func TestRedisDedupe_LostMark(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	rdb := s.Client(t)
	var log bytes.Buffer
	r := NewRedisDedupe(rdb, zerolog.New(zerolog.SyncWriter(&log)))
	require.NoError(t, rdb.ConfigSet(t.Context(), "maxmemory", "1").Err())
	require.NoError(t, r.Mark(t.Context(), "blog", time.Hour, "id:1"))
	require.NoError(t, r.Flush(t.Context()))
	assert.Contains(t, log.String(), `"source":"blog"`)
	assert.Contains(t, log.String(), "a duplicate will purge again")
}

// Redis hangs and dies: every delivery gets its answer, none is told a lie.
func TestRedisDedupe_Outage(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	rdb := s.Client(t)
	d := newDesk(t, NewRedisDedupe(rdb, zerolog.Nop()), plainSource())
	d.enqueue = func(ctx context.Context, p tasks.Purge) error { return rdb.LPush(ctx, "queue", p.Tags[0]).Err() }
	assert.Equal(t, "queued", status(t, d.post(`{"tags":["a"]}`, "X-Id", "1"), 200))

	s.Pause(t)
	began := time.Now()
	status(t, d.post(`{"tags":["b"]}`, "X-Id", "2"), 503)
	assert.Less(t, time.Since(began), promised)
	s.Resume(t)
	s.Kill(t)
	began = time.Now()
	status(t, d.post(`{"tags":["c"]}`, "X-Id", "3"), 503)
	assert.Less(t, time.Since(began), promised)
	s.Restart(t)
	require.Eventually(t, func() bool { return d.post(`{"tags":["c"]}`, "X-Id", "3").Code == 200 }, 10*time.Second, 50*time.Millisecond)
}
