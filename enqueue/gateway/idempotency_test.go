package gateway

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/enqueue"
	"github.com/edgepurge/edgepurge/internal/redistest"
	"github.com/edgepurge/edgepurge/tasks"
)

func TestIdempotency_SameAnswerNothingStoredTwice(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		d := newDesk(t, withClient(t, rdb))
		first := send(d, "POST", PurgesPath, small, "Idempotency-Key", "k-1")
		first.receipt(t)
		assert.Empty(t, first.Header.Get("Idempotency-Replayed"))
		for range 3 {
			again := send(d, "POST", PurgesPath, small, "Idempotency-Key", "k-1")
			assert.Equal(t, first.body, again.body)
			assert.Equal(t, 202, again.StatusCode)
			assert.Equal(t, first.Header.Get("Location"), again.Header.Get("Location"))
			assert.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
		}
		assert.Len(t, stored(t, rdb), 1)

		other := send(d, "POST", PurgesPath, strings.Replace(small, `"a"`, `"b"`, 1), "Idempotency-Key", "k-1")
		assert.Equal(t, 422, other.StatusCode)
		assert.Equal(t, "unprocessable_entity", other.problem(t).Code)
		assert.Len(t, stored(t, rdb), 1)

		// Another key of the header or of the gateway is another purge.
		send(d, "POST", PurgesPath, small, "Idempotency-Key", "k-2").receipt(t)
		send(d, "POST", PurgesPath, small).receipt(t)
		send(d, "POST", PurgesPath, small).receipt(t)
		blog := strings.Replace(small, "prj_abc", "blog", 1)
		send(d, "POST", PurgesPath, blog, "Idempotency-Key", "k-1", "Authorization", "Bearer "+blogSecret).receipt(t)
		assert.Len(t, stored(t, rdb), 5)
		assert.Equal(t, map[counted]int{{"shop", Queued}: 4, {"shop", Repeated}: 3, {"shop", Conflict}: 1, {"blog", Queued}: 1}, d.counts)
	})
}

func TestIdempotency_IsForgottenAfterADay(t *testing.T) {
	t.Parallel()
	rdb, m := redistest.Mini(t)
	m.ClockTTL(false)
	d := newDesk(t, withClient(t, rdb))
	first := send(d, "POST", PurgesPath, small, "Idempotency-Key", "k").receipt(t)
	m.FastForward(24*time.Hour - time.Minute)
	assert.Equal(t, first, send(d, "POST", PurgesPath, small, "Idempotency-Key", "k").receipt(t))
	m.FastForward(2 * time.Minute) // a repeat does not prolong it
	assert.NotEqual(t, first.Receipt, send(d, "POST", PurgesPath, small, "Idempotency-Key", "k").receipt(t).Receipt)
	for _, key := range m.Keys() {
		if strings.HasPrefix(key, "edgepurge:idempotency:") {
			assert.Positive(t, m.TTL(key), key)
		}
	}
}

// An attempt that is refused leaves nothing behind: its key is free.
func TestIdempotency_RefusedIsNotRemembered(t *testing.T) {
	t.Parallel()
	rdb, m := redistest.Mini(t)
	d := newDesk(t, withClient(t, rdb))
	assert.Equal(t, 400, send(d, "POST", PurgesPath, `{}`, "Idempotency-Key", "k").StatusCode)
	assert.Equal(t, 403, send(d, "POST", PurgesPath, small, "Idempotency-Key", "k", "Authorization", "Bearer "+blogSecret).StatusCode)
	assert.Empty(t, m.Keys())
	send(d, "POST", PurgesPath, small, "Idempotency-Key", "k").receipt(t)
}

