package monitor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/hibiken/asynq"

	"github.com/edgepurge/edgepurge/tasks"
)

// guard keeps asynqmon's buttons from losing purges. To delete what waits is to
// drop it without a trace: archive it first, then it is a dead letter that a
// person may delete. And asynq drops dead letters silently when there are too many.
type guard struct{ inspector *asynq.Inspector }

// lettersMost is how many dead letters a queue may hold by way of asynqmon; the
// worker keeps the same bound. asynq trims at 9,999.
const lettersMost = 5000

// taskPath is what asynqmon's routes for tasks look like: the queue, the state,
// and what is to be done.
var taskPath = regexp.MustCompile(`^` + Root + `/api/queues/([^/]+)/(?:groups/[^/]+/)?([a-z]+)_tasks(?:[:/].*)?$`)

const bodyMost = 4 << 20

// refusedError says why something cannot be done here.
type refusedError struct{ why string }

func (e *refusedError) Error() string { return e.why }

// check returns nil if the request may go on to asynqmon.
func (g *guard) check(r *http.Request) error {
	if isRead(r) {
		return nil
	}
	action := r.URL.Path[strings.LastIndexAny(r.URL.Path, ":/")+1:]
	m := taskPath.FindStringSubmatch(r.URL.Path)
	if m == nil { // the queue itself
		queue, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, Root+"/api/queues/"), ":")
		if ours(queue) && action != "pause" && action != "resume" {
			return &refusedError{"a queue of edgepurge stays: it may be paused"}
		}
		return nil
	}
	queue, state := m[1], m[2]
	if !ours(queue) {
		return nil
	}
	switch {
	case r.Method == http.MethodDelete || action == "batch_delete":
		if state != "archived" && state != "completed" {
			return &refusedError{"this would lose purges that wait: archive them, then delete the dead letters"}
		}
	case action == "archive", action == "archive_all", action == "batch_archive":
		return g.room(r, queue, state, action)
	case queue == tasks.QueueDeliveries: // no worker serves it
		return &refusedError{"a delivery that could not be mapped is mapped again by a replay: see " + Root + "/purges, or `edgepurge dead replay`"}
	case action == "run", action == "run_all", action == "batch_run",
		action == "cancel", action == "cancel_all", action == "batch_cancel":
	default:
		return &refusedError{fmt.Sprintf("%q is not known here", action)}
	}
	return nil
}

func ours(queue string) bool { return strings.HasPrefix(queue, "edgepurge-") }

// room refuses to archive more than the archive may hold.
func (g *guard) room(r *http.Request, queue, state, action string) error {
	info, err := g.inspector.GetQueueInfo(queue)
	if errors.Is(err, asynq.ErrQueueNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at queue %s: %w", queue, err)
	}
	more := 1
	switch action {
	case "archive_all":
		more = map[string]int{"pending": info.Pending, "scheduled": info.Scheduled, "retry": info.Retry}[state]
	case "batch_archive":
		text, err := io.ReadAll(io.LimitReader(r.Body, bodyMost))
		if err != nil {
			return fmt.Errorf("read what is to be archived: %w", err)
		}
		var batch struct {
			IDs []string `json:"task_ids"`
		}
		if err := json.Unmarshal(text, &batch); err != nil {
			return &refusedError{"what is to be archived cannot be read"}
		}
		r.Body = io.NopCloser(bytes.NewReader(text))
		more = len(batch.IDs)
	}
	if info.Archived+more > lettersMost {
		return &refusedError{fmt.Sprintf("%d dead letters and %d more: asynq drops them silently past some 10,000, so %d are the limit here; replay or delete some first",
			info.Archived, more, lettersMost)}
	}
	return nil
}
