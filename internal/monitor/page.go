package monitor

import (
	"bytes"
	"net/http"
)

// page is /monitor/purges.
func (m *Monitor) page(w http.ResponseWriter, r *http.Request) { m.show(w, r, "purges.html") }

// live is the part of the page that its script fetches anew.
func (m *Monitor) live(w http.ResponseWriter, r *http.Request) { m.show(w, r, "live.html") }

const redisFault = "Redis does not answer as it should, so nothing is known. Purges that were accepted are kept there."

// withoutRedis answers 503: the page of purges as a page, anything else in words.
func (m *Monitor) withoutRedis(w http.ResponseWriter, r *http.Request, path string) {
	w.Header().Set("Retry-After", "5")
	switch {
	case isRead(r) && path == "/purges":
		render(w, http.StatusServiceUnavailable, "purges.html", &view{ReadOnly: m.readOnly, Fault: redisFault})
	case isRead(r) && path == "/purges/live":
		render(w, http.StatusServiceUnavailable, "live.html", &view{ReadOnly: m.readOnly, Fault: redisFault})
	default:
		http.Error(w, "Redis does not answer: try again when it is back", http.StatusServiceUnavailable)
	}
}

func (m *Monitor) show(w http.ResponseWriter, r *http.Request, name string) {
	if !allow(w, r, http.MethodGet) {
		return
	}
	status := http.StatusOK
	v := &view{ReadOnly: m.readOnly}
	s, err := m.gather.read(r.Context())
	if err == nil {
		v = viewOf(s, &m.gather.config)
	} else {
		// What Redis says may name its address; the log of the gateway has it.
		status = http.StatusServiceUnavailable
		v.Fault = redisFault
	}
	v.Notice = notice(r.URL.Query())
	render(w, status, name, v)
}

// render writes a page at once or, if it cannot be made, none of it.
func render(w http.ResponseWriter, status int, name string, data any) {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, data); err != nil {
		http.Error(w, "the page cannot be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}