// The heart of it: however the first attempt ended, the second one ends with the
// purge stored. stage says what the first one still did.
func TestIdempotency_AfterAnAttemptThatDied(t *testing.T) {
	for _, stage := range []string{"noted", "stored", "stored and taken by a worker", "half stored"} {
		t.Run(stage, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
				d := newDesk(t, withClient(t, rdb))
				real := d.Enqueue
				body, items := small, 1
				if stage == "half stored" {
					body = `{"project":"prj_abc","operation":"delete","tags":` + list(100_000, "a-tag-of-some-length-") + `}`
					items = 100_000
				}
				d.Enqueue = func(ctx context.Context, p tasks.Purge) (enqueue.Receipt, error) {
					if stage == "half stored" {
						half := p
						half.Tags, half.ID = p.Tags[:30_000], p.ID+"-1" // as the first of several tasks
						p = half
					}
					if stage != "noted" {
						_, err := real(ctx, p)
						require.NoError(t, err)
					}
					if stage == "stored and taken by a worker" {
						require.NoError(t, asynq.NewInspectorFromRedisClient(rdb).DeleteTask(tasks.QueueIntake, p.ID))
					}
					return enqueue.Receipt{}, errors.New("died")
				}
				first := send(d, "POST", PurgesPath, body, "Idempotency-Key", "k")
				assert.Equal(t, 503, first.StatusCode)

				d.Enqueue = real
				second := send(d, "POST", PurgesPath, body, "Idempotency-Key", "k").receipt(t)
				assert.Equal(t, items, second.Items)
				covered := map[string]bool{}
				purges := stored(t, rdb)
				for _, p := range purges {
					if strings.HasPrefix(p.ID, second.Receipt) {
						for _, tag := range p.Tags {
							covered[tag] = true
						}
					}
				}
				assert.Len(t, covered, items, "every item lies in a task of the receipt that was handed out")
				if items == 1 {
					assert.Len(t, purges, 1, "the same task, not a second one")
				}
				third := send(d, "POST", PurgesPath, body, "Idempotency-Key", "k")
				assert.Equal(t, second, third.receipt(t))
				assert.Len(t, stored(t, rdb), len(purges))
				status, err := d.Status(t.Context(), second.Receipt)
				require.NoError(t, err)
				assert.Equal(t, items, status.Total)
			})
		})
	}
}

// The answer that could not be kept is given all the same, and the repeat is the
// same task while that one waits.
func TestIdempotency_AnswerIsNotKept(t *testing.T) {
	t.Parallel()
	rdb, m := redistest.Mini(t)
	d := newDesk(t, withClient(t, rdb))
	real := d.Enqueue
	d.Enqueue = func(ctx context.Context, p tasks.Purge) (enqueue.Receipt, error) {
		defer m.SetError("LOADING")
		return real(ctx, p)
	}
	first := send(d, "POST", PurgesPath, small, "Idempotency-Key", "k").receipt(t)
	assert.Contains(t, d.logged(), "not remembered")
	m.SetError("")
	d.Enqueue = real
	again := send(d, "POST", PurgesPath, small, "Idempotency-Key", "k").receipt(t)
	assert.Equal(t, first.Receipt, again.Receipt)
	assert.Len(t, stored(t, rdb), 1)
}

func TestIdempotency_ManyAtOnceAreOne(t *testing.T) {
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		d := newDesk(t, withClient(t, rdb))
		var wait sync.WaitGroup
		ids := make([]string, 20)
		for i := range ids {
			wait.Go(func() {
				r := send(d, "POST", PurgesPath, small, "Idempotency-Key", "k")
				if assert.Equal(t, 202, r.StatusCode) {
					ids[i] = strings.TrimPrefix(r.Header.Get("Location"), PurgesPath)
				}
			})
		}
		wait.Wait()
		for _, id := range ids {
			assert.Equal(t, ids[0], id)
		}
		assert.Len(t, stored(t, rdb), 1)
	})
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	for value, fit := range map[string]bool{
		"k": true, "~!a-B_0/+=": true, strings.Repeat("k", 255): true,
		strings.Repeat("k", 256): false, "": false, "a b": false, "a\t": false, "é": false, "\x7f": false,
	} {
		_, ok := idempotencyKey(http.Header{"Idempotency-Key": {value}})
		assert.Equal(t, fit, ok, "%q", value)
	}
	_, ok := idempotencyKey(http.Header{"Idempotency-Key": {"a", "b"}})
	assert.False(t, ok, "two")
	key, ok := idempotencyKey(http.Header{})
	assert.True(t, ok)
	assert.Empty(t, key)
	assert.Equal(t, 400, send(newDesk(t), "POST", PurgesPath, small, "Idempotency-Key", "a b").StatusCode)
}

// Where the records lie, for whoever writes the ACL of the gateway's Redis user.
func TestIdempotencyRecord_Key(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "edgepurge:idempotency:shop:"+"8254c329a92850f6d539dd376f4816ee2764517da5e0235514af433164480d7a", idempotencyRecord("shop", "k"))
}
