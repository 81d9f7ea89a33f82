package worker

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"

	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// attempts handles purge:call: the calls that asynq keeps because they must be
// tried again or looked at.
type attempts struct {
	caller
	accounts map[string]*account
	unknown  *unknowns
	running  atomic.Int64 // tasks in hand
}

// ProcessTask makes one attempt, or archives the task if it is a dead letter.
// What Redis refuses in between costs no attempt.
func (t *attempts) ProcessTask(ctx context.Context, task *asynq.Task) error {
	t.running.Add(1)
	defer t.running.Add(-1)
	err := t.process(ctx, task)
	if isOutcome(err) {
		return err
	}
	return &laterError{after: time.Second + time.Duration(random()*float64(4*time.Second)), why: err.Error()}
}

// isOutcome reports whether err says what becomes of a task; any other error is
// one of Redis.
func isOutcome(err error) bool {
	_, dead := errors.AsType[*letterError](err)
	_, retried := errors.AsType[*retryError](err)
	_, later := errors.AsType[*laterError](err)
	return err == nil || dead || retried || later
}

func (t *attempts) process(ctx context.Context, task *asynq.Task) error {
	call, err := tasks.DecodeCall(task.Payload())
	if err != nil {
		return t.unreadable(ctx, task.Payload(), err)
	}
	if call.Verdict != nil { // before the account is looked for: it needs none
		noted, err := t.lanes.TakeVerdict(ctx, call.Account, call.Batch)
		if err != nil {
			return err
		}
		if noted {
			return &letterError{reason: Reason(call.Verdict.Reason), cause: withoutReason(call.Verdict)}
		}
		call.Attempt = 0 // somebody replayed the dead letter: it starts anew
	}
	a := t.accounts[call.Account]
	if a == nil {
		return t.withoutAccount(ctx, &call)
	}
	retried, _ := asynq.GetRetryCount(ctx)
	attempt := call.Attempt + retried + 1
	b := batchOf(call)
	b.Attempt = attempt
	readHeaders(task, &b)
	asked := time.Now()
	got, err := t.lanes.Acquire(ctx, a.pace(call.Lane), b, attempt, isHalf(call.Batch))
	if err != nil {
		return err
	}
	switch {
	case got.Refused == lanes.Superseded:
		t.log.Info().Str("batch", b.ID).Msg("superseded: its items went back to their lane")
		return nil
	case got.Refused != "" && isHalf(b.ID):
		return &laterError{after: got.Wait, why: string(got.Refused)}
	case got.Refused != "":
		return t.handBack(ctx, a, b, attempt, Reason(got.Refused))
	}
	if !mayStillCall(asked) {
		return errors.New("stopped for long after the lease was given")
	}
	err = t.try(ctx, a, *got.Batch, attempt)
	if isOutcome(err) {
		return err
	}
	// The same attempt is leased and booked: made again now, it would be a call
	// that nobody has paid for. When the lease is over its items are in their lane.
	return &laterError{after: a.timeout + 2*leaseMargin, why: "the answer could not be written down: " + err.Error()}
}

// unreadable puts back what a newer worker may read, and buries what none can.
func (t *attempts) unreadable(ctx context.Context, payload []byte, why error) error {
	account, batch, items := guessCall(payload)
	if mayBeNewer(why) {
		task, _ := asynq.GetTaskID(ctx)
		if err := t.unknown.putBack(ctx, task, why); err != nil {
			return err
		}
	}
	return t.buryCall(ctx, account, batch, items, Invalid, why)
}

// withoutAccount puts back a call whose account a newer worker may have, and buries it
// when none has.
func (t *attempts) withoutAccount(ctx context.Context, call *tasks.Call) error {
	why := fmt.Errorf("account %q is not in the configuration: add it, then run `edgepurge dead replay`", call.Account)
	if err := t.unknown.putBack(ctx, call.Batch, why); err != nil {
		return err
	}
	return t.buryCall(ctx, call.Account, call.Batch, call.Items, NoAccount, why)
}

