package emulator

import (
	"sync"
	"time"

	"github.com/edgepurge/edgepurge/tasks"
)

// Call is one call of the API as it ended; controls are not among them.
type Call struct {
	// Seq numbers the calls from 1 in the order in which they ended.
	Seq int64 `json:"seq"`
	// Start is when the call arrived: for a purge, the instant that the rate
	// limit saw. End is when it was answered or given up.
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
	// Token is the name of the token, or TokenName of it; empty: none was sent,
	// or the call ended before it was looked at.
	Token string `json:"token,omitempty"`
	// Team is the teamId or slug of the query.
	Team string `json:"team,omitempty"`
	// Method and Path are those of the request, without its query.
	Method string `json:"method"`
	Path   string `json:"path"`
	// Project is the projectIdOrName of the query, or the id in the path of GET /v9/projects/.
	Project string `json:"project,omitempty"`
	// Kind is tasks.Tag, tasks.SrcImage or KindAll; empty: not a purge.
	Kind tasks.Kind `json:"kind,omitempty"`
	// Operation is empty where Kind is; purging all is a delete.
	Operation tasks.Operation `json:"operation,omitempty"`
	// Items are what the body named, as far as it could be read.
	Items []string `json:"items,omitempty"`
	// StringForm says that the tags came as one string.
	StringForm bool `json:"string_form,omitempty"`
	// Target is empty if none was sent.
	Target tasks.Target `json:"target,omitempty"`
	// DeadlineSeconds is tasks.NoDeadline (-1) if none was sent.
	DeadlineSeconds int `json:"deadline_seconds"`
	// Status is what was answered; 0: nothing, as after a reset or a hang.
	Status int `json:"status"`
	// Counted says that the call spent rate budget: no 429, and got as far.
	Counted bool `json:"counted"`
	// Applied says that the purge took effect, whatever was answered.
	Applied bool `json:"applied"`
	// Fault is what the emulator did to the call by chance or outage.
	Fault Fault `json:"fault,omitempty"`
	// RequestID is the x-vercel-id of the answer.
	RequestID string `json:"request_id"`
}

// account is the scope of the rate limit.
func (c *Call) account() string { return c.Token + "/" + c.Team }

// journal keeps calls in chunks, so that adding one never copies those before.
type journal struct {
	mu      sync.Mutex
	most    int // 0: all; negative: none
	chunks  [][]Call
	head    int // index of the oldest in chunks[0]
	kept    int
	last    int64 // Seq of the newest
	dropped int64
}

const chunkSize = 512

func (j *journal) add(c Call) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last++
	c.Seq = j.last
	if j.most < 0 {
		j.dropped++
		return
	}
	if n := len(j.chunks); n == 0 || len(j.chunks[n-1]) == chunkSize {
		j.chunks = append(j.chunks, make([]Call, 0, chunkSize))
	}
	newest := &j.chunks[len(j.chunks)-1]
	*newest = append(*newest, c)
	j.kept++
	if j.most > 0 && j.kept > j.most {
		j.dropOldest()
	}
}

func (j *journal) dropOldest() {
	j.chunks[0][j.head] = Call{} // let go of its items
	j.head++
	j.kept--
	j.dropped++
	if j.head == chunkSize {
		j.chunks[0] = nil
		j.chunks, j.head = j.chunks[1:], 0
	}
}

// since returns up to most calls with a Seq above seq, oldest first; most 0: all.
func (j *journal) since(seq int64, most int) (calls []Call, last, dropped int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	oldest := j.last - int64(j.kept) + 1
	from := int(min(max(seq+1-oldest, 0), int64(j.kept)))
	n := j.kept - from
	if most > 0 {
		n = min(n, most)
	}
	calls = make([]Call, 0, n)
	for i := j.head + from; len(calls) < n; i++ {
		calls = append(calls, j.chunks[i/chunkSize][i%chunkSize])
	}
	return calls, j.last, j.dropped
}

// reset empties the journal; Seq goes on, so that a reader with ?since is not fooled.
func (j *journal) reset() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.chunks, j.head, j.kept, j.dropped = nil, 0, 0, 0
}

// Journal returns a copy of the calls that are kept, in the order in which they
// ended. A call is in it before its client has the answer. Items are shared
// and must not be changed.
func (e *Emulator) Journal() []Call {
	calls, _, _ := e.journal.since(0, 0)
	return calls
}

// Reset empties the journal and sets all counts to zero. Rate limit, faults,
// dice and the numbering of the calls go on.
func (e *Emulator) Reset() {
	e.journal.reset()
	e.counters.reset()
}
