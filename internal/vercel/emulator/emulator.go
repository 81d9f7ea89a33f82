package emulator

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgepurge/edgepurge/internal/vercel/api"
	"github.com/edgepurge/edgepurge/tasks"
)

// Emulator is the emulated API. It starts no goroutine; it is safe for
// concurrent use.
type Emulator struct {
	keys     keyring
	schema   api.Schema
	maxBody  int64
	limiter  limiter
	faults   atomic.Pointer[compiledFaults]
	dice     dice
	journal  journal
	counters counters
	requests atomic.Uint64 // numbers x-vercel-id
	refused  atomic.Uint64 // numbers 429 bodies
	control  http.Handler

	closeOnce sync.Once
	closed    chan struct{}
}

// New returns an emulator, or all faults of the configuration at once.
func New(c Config) (*Emulator, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	e := &Emulator{
		keys: newKeyring(c.Tokens), schema: c.Schema, maxBody: c.MaxBodyBytes,
		dice: newDice(c.Seed), journal: journal{most: c.JournalCap}, closed: make(chan struct{}),
	}
	if e.maxBody == 0 {
		e.maxBody = DefaultMaxBodyBytes
	}
	e.limiter.set(c.Limit)
	e.faults.Store(compile(c.Faults))
	e.control = e.controls()
	return e, nil
}

// Close lets go of the calls that hang, by resetting their connections, and
// cuts short those that wait for a latency; later calls do neither. Close it
// before an httptest.Server, whose Close waits for the calls. It returns nil.
func (e *Emulator) Close() error {
	e.closeOnce.Do(func() { close(e.closed) })
	return nil
}

// Limit returns the rate limit in force.
func (e *Emulator) Limit() Limit { return e.limiter.get() }

// SetLimit changes the rate limit of the calls from now on, or returns what is
// wrong with it. Calls counted in the old window stay counted, unless the mode
// changes.
func (e *Emulator) SetLimit(l Limit) error {
	if err := l.validate(); err != nil {
		return err
	}
	e.limiter.set(l)
	return nil
}

// Faults returns a copy of the faults in force.
func (e *Emulator) Faults() Faults { return e.faults.Load().clone() }

// SetFaults replaces all faults for the calls from now on, or returns what is
// wrong with them. Calls that hang already go on hanging.
func (e *Emulator) SetFaults(f Faults) error {
	if err := f.validate(); err != nil {
		return err
	}
	e.faults.Store(compile(f))
	return nil
}

// ServeHTTP answers one call of the API or of the emulator's own controls.
func (e *Emulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := e.requestID()
	w.Header()["X-Vercel-Id"] = []string{id}
	if strings.HasPrefix(r.URL.Path, "/_emulator/") {
		e.control.ServeHTTP(w, r)
		return
	}
	e.counters.begin()
	defer e.counters.end()
	faults := e.faults.Load()
	x := exchange{
		w: w, r: r, faults: faults, roll: e.dice.roll(faults),
		call: Call{
			Start: time.Now(), Method: r.Method, Path: r.URL.Path,
			RequestID: id, DeadlineSeconds: tasks.NoDeadline,
		},
	}
	e.finish(&x, e.decide(&x))
}

// requestID has the shape of Vercel's: region, a running number, milliseconds.
func (e *Emulator) requestID() string {
	b := make([]byte, 0, 48)
	b = append(b, "emu1::"...)
	b = strconv.AppendUint(b, e.requests.Add(1), 36)
	b = append(b, '-')
	b = strconv.AppendInt(b, time.Now().UnixMilli(), 10)
	return string(b)
}