// try makes the call and tells asynq what becomes of the task.
func (t *attempts) try(ctx context.Context, a *account, b lanes.Batch, attempt int) error {
	j := t.call(ctx, a, b, attempt)
	if j.Verdict == TryAgain && attempt >= a.Retry.MaxAttempts {
		j.Verdict = Dead
	}
	// The answer must be written down even if asynq's deadline has passed by now.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseMargin)
	defer cancel()
	switch j.Verdict {
	case Done:
		return t.done(ctx, a, b, attempt, j)
	case Wait:
		if isHalf(b.ID) {
			return t.waitApart(ctx, a, b, attempt, j)
		}
		return t.wait(ctx, a, b, attempt, j)
	case TryAgain:
		if err := t.finish(ctx, a, b, attempt, false); err != nil {
			return err
		}
		return &retryError{after: inAsynq(backoff(a.Retry, attempt, j.After, random()), j.After), cause: &j.Letter}
	case Split:
		return t.split(ctx, a, b, attempt, j)
	case Dead, HoldAccount, HoldProject:
		dies, err := t.mayDie(ctx, a, b, attempt, j)
		if err != nil || !dies {
			return err
		}
		if err := t.lanes.Settle(ctx, a.Name, b, lanes.Died); err != nil {
			return err
		}
		if err := t.finish(ctx, a, b, attempt, j.provesToken()); err != nil {
			return err
		}
		return &letterError{reason: j.Reason, cause: withoutReason(&j.Letter)}
	}
	return fmt.Errorf("batch %s: unknown verdict %d", b.ID, j.Verdict)
}

// waitApart is wait for the half of a split: it keeps its items to itself.
func (t *attempts) waitApart(ctx context.Context, a *account, b lanes.Batch, attempt int, j Judgment) error {
	pause := t.pauseOf(a, j)
	if err := t.lanes.PauseLimited(ctx, a.pace(b.Lane), pause, j.Limit, b.ID, attempt); err != nil {
		return err
	}
	if err := t.finish(ctx, a, b, attempt, false); err != nil {
		return err
	}
	return &laterError{after: pause, why: string(RateLimited)}
}

// bury makes a call that this worker cannot even read a dead letter, if the
// archive has room.
func (t *attempts) bury(ctx context.Context, reason Reason, cause error) error {
	full, err := t.archive.full(ctx)
	if err != nil {
		return err
	}
	if full {
		return &laterError{after: archiveFullDelay, why: fmt.Sprintf("%s, and the archive is full: %v", reason, cause)}
	}
	t.metrics.letters.WithLabelValues(string(reason)).Inc()
	return &letterError{reason: reason, cause: cause}
}

// withoutReason is a verdict's message without its first word, which letterError says.
func withoutReason(v *tasks.Verdict) error {
	rest := *v
	rest.Reason = "the call cannot succeed"
	if v.Reason == string(TryLater) || v.Reason == string(ServerError) || v.Reason == string(Unreachable) {
		rest.Reason = "every attempt failed"
	}
	return errors.New(rest.Error())
}

func batchOf(call tasks.Call) lanes.Batch {
	return lanes.Batch{
		ID: call.Batch, Lane: call.Lane, Items: call.Items,
		DeadlineSeconds: call.DeadlineSeconds, ClaimedAt: call.ClaimedAt, Due: call.ClaimedAt,
	}
}

// retryDelay is asynq's RetryDelayFunc for all tasks: what the error asks for,
// else (Redis refused something) a short backoff.
func retryDelay(n int, err error, _ *asynq.Task) time.Duration {
	if e, ok := errors.AsType[*retryError](err); ok {
		return e.after
	}
	if e, ok := errors.AsType[*laterError](err); ok {
		return e.after
	}
	return backoff(Retry{Base: time.Second, Cap: time.Minute}, n+1, time.Second, random())
}

// isFailure is asynq's: a laterError costs no attempt.
func isFailure(err error) bool {
	_, later := errors.AsType[*laterError](err)
	return !later
}
