package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/internal/queues"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// Adoption names what Adopt moves.
type Adoption struct {
	// From is the account that has it, in the configuration or not; To is one of it.
	From, To string
	// Project moves this project alone; empty: all of From, which must be out of the
	// configuration then.
	Project string
}

// AccountOf names the account of the configuration that covers a project; empty: none.
func AccountOf(c Config, project string) string {
	if a := accountOf(bareAccounts(c), project); a != nil {
		return a.Name
	}
	return ""
}

// Adopted counts what Adopt moved.
type Adopted struct {
	Items   int // from lanes
	Retries int // calls that waited in asynq; their items are among Items
	Holds   int // holds of From that ended with it
}

// adoptPause is how long Adopt waits for calls in flight before it looks again.
const adoptPause = 250 * time.Millisecond

// Adopt moves what waits under one account to another one. While it works nothing of it
// is claimed from the old account. Calls in flight there end first, or their lease does.
// It may be stopped at any time and called again. waiting is told how many calls it waits for.
func Adopt(ctx context.Context, c Config, rdb redis.UniversalClient, what Adoption, waiting func(calls int)) (Adopted, error) {
	from, to, err := what.accounts(c)
	if err != nil {
		return Adopted{}, err
	}
	m := &mover{
		Adoption: what, from: from, to: to, rdb: rdb, lanes: lanes.New(rdb), inspector: asynq.NewInspectorFromRedisClient(rdb),
	}
	err = m.move(ctx, waiting)
	return m.done, err
}

// accounts looks both accounts up. One that is out of the configuration has the default settings.
func (what Adoption) accounts(c Config) (from, to *account, err error) {
	all := bareAccounts(c)
	from, to = all[what.From], all[what.To]
	switch {
	case what.From == what.To:
		return nil, nil, fmt.Errorf("account %q is both where it comes from and where it goes", what.To)
	case to == nil:
		return nil, nil, fmt.Errorf("account %q is not in the configuration: only an account that a worker serves can take over", what.To)
	case from != nil && what.Project == "":
		return nil, nil, fmt.Errorf("account %q is still in the configuration, and new requests go there: remove it first, or move one project of it", what.From)
	case what.Project != "" && accountOf(all, what.Project) != to:
		return nil, nil, fmt.Errorf("project %q is not in account %q by the configuration, and new requests go elsewhere: correct projects[].account first", what.Project, what.To)
	}
	if from == nil {
		from = &account{Account: DefaultAccount(), timeout: c.Timeout, projects: map[string]Project{}}
		from.Name = what.From
	}
	return from, to, nil
}

// mover carries an Adoption out.
type mover struct {
	Adoption
	from, to  *account
	rdb       redis.UniversalClient
	lanes     *lanes.Lanes
	inspector *asynq.Inspector
	done      Adopted
}

// covers reports whether a project is among what is moved.
func (m *mover) covers(project string) bool { return m.Project == "" || m.Project == project }

func (m *mover) scope() string {
	if m.Project == "" {
		return lanes.ScopeAccount
	}
	return lanes.ScopeProject(m.Project)
}

func (m *mover) move(ctx context.Context, waiting func(calls int)) error {
	detail := fmt.Sprintf("`edgepurge adopt` moves it to account %s: run it again if it was interrupted", m.To)
	if err := m.lanes.Park(ctx, m.From, m.scope(), detail); err != nil {
		return err
	}
	if m.Project == "" {
		if err := m.lanes.CopyBudget(ctx, m.From, m.To); err != nil {
			return err
		}
	}
	told := false
	for end := time.Now().Add(m.from.timeout + 2*leaseMargin); ; {
		before := m.done
		inFlight, err := m.pass(ctx)
		switch {
		case err != nil:
			return err
		case m.done != before:
			continue
		case inFlight == 0:
			return m.finish(ctx)
		case time.Now().After(end):
			return fmt.Errorf("%d calls of account %s are still in flight: workers that have it in their configuration run; stop them, then run this again", inFlight, m.From)
		case !told:
			told = true
			waiting(inFlight)
		}
		if !sleep(ctx, adoptPause) {
			return ctx.Err()
		}
	}
}

