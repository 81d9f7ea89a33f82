package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/edgepurge/edgepurge/internal/vercel"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// caller makes calls and carries out what the judge says of their answers. A
// batch that it is given is leased; when it returns, the items of the batch are
// purged, back in their lane, or in a task that is stored. If it dies in
// between, the lease ends and the items go back to their lane.
type caller struct {
	lanes   *lanes.Lanes
	tasks   *asynq.Client
	rdb     redis.UniversalClient
	archive *archive
	metrics *metrics
	recent  *recent
	tracer  *tracer
	log     zerolog.Logger
}

// call makes one API request and judges its answer.
func (c *caller) call(ctx context.Context, a *account, b lanes.Batch, attempt int) Judgment {
	start := time.Now()
	answer, err := a.client.Purge(ctx, vercel.Request{
		Project: b.Lane.Project, Kind: b.Lane.Kind, Operation: b.Lane.Operation, Items: b.Items,
		Target: b.Lane.Target, DeadlineSeconds: b.DeadlineSeconds,
		StringForm: a.Batch.Form == FormString && b.Lane.Kind == tasks.Tag,
	})
	end := time.Now()
	j := judge(answer, err, b.Lane.Kind, len(b.Items), end)

	c.metrics.call(a.Name, b.Lane.Kind, b.Lane.Operation, j).Inc()
	c.metrics.duration.Observe(end.Sub(start).Seconds())
	c.metrics.sizes.Observe(float64(len(b.Items)))
	if j.Verdict == Done {
		c.metrics.latency.Observe(max(0, end.Sub(b.Due).Seconds()))
	}
	c.recent.add(a.Name, &b, attempt, &j, answer.Status, answer.RequestID, end, end.Sub(start))
	m := made{
		account: a.Name, batch: &b, attempt: attempt, judgment: &j, status: answer.Status, vercelID: answer.RequestID,
		start: start, end: end, origins: b.Origins.All(),
	}
	c.tell(&m, c.tracer.called(ctx, &m))
	c.adapt(ctx, a, b, eventOf(j, b), answer.Limit.Limit)
	return j
}

// carryOut does what the verdict on a first call asks for. What must be tried
// again or looked at is stored before the lease ends.
func (c *caller) carryOut(ctx context.Context, a *account, b lanes.Batch, j Judgment) error {
	switch j.Verdict {
	case Done:
		return c.done(ctx, a, b, b.Attempt, j)
	case Wait:
		return c.wait(ctx, a, b, b.Attempt, j)
	case TryAgain:
		wait := inAsynq(backoff(a.Retry, b.Attempt, j.After, random()), j.After)
		if err := c.store(ctx, a, callOf(a, b, b.Attempt), &b, asynq.ProcessIn(wait)); err != nil {
			return err
		}
		return c.finish(ctx, a, b, b.Attempt, false)
	case Split:
		return c.split(ctx, a, b, b.Attempt, j)
	case Dead, HoldAccount, HoldProject:
		dies, err := c.mayDie(ctx, a, b, b.Attempt, j)
		if err != nil || !dies {
			return err
		}
		call := callOf(a, b, b.Attempt)
		call.Verdict = &j.Letter
		if err := c.lanes.NoteVerdict(ctx, a.Name, b.ID); err != nil {
			return err
		}
		if err := c.store(ctx, a, call, &b); err != nil {
			return err
		}
		if err := c.lanes.Settle(ctx, a.Name, b, lanes.Died); err != nil {
			return err
		}
		return c.finish(ctx, a, b, b.Attempt, j.provesToken())
	}
	return fmt.Errorf("batch %s: unknown verdict %d", b.ID, j.Verdict)
}

func (c *caller) done(ctx context.Context, a *account, b lanes.Batch, attempt int, j Judgment) error {
	if err := c.lanes.Settle(ctx, a.Name, b, lanes.Purged); err != nil {
		return err
	}
	if err := c.finish(ctx, a, b, attempt, true); err != nil {
		return err
	}
	if j.Exhausted == 0 {
		return nil
	}
	return c.lanes.PauseIfAhead(ctx, a.pace(b.Lane), min(j.Exhausted, longestPause(a.Budget.Per)))
}

// pauseOf is how long the account pauses after a 429, and logs it.
func (c *caller) pauseOf(a *account, j Judgment) time.Duration {
	pause := pauseAfter(j.After, a.Budget.Per, random())
	line := c.log.Warn().Str("account", a.Name).Dur("pause_ms", pause).Int("limit", j.Limit)
	if j.After > longestPause(a.Budget.Per) {
		line.Dur("asked_ms", j.After).Msg("rate limited by Vercel for longer than is believed: the account pauses, then one call asks again")
		return pause
	}
	line.Msg("rate limited by Vercel: the account pauses")
	return pause
}

// wait pauses the account as a 429 asks and hands the items back.
func (c *caller) wait(ctx context.Context, a *account, b lanes.Batch, attempt int, j Judgment) error {
	pause := c.pauseOf(a, j)
	if err := c.lanes.PauseLimited(ctx, a.pace(b.Lane), pause, j.Limit, b.ID, attempt); err != nil {
		return err
	}
	return c.handBack(ctx, a, b, attempt, RateLimited)
}

// handBack puts the items back into their lane. The lease goes with it, so the
// budget learns of the call's end afterwards.
func (c *caller) handBack(ctx context.Context, a *account, b lanes.Batch, attempt int, why Reason) error {
	if _, err := c.lanes.Restore(ctx, a.pace(b.Lane), b, false); err != nil {
		return err
	}
	c.metrics.returned.WithLabelValues(string(why)).Inc()
	return c.finish(ctx, a, b, attempt, false)
}

func (c *caller) finish(ctx context.Context, a *account, b lanes.Batch, attempt int, provesToken bool) error {
	lifted, err := c.lanes.Finish(ctx, a.Name, b, attempt, provesToken)
	if lifted {
		c.log.Info().Str("account", a.Name).Str("project", b.Lane.Project).Msg("the probe succeeded: the hold is lifted")
		c.adapt(ctx, a, b, lanes.Restarted, 0)
	}
	return err
}

// store puts a call into asynq, to be run at once or after a wait, with what the items of
// its batch bring along. A conflict says that it is stored already.
func (c *caller) store(ctx context.Context, a *account, call tasks.Call, b *lanes.Batch, wait ...asynq.Option) error {
	payload, err := call.Encode()
	if err != nil {
		return fmt.Errorf("store batch %s: %w", call.Batch, err)
	}
	options := append(wait,
		asynq.Queue(tasks.QueueCalls), asynq.TaskID(call.Batch), asynq.MaxRetry(neverExhausted), asynq.Timeout(a.timeout+2*leaseMargin))
	_, err = c.tasks.EnqueueContext(ctx, asynq.NewTaskWithHeaders(tasks.TypeCall, payload, headersOf(b)), options...)
	if err != nil && !isStored(err) {
		return fmt.Errorf("store batch %s: %w", call.Batch, err)
	}
	if len(wait) == 0 {
		_ = c.rdb.Publish(ctx, tasks.ChannelQueued, "").Err() // a hint
	}
	return nil
}

// callOf is a batch as a task keeps it: the attempts so far count on.
func callOf(a *account, b lanes.Batch, attempt int) tasks.Call {
	return tasks.Call{
		Batch: b.ID, Account: a.Name, Lane: b.Lane, Items: b.Items,
		DeadlineSeconds: b.DeadlineSeconds, ClaimedAt: b.ClaimedAt, Attempt: attempt,
	}
}
