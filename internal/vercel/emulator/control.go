package emulator

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"

	"github.com/edgepurge/edgepurge/internal/local"
	"github.com/edgepurge/edgepurge/internal/vercel/api"
)

// Bounds of GET /_emulator/calls.
const (
	defaultCalls = 1_000
	maxCalls     = 100_000
)

// controls serves /_emulator/. It asks for no token: any program that can reach the
// emulator may steer it, but no web page of another site.
func (e *Emulator) controls() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_emulator/calls", e.getCalls)
	mux.HandleFunc("DELETE /_emulator/calls", func(w http.ResponseWriter, _ *http.Request) {
		e.Reset()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /_emulator/stats", func(w http.ResponseWriter, _ *http.Request) { reply(w, e.wireStats()) })
	mux.HandleFunc("GET /_emulator/faults", func(w http.ResponseWriter, _ *http.Request) { reply(w, e.Faults()) })
	mux.HandleFunc("PUT /_emulator/faults", func(w http.ResponseWriter, r *http.Request) {
		put(e, w, r, e.SetFaults, e.Faults)
	})
	mux.HandleFunc("GET /_emulator/limit", func(w http.ResponseWriter, _ *http.Request) { reply(w, e.Limit()) })
	mux.HandleFunc("PUT /_emulator/limit", func(w http.ResponseWriter, r *http.Request) {
		put(e, w, r, e.SetLimit, e.Limit)
	})
	for _, path := range []string{"calls", "stats", "faults", "limit"} { // any other method
		mux.HandleFunc("/_emulator/"+path, func(w http.ResponseWriter, _ *http.Request) {
			failure(http.StatusMethodNotAllowed, "Method not allowed").write(w, verdict{})
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		failure(http.StatusNotFound, "The emulator has no such control").write(w, verdict{})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := local.Refuse(r.Host, r.Header); err != nil {
			failure(http.StatusForbidden, "Refused: "+err.Error()).write(w, verdict{})
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (e *Emulator) getCalls(w http.ResponseWriter, r *http.Request) {
	since, ok := number(r, "since", 0, 1<<62)
	limit, ok2 := number(r, "limit", defaultCalls, maxCalls)
	if !ok || !ok2 || limit == 0 {
		refuse(api.Invalid("`since` should be a whole number, `limit` one from 1 to "+strconv.Itoa(maxCalls)+".")).write(w, verdict{})
		return
	}
	calls, last, dropped := e.journal.since(since, int(limit))
	reply(w, struct {
		Calls   []Call `json:"calls"`
		Last    int64  `json:"last"` // Seq of the newest call, returned or not
		Dropped int64  `json:"dropped"`
	}{calls, last, dropped})
}

func number(r *http.Request, name string, fallback, most int64) (int64, bool) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return fallback, true
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n >= 0 && n <= most
}

func (e *Emulator) wireStats() any {
	s := e.Stats()
	return struct {
		Stats
		Per duration `json:"per"`
	}{s, duration(s.Per)}
}

// put decodes a value strictly, sets it and answers with what is now in force.
func put[T any](e *Emulator, w http.ResponseWriter, r *http.Request, set func(T) error, now func() T) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, e.maxBody))
	var v T
	if err == nil {
		err = json.Unmarshal(data, &v)
	}
	if err == nil {
		err = set(v)
	}
	if err != nil {
		refuse(api.Invalid(err.Error())).write(w, verdict{})
		return
	}
	reply(w, now())
}

func reply(w http.ResponseWriter, body any) {
	answer{status: http.StatusOK, body: body}.write(w, verdict{})
}