// pass answers how many calls are under way, and moves what can be moved now. It counts
// first: what a call that ends meanwhile leaves behind, the next pass finds.
func (m *mover) pass(ctx context.Context) (inFlight int, err error) {
	limits, err := m.lanes.Limits(ctx, m.From, m.from.Budget.Per)
	if err != nil {
		return 0, err
	}
	for _, b := range limits.InFlight {
		if m.covers(b.Lane.Project) {
			inFlight++
		}
	}
	if err := m.recall(ctx); err != nil {
		return 0, err
	}
	expired, err := m.lanes.Expired(ctx, m.From)
	if err != nil {
		return 0, err
	}
	for _, b := range expired {
		if !m.covers(b.Lane.Project) {
			continue
		}
		if _, err := m.lanes.Restore(ctx, m.from.pace(b.Lane), b, true); err != nil {
			return 0, err
		}
	}
	pending, err := m.lanes.All(ctx, m.From)
	if err != nil {
		return 0, err
	}
	for _, lane := range pending {
		if !m.covers(lane.Project) {
			continue
		}
		if err := m.lanes.CopySpread(ctx, m.From, m.To, lane.Project); err != nil {
			return 0, err
		}
		n, err := m.lanes.Adopt(ctx, m.From, m.to.pace(lane), lane)
		m.done.Items += n
		if err != nil {
			return 0, err
		}
	}
	return inFlight, nil
}

// recall puts the items of calls that wait in asynq back into their lane, which fences
// the call off, and then deletes its task.
func (m *mover) recall(ctx context.Context) error {
	found, err := m.waitingCalls()
	if err != nil {
		return err
	}
	for _, info := range found {
		call, err := tasks.DecodeCall(info.Payload)
		if err != nil || call.Account != m.From || !m.covers(call.Lane.Project) || call.Verdict != nil {
			continue // another's, or on its way to the dead letters
		}
		b := batchOf(call)
		b.Attempt = call.Attempt + info.Retried + 1
		readHeaders(asynq.NewTaskWithHeaders(info.Type, info.Payload, info.Headers), &b)
		restored, err := m.lanes.Restore(ctx, m.from.pace(b.Lane), b, false)
		if err != nil {
			return err
		}
		if restored {
			m.done.Retries++
		}
		if err := m.remove(ctx, info); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes the task of a call that was fenced off. One that a worker runs by now,
// or has run, is left: it finds itself superseded.
func (m *mover) remove(ctx context.Context, info *asynq.TaskInfo) error {
	if info.State == asynq.TaskStatePending { // in a list, which queues.Remove does not look into
		_ = m.inspector.DeleteTask(tasks.QueueCalls, info.ID) // refused if a worker took it meanwhile
		return nil
	}
	err := queues.Remove(ctx, m.rdb, tasks.QueueCalls, info.ID, info.State.String())
	if _, moved := errors.AsType[*queues.StateError](err); moved || errors.Is(err, queues.ErrMissing) {
		return nil
	}
	return err
}

// waitingCalls lists the calls that asynq is to run, now or later.
func (m *mover) waitingCalls() ([]*asynq.TaskInfo, error) {
	const page = 1000
	var all []*asynq.TaskInfo
	for _, list := range []func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
		m.inspector.ListPendingTasks, m.inspector.ListScheduledTasks, m.inspector.ListRetryTasks,
	} {
		for n := 1; ; n++ {
			found, err := list(tasks.QueueCalls, asynq.PageSize(page), asynq.Page(n))
			if errors.Is(err, asynq.ErrQueueNotFound) {
				return nil, nil // no call has ever waited
			}
			if err != nil {
				return nil, fmt.Errorf("list the calls that wait in asynq: %w", err)
			}
			all = append(all, found...)
			if len(found) < page {
				break
			}
		}
	}
	return all, nil
}

// finish ends the holds of what was moved. An account of which nothing is left is forgotten.
func (m *mover) finish(ctx context.Context) error {
	holds, err := m.lanes.Holds(ctx, m.From)
	if err != nil {
		return err
	}
	left := 0
	for _, h := range holds {
		if m.Project != "" && h.Scope != m.scope() {
			left++
			continue
		}
		released, err := m.lanes.Release(ctx, m.From, h.Scope)
		if err != nil {
			return err
		}
		if released && h.Reason != lanes.ReasonAdopting {
			m.done.Holds++
		}
	}
	rest, err := m.lanes.All(ctx, m.From)
	if err != nil || left > 0 || len(rest) > 0 {
		return err
	}
	return m.lanes.SetDue(ctx, m.From, -1)
}
