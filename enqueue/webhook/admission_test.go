package webhook

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/tasks"
)

// held is how many bytes of unproved bodies there are.
func held(d *desk) int64 {
	d.admission.mu.Lock()
	defer d.admission.mu.Unlock()
	return d.admission.total
}

func TestAdmission(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	hook := func(name string, body int64) *Hook { return &Hook{name: name, limits: Limits{Body: body}} }
	a := &admission{bySource: map[string]int64{}}
	first := a.stay(hook("a", mib))
	require.True(t, first.grow(15*mib))
	second := a.stay(hook("a", mib))
	assert.False(t, second.grow(2*mib), "the source's share")
	assert.True(t, second.fits(mib))
	assert.True(t, second.grow(mib))
	large := a.stay(hook("large", MaxBodyBytes))
	assert.True(t, large.grow(47*mib), "of two of its own size")
	others := a.stay(hook("b", mib))
	assert.False(t, others.grow(2*mib), "all sources' share")
	assert.True(t, others.grow(mib), "its own share")
	assert.False(t, others.grow(1))
	first.end()
	first.end()
	assert.True(t, others.grow(2*mib))
	assert.False(t, first.grow(1), "it has ended")
	for _, s := range []*stay{second, large, others} {
		s.end()
	}
	assert.Zero(t, a.total)
	assert.Empty(t, a.bySource)
	var proved *stay
	assert.True(t, proved.grow(1<<40))
	proved.end()
}

// While a stranger fills one source, it is told so at once, and what others send
// goes on.
func TestHandler_Flood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil, blog(t, "prismic"), plainSource())
		body := `{"type":"api-update","secret":"` + blogSecret + `","documents":["a"]}`
		stay := d.admission.stay(d.hooks["blog"])
		require.True(t, stay.grow(stay.most))
		began := time.Now()
		w := d.send(body)
		status(t, w, 503)
		assert.Equal(t, "30", w.Header().Get("Retry-After"))
		assert.Equal(t, "close", w.Header().Get("Connection"))
		assert.Zero(t, time.Since(began), "at once")
		assert.Equal(t, "queued", status(t, d.post(`{"tags":["a"]}`), 200), "elsewhere")
		stay.end()
		assert.Equal(t, "queued", status(t, d.send(body), 200))
		synctest.Wait()
		assert.Zero(t, held(d), "nothing is held after an answer")
	})
}

// What was given up goes on holding its memory, and counts until it ends.
func TestHandler_WhatIsAbandonedCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil, blog(t, "prismic"))
		d.hooks["blog"].logOnly = true // nothing is proved, so all of it counts
		d.enqueue = func(context.Context, tasks.Purge) error {
			time.Sleep(time.Minute)
			return nil
		}
		status(t, d.send(`{"type":"api-update","documents":["a"]}`), 503)
		assert.Positive(t, held(d))
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Zero(t, held(d))
	})
}

// Large bodies are worked on in turn; a small one does not wait for them.
func TestHandler_Turns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil, plainSource())
		for range maxTurns() {
			_, err := d.turns.take(t.Context(), largeBody)
			require.NoError(t, err)
		}
		assert.Equal(t, "queued", status(t, d.post(`{"tags":["a"]}`), 200))
		began := time.Now()
		status(t, d.post(`{"tags":["a"],"x":"`+strings.Repeat("x", largeBody)+`"}`), 503)
		assert.Equal(t, answerWithin, time.Since(began))
		synctest.Wait()
		assert.Empty(t, d.purges[1:], "and it is not stored later")
		ended, end := context.WithCancel(t.Context())
		end()
		_, err := d.turns.take(ended, 1)
		assert.ErrorIs(t, err, context.Canceled)
	})
}

// A fault in one body does not keep its turn.
func TestHandler_TurnsComeBack(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil, plainSource())
	func() {
		defer func() { _ = recover() }()
		_ = d.inTurn(t.Context(), Delivery{Body: make([]byte, largeBody)}, func() { panic("x") })
	}()
	assert.Empty(t, d.turns)
}

// Who has no right to be heard is told so before the body has come, and the
// connection ends: a slow body holds nothing.
func TestHandler_RefusesBeforeTheBody(t *testing.T) {
	t.Parallel()
	for _, preset := range []string{"strapi", "datocms-cache-tags", "agility"} {
		d := newDesk(t, nil, blog(t, "strapi"))
		if preset != "strapi" {
			d = newDesk(t, nil, source(t, preset))
		}
		s := httptest.NewServer(d)
		defer s.Close()
		var dialer net.Dialer
		conn, err := dialer.DialContext(t.Context(), "tcp", s.Listener.Addr().String())
		require.NoError(t, err)
		defer conn.Close()
		require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
		began := time.Now()
		_, err = fmt.Fprint(conn, "POST /hooks/blog HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{\"tags\"")
		require.NoError(t, err)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		defer response.Body.Close()
		assert.Equal(t, 401, response.StatusCode, preset)
		assert.True(t, response.Close)
		_, err = io.Copy(io.Discard, response.Body)
		require.NoError(t, err)
		_, err = conn.Read(make([]byte, 1))
		assert.True(t, errors.Is(err, io.EOF) || strings.Contains(err.Error(), "reset"), "%v", err)
		assert.Less(t, time.Since(began), bodyWithin, "it was not waited for")
	}
}
