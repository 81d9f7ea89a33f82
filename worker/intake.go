package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
	"github.com/rs/zerolog"

	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// intake absorbs the items of requests into their lanes. Duplicates end here.
type intake struct {
	lanes    *lanes.Lanes
	accounts map[string]*account
	archive  *archive
	unknown  *unknowns
	metrics  *metrics
	tracer   *tracer
	log      zerolog.Logger
}

// ProcessTask handles one purge:request. A task that no retry can mend becomes
// a dead letter; a task that Redis could not take is tried again.
func (in *intake) ProcessTask(ctx context.Context, t *asynq.Task) error {
	ctx, span := in.tracer.absorb(ctx, t)
	p, err := tasks.DecodePurge(t.Payload())
	if err != nil {
		p = guessPurge(t.Payload())
		err = in.unreadable(ctx, t.Payload(), err)
	} else {
		err = in.absorb(ctx, &p)
	}
	in.tracer.absorbed(span, &p, err)
	in.metrics.request(&p, in.label(p.Project), err, time.Now())
	return err
}

// unreadable puts back what a newer worker may read, and buries what none can.
func (in *intake) unreadable(ctx context.Context, payload []byte, why error) error {
	task, _ := asynq.GetTaskID(ctx)
	if mayBeNewer(why) {
		if err := in.unknown.putBack(ctx, task, why); err != nil {
			return err
		}
	}
	return in.buryPart(ctx, guessPart(task, payload), Invalid, why)
}

// label is the project entry that a project's items are counted under.
func (in *intake) label(project string) string {
	if a := accountOf(in.accounts, project); a != nil {
		return a.project(project).Project
	}
	return AnyProject
}

// absorb puts the items of a request into their lanes, or says why it cannot.
func (in *intake) absorb(ctx context.Context, p *tasks.Purge) error {
	a := accountOf(in.accounts, p.Project)
	if a == nil {
		why := fmt.Errorf(
			"project %q belongs to no account: add it under projects in the configuration, then run `edgepurge dead replay`", p.Project)
		if err := in.unknown.putBack(ctx, p.ID, why); err != nil {
			return err
		}
		return in.buryPart(ctx, partOf(p), NoAccount, why)
	}
	if why := a.noRoom(p, time.Now()); why != nil {
		return in.refuse(ctx, a, partOf(p), why)
	}
	receipt, err := in.track(ctx, a, p)
	if err != nil {
		return err
	}
	label := in.label(p.Project)
	for _, kind := range []tasks.Kind{tasks.Tag, tasks.SrcImage} {
		items := p.Items(kind)
		if len(items) == 0 {
			continue
		}
		lane := p.Lane(kind)
		absorbed, err := in.lanes.Absorb(ctx, a.pace(lane), lanes.Absorption{
			Request: p.ID, Lane: lane, Items: items,
			Settle: p.Settle, NotBefore: p.NotBefore, Rebound: p.Rebound, Receipt: receipt,
			Source: p.Source, Trace: in.tracer.traceOf(ctx),
		})
		if err != nil {
			return err
		}
		in.metrics.items.WithLabelValues(label, itemAccepted).Add(float64(absorbed.Added + absorbed.Again))
		in.metrics.items.WithLabelValues(label, itemDuplicate).Add(float64(absorbed.Duplicate))
		in.log.Debug().Str("request", p.ID).Str("source", p.Source).Str("account", a.Name).Str("lane", lane.ID()).
			Int("added", absorbed.Added).Int("again", absorbed.Again).Int("duplicate", absorbed.Duplicate).Msg("absorbed")
	}
	return nil
}

// noRoom says why the backlog has no room for a request; nil: it has. What is scheduled
// for later never keeps out what is due. A request for later needs room in both, since it
// moves from the one to the other. The time is the worker's own: nothing but memory
// depends on it.
func (a *account) noRoom(p *tasks.Purge, now time.Time) error {
	switch {
	case a.isFull():
		return fmt.Errorf("more than %d items of account %q are pending: see accounts[].backlog, and what keeps them in `edgepurge status`",
			a.Backlog.Max, a.Name)
	case a.isScheduleFull() && (p.NotBefore.Sub(now) > lanes.Soon || p.Settle > lanes.Soon):
		return fmt.Errorf("more than %d items of account %q are scheduled for later (not_before, settle): see accounts[].backlog",
			a.Backlog.Max, a.Name)
	}
	return nil
}

// refuse keeps a request out of a backlog that is full.
func (in *intake) refuse(ctx context.Context, a *account, of part, err error) error {
	if a.Backlog.WhenFull == FullDead {
		return in.buryPart(ctx, of, BacklogFull, err)
	}
	return &laterError{after: backlogFullDelay, why: fmt.Sprintf("%s: %v", BacklogFull, err)}
}

// backlogFullDelay is when a request that waits for room is tried again.
const backlogFullDelay = 10 * time.Second

// bury makes the request a dead letter, unless the archive has no room for it:
// then it is tried again until there is.
func (in *intake) bury(ctx context.Context, reason Reason, err error) error {
	full, lookErr := in.archive.full(ctx)
	if lookErr != nil {
		return lookErr
	}
	if full {
		return &laterError{after: archiveFullDelay, why: fmt.Sprintf("%s, and the archive is full: %v", reason, err)}
	}
	in.metrics.letters.WithLabelValues(string(reason)).Inc()
	return &letterError{reason: reason, cause: err}
}
