package monitor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/internal/queues"
	"github.com/edgepurge/edgepurge/tasks"
)

// guard keeps asynqmon's buttons from losing purges. To delete what waits is to
// drop it without a trace: archive it first, then it is a dead letter that a
// person may delete. And asynq drops dead letters silently when there are too many.
//
// asynq deletes and archives a task in whatever state it is, and a path names the
// state that a page has shown or somebody has typed. So the guard deletes and
// archives our tasks itself, by scripts that look at the state in the same step.
type guard struct{ rdb redis.UniversalClient }

// lettersMost is how many dead letters a queue may hold by way of asynqmon; the
// worker keeps the same bound. asynq trims at 9,999.
const lettersMost = 5000

// taskPath is what asynqmon's routes for tasks look like: the queue, the state, and
// one task or what is to be done to many.
var taskPath = regexp.MustCompile(`^` + Root + `/api/queues/([^/]+)/([a-z]+)_tasks(?:/([^/]+)|:([a-z_]+))$`)

const bodyMost = 4 << 20

// refusedError says why something cannot be done here.
type refusedError struct{ why string }

func (e *refusedError) Error() string { return e.why }

// change is what a request would do to tasks of ours.
type change struct {
	queue, state string
	id           string // of one task; empty: of many
	action       string // "delete", "archive", "run" or "cancel"
	many         string // "all" or "batch"; empty: one
}

// changeOf reads a request. It returns nil for what only looks, for queues that are
// not ours, and for what is about a queue and allowed.
func changeOf(r *http.Request) (*change, error) {
	path := strings.TrimPrefix(r.URL.Path, Root+"/api/queues/")
	if isRead(r) || path == r.URL.Path || !ours(path) {
		return nil, nil
	}
	m := taskPath.FindStringSubmatch(r.URL.Path)
	if m == nil {
		_, action, _ := strings.Cut(path, ":")
		switch {
		case strings.Contains(path, "/"):
			return nil, &refusedError{"this is not known here"}
		case r.Method == http.MethodPost && (action == "pause" || action == "resume"):
			return nil, nil
		}
		return nil, &refusedError{"a queue of edgepurge stays: it may be paused"}
	}
	c := &change{queue: m[1], state: m[2], id: m[3], action: m[4]}
	deletes := r.Method == http.MethodDelete
	switch {
	case c.id != "" && deletes:
		c.action = "delete"
	case c.id != "":
		c.id, c.action, _ = strings.Cut(c.id, ":")
	case strings.HasSuffix(c.action, "_all"):
		c.action, c.many = strings.TrimSuffix(c.action, "_all"), "all"
	case strings.HasPrefix(c.action, "batch_"):
		c.action, c.many = strings.TrimPrefix(c.action, "batch_"), "batch"
	}
	if deletes != (c.action == "delete" && c.many != "batch") || !deletes && r.Method != http.MethodPost {
		return nil, &refusedError{"this is not known here"}
	}
	return c, c.check()
}

// check refuses what is never done to our tasks, whatever state they are in.
func (c *change) check() error {
	switch {
	case c.action == "delete" && c.state != queues.Dead && c.state != queues.Completed:
		return &refusedError{"this would lose purges that wait: archive them, then delete the dead letters"}
	case c.action == "delete", c.action == "archive":
		return nil
	case c.queue == tasks.QueueDeliveries: // no worker serves it
		return &refusedError{"a delivery that could not be mapped is mapped again by a replay: see " + Root + "/purges, or `edgepurge dead replay`"}
	case c.action == "run", c.action == "cancel":
		return nil
	}
	return &refusedError{"this is not known here"}
}

func ours(queue string) bool { return strings.HasPrefix(queue, "edgepurge-") }

// serve answers a request that changes tasks of ours, and reports whether it has.
// What asynq does itself by the state that a task is really in, it leaves to
// asynqmon.
func (g *guard) serve(w http.ResponseWriter, r *http.Request) bool {
	c, err := changeOf(r)
	if err == nil && c == nil {
		return false
	}
	var answer any
	if err == nil {
		var done bool
		if done, answer, err = g.carryOut(r, c); err == nil && !done {
			return false
		}
	}
	switch {
	case err != nil:
		status, text := statusOf(err)
		http.Error(w, text, status)
	case answer == nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer) // to a browser that may have left
	}
	return true
}

