package monitor

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// loginForm is what the login page shows.
type loginForm struct {
	User, Next, Fault string
}

// shownUserBytes bounds the user that comes back after a failed login.
const shownUserBytes = 200

const formMost = 4 << 10 // bytes of a form

func (m *Monitor) login(w http.ResponseWriter, r *http.Request) {
	if !allow(w, r, http.MethodGet, http.MethodPost) {
		return
	}
	if r.Method != http.MethodPost {
		render(w, http.StatusOK, "login.html", loginForm{Next: safeNext(r.URL.Query().Get("next"))})
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, formMost)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "the form cannot be read", http.StatusBadRequest)
		return
	}
	form := loginForm{Next: safeNext(r.PostForm.Get("next"))}
	remote := remoteOf(m.proxies.Client(r))
	if wait := m.failures.try(remote); wait > 0 {
		seconds := int(wait/time.Second) + 1
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		form.Fault = "Too many failed attempts. Try again in " + strconv.Itoa(seconds) + " seconds."
		render(w, http.StatusTooManyRequests, "login.html", form)
		return
	}
	if !m.sessions.knows(r.PostForm.Get("user"), r.PostForm.Get("password")) {
		form.Fault = "User or password is wrong."
		if user := r.PostForm.Get("user"); !m.sessions.isPassword(user) { // one typed into the wrong field does not come back
			form.User = clip(user, shownUserBytes)
		}
		render(w, http.StatusUnauthorized, "login.html", form)
		return
	}
	m.failures.forgive(remote)
	m.sessions.start(w, r)
	http.Redirect(w, r, form.Next, http.StatusSeeOther)
}

func (m *Monitor) logout(w http.ResponseWriter, r *http.Request, id sessionID) {
	if !allow(w, r, http.MethodPost) {
		return
	}
	if err := m.sessions.end(w, r, id); err != nil {
		http.Error(w, "This browser is logged out, but a copy of its cookie would still work: Redis does not answer. Log in and out again later.", http.StatusServiceUnavailable)
		return
	}
	http.Redirect(w, r, Root+"/login", http.StatusSeeOther)
}

// refuse sends a person to the login, and tells a program no.
func (m *Monitor) refuse(w http.ResponseWriter, r *http.Request) {
	if !isRead(r) || strings.HasPrefix(r.URL.Path, Root+"/api/") || r.URL.Path == Root+"/purges/live" || r.URL.Path == Root+"/logout" {
		http.Error(w, "log in at "+Root+"/login", http.StatusUnauthorized)
		return
	}
	http.Redirect(w, r, Root+"/login?next="+url.QueryEscape(r.URL.Path), http.StatusSeeOther)
}

// safeNext is a path of ours to go on to, whatever was asked for.
func safeNext(next string) string {
	u, err := url.Parse(next)
	clean := err == nil && u.Scheme == "" && u.Host == "" && !strings.ContainsAny(next, "\\\r\n") && !strings.Contains(next, "//")
	if !clean || !strings.HasPrefix(u.Path, Root+"/") || strings.HasPrefix(u.Path, Root+"/log") {
		return Root + "/purges"
	}
	return u.Path
}
