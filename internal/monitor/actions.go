package monitor

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/edgepurge/edgepurge/internal/deadletter"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// replayTime bounds how long one press of a button replays; what is left stays a
// dead letter.
const replayTime = 8 * time.Second

// replayFailures is after how many failures, and no success, a replay gives up.
const replayFailures = 5

// form reads what a button sends. It answers by itself if it cannot.
func (m *Monitor) form(w http.ResponseWriter, r *http.Request) (url.Values, bool) {
	if !allow(w, r, http.MethodPost) {
		return nil, false
	}
	r.Body = http.MaxBytesReader(w, r.Body, formMost)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "the form cannot be read", http.StatusBadRequest)
		return nil, false
	}
	return r.PostForm, true
}

// release ends a hold, as `edgepurge hold release` does: that of an account ends
// its pause after a 429 too.
func (m *Monitor) release(w http.ResponseWriter, r *http.Request) {
	form, ok := m.form(w, r)
	if !ok {
		return
	}
	account, scope := form.Get("account"), form.Get("scope")
	released, err := m.lanes.Release(r.Context(), account, scope)
	if err == nil && scope == lanes.ScopeAccount {
		err = m.lanes.Resume(r.Context(), account)
	}
	n := 0
	if released {
		n = 1
	}
	m.done(w, r, "released", n, 0, err)
}

// replay asks again for what the dead letters of a reason hold.
func (m *Monitor) replay(w http.ResponseWriter, r *http.Request) {
	form, ok := m.form(w, r)
	if !ok {
		return
	}
	reason := form.Get("reason")
	if reason == "" {
		http.Error(w, "reason is missing", http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), replayTime)
	defer cancel()
	letters, err := m.letters.List(ctx, deadletter.Filter{Reasons: []string{reason}})
	replayed, failed, gone := 0, 0, 0
	for _, l := range letters {
		if ctx.Err() != nil || failed == replayFailures && replayed == 0 {
			break
		}
		switch _, fault := m.letters.Replay(ctx, l.Key); {
		case fault == nil:
			replayed++
		case errors.Is(fault, deadletter.ErrNotFound): // somebody else was faster
			gone++
		case ctx.Err() == nil:
			err = fault // one of many: the others may fare better
			failed++
		}
	}
	m.done(w, r, "replayed", replayed, len(letters)-replayed-gone, err)
}

// done leads back to the page, which says what became of it.
func (m *Monitor) done(w http.ResponseWriter, r *http.Request, what string, n, left int, err error) {
	m.gather.forget()
	q := url.Values{"did": {what}, "n": {strconv.Itoa(n)}, "left": {strconv.Itoa(left)}}
	if err != nil {
		q.Set("failed", "1")
	}
	http.Redirect(w, r, Root+"/purges?"+q.Encode(), http.StatusSeeOther)
}

// notice is what the page says after a button was pressed. It is made of
// numbers and words of ours alone.
func notice(q url.Values) string {
	n, _ := strconv.ParseInt(q.Get("n"), 10, 32)
	left, _ := strconv.ParseInt(q.Get("left"), 10, 32)
	failed := q.Get("failed") != ""
	switch q.Get("did") {
	case "released":
		switch {
		case failed:
			return "The hold could not be released: Redis did not answer as it should. Try again."
		case n == 0:
			return "Nothing of that is held any more."
		}
		return "Released: what waited goes on."
	case "replayed":
		text := "Replayed " + count(n, "dead letter") + "."
		switch {
		case failed:
			return text + " " + number(left) + " could not be replayed and stay dead letters: `edgepurge dead replay` says why."
		case left > 0:
			return text + " " + number(left) + " are left: press again."
		}
		return text + " They wait in their lanes now."
	}
	return ""
}