// statusOf is how an error is answered. What Redis says may name its address.
func statusOf(err error) (status int, text string) {
	_, refused := errors.AsType[*refusedError](err)
	_, otherwise := errors.AsType[*queues.StateError](err)
	switch {
	case refused:
		return http.StatusForbidden, err.Error()
	case otherwise:
		return http.StatusConflict, err.Error() + ": the page was old, or this would lose a purge"
	case errors.Is(err, queues.ErrMissing):
		return http.StatusNotFound, err.Error()
	case errors.Is(err, queues.ErrFull):
		return http.StatusForbidden, fmt.Sprintf("%v; %d are the limit here", err, lettersMost)
	}
	return http.StatusInternalServerError, "Redis does not answer as it should"
}

// carryOut does what is asked for, and answers as asynqmon does.
func (g *guard) carryOut(r *http.Request, c *change) (done bool, answer any, err error) {
	var one func(context.Context, string) error
	switch c.action {
	case "delete":
		one = func(ctx context.Context, id string) error { return queues.Remove(ctx, g.rdb, c.queue, id, c.state) }
	case "archive":
		one = func(ctx context.Context, id string) error {
			return queues.Archive(ctx, g.rdb, c.queue, id, lettersMost)
		}
	case "cancel":
		if c.many != "" { // a call that nobody waits for any more is repeated, no more than that
			return false, nil, nil
		}
		state, err := queues.StateOf(r.Context(), g.rdb, c.queue, c.id)
		if err == nil && state != queues.Active {
			err = &queues.StateError{ID: c.id, State: state}
		}
		return false, nil, err
	default: // asynq runs a task that waits or is dead, by its real state
		return false, nil, nil
	}
	switch c.many {
	case "":
		return true, nil, one(r.Context(), c.id)
	case "batch":
		answer, err = batch(r, c, one)
	default:
		answer, err = g.all(r.Context(), c, one)
	}
	return true, answer, err
}

// batch changes the tasks that the body names.
func batch(r *http.Request, c *change, one func(context.Context, string) error) (any, error) {
	var body struct {
		IDs []string `json:"task_ids"`
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, bodyMost)).Decode(&body); err != nil {
		return nil, &refusedError{"what is to be changed cannot be read"}
	}
	done, failed := []string{}, []string{}
	var fault error
	for _, id := range body.IDs {
		if err := one(r.Context(), id); err != nil {
			failed, fault = append(failed, id), err
			continue
		}
		done = append(done, id)
	}
	if len(done) == 0 && fault != nil {
		return nil, fault // the page shows no more than a status
	}
	if c.action == "delete" {
		return map[string][]string{"deleted_ids": done, "failed_ids": failed}, nil
	}
	return map[string][]string{"archived_ids": done, "error_ids": failed}, nil
}

// all changes what is in the state of the path. What leaves that state meanwhile
// stays.
func (g *guard) all(ctx context.Context, c *change, one func(context.Context, string) error) (any, error) {
	ids, err := queues.List(ctx, g.rdb, c.queue, c.state)
	if err != nil {
		return nil, err
	}
	if c.action == "archive" {
		dead, err := queues.Archived(ctx, g.rdb, c.queue)
		if err != nil {
			return nil, err
		}
		if dead+len(ids) > lettersMost {
			return nil, &refusedError{fmt.Sprintf("%d dead letters and %d more: asynq drops them silently past some 10,000, so %d are the limit here; replay or delete some first",
				dead, len(ids), lettersMost)}
		}
	}
	n := 0
	for _, id := range ids {
		err := one(ctx, id)
		if _, moved := errors.AsType[*queues.StateError](err); moved || errors.Is(err, queues.ErrMissing) {
			continue // it went on meanwhile
		}
		if err != nil {
			return nil, err
		}
		n++
	}
	return map[string]int{map[string]string{"delete": "deleted", "archive": "archived"}[c.action]: n}, nil
}
