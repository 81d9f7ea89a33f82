package worker

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/rs/zerolog"

	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// pacer claims the batches of one account as budget, spread and linger allow,
// and sleeps in between until the next due time or a wake-up. Every worker has
// one for each account; the scripts keep them from claiming anything twice.
type pacer struct {
	account   *account
	lanes     *lanes.Lanes
	caller    *caller
	collapser *collapser
	slots     chan struct{} // bounds the calls of this process
	room      chan struct{} // and those of its account in this process: Redis would refuse more
	wakeups   chan struct{} // of capacity 1: something may be served earlier than thought
	ended     chan struct{} // of capacity 1: a call of this process ended
	calls     sync.WaitGroup
	away      func() bool // whether Redis is known not to answer; nil: unknown
	log       zerolog.Logger
	trouble   zerolog.Logger // a line a second at most: all calls under way meet the same

	streak streak
}

const (
	longestSleep   = time.Minute // a full look at the account, whatever the hints say
	firstRedisWait = 100 * time.Millisecond
	longestWait    = 5 * time.Second
)

func newPacer(a *account, l *lanes.Lanes, c *caller, slots chan struct{}, log zerolog.Logger) *pacer {
	log = log.With().Str("account", a.Name).Logger()
	return &pacer{
		account: a, lanes: l, caller: c, collapser: newCollapser(a, l, c.metrics, log), slots: slots, room: make(chan struct{}, a.Budget.InFlight),
		wakeups: make(chan struct{}, 1), ended: make(chan struct{}, 1), log: log,
		trouble: log.Sample(&zerolog.BurstSampler{Burst: 1, Period: time.Second}),
	}
}

// wake makes the pacer look at once. It never blocks.
func (p *pacer) wake() { signal(p.wakeups) }

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run claims until ctx ends, then waits for the calls in hand.
func (p *pacer) run(ctx context.Context) {
	defer p.calls.Wait()
	failing := firstRedisWait
	for ctx.Err() == nil {
		wait, err := p.serve(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if p.away == nil || !p.away() { // its watch says so
				p.log.Error().Err(err).Dur("retry_in_ms", failing).Msg("claim")
			}
			if !sleep(ctx, failing) {
				return
			}
			failing = min(2*failing, longestWait)
			continue
		}
		failing = firstRedisWait
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-p.wakeups:
		case <-p.ended:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// serve claims and starts calls until nothing may go any more, and returns for
// how long that is so.
func (p *pacer) serve(ctx context.Context) (time.Duration, error) {
	for {
		if !p.enter(ctx) {
			return 0, ctx.Err()
		}
		asked := time.Now()
		batch, wait, err := p.claimWhole(ctx)
		if batch == nil {
			p.leave()
			if err != nil {
				return 0, err
			}
			return wait, nil
		}
		p.calls.Go(func() {
			p.work(ctx, batch, asked)
			p.leave()
			signal(p.ended) // and so another may begin
		})
	}
}

// work makes the call of a batch that was asked for then, and those that follow
// it without a look at the other lanes.
func (p *pacer) work(ctx context.Context, batch *lanes.Batch, asked time.Time) {
	for batch != nil {
		if !mayStillCall(asked) {
			p.log.Warn().Str("batch", batch.ID).Msg("stopped for long after a claim: the lease ends and the items go back to their lane")
			return
		}
		j := p.call(context.WithoutCancel(ctx), *batch)
		asked = time.Now()
		batch = p.follow(ctx, *batch, j)
	}
}

// mayStillCall reports whether a call on a lease that was asked for then ends
// before the lease does. It does not when this process was stopped in between (a
// SIGSTOP, a starved machine): then others may have the items and the budget.
func mayStillCall(asked time.Time) bool { return time.Since(asked) < leaseMargin }

// enter waits for room for a call; false means that ctx ended first.
func (p *pacer) enter(ctx context.Context) bool {
	select {
	case p.room <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	select {
	case p.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		<-p.room
		return false
	}
}

func (p *pacer) leave() {
	<-p.slots
	<-p.room
}

// hint tells the other workers when this account is due, should this one die, and
// the command line that there is something to be seen of it.
// Redis may refuse it, when it is full: every pacer looks for itself once a minute.
func (p *pacer) hint(ctx context.Context, view lanes.View, wait time.Duration) {
	if view.Idle() {
		wait = -1
	}
	if err := p.lanes.SetDue(ctx, p.account.Name, wait); err != nil {
		p.log.Debug().Err(err).Msg("hint")
	}
}

// claimWhole is claim, not cut off by a stop: a batch whose claim Redis had
// answered to nobody would wait for the end of its lease.
func (p *pacer) claimWhole(ctx context.Context) (*lanes.Batch, time.Duration, error) {
	if ctx.Err() != nil {
		return nil, 0, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseMargin)
	defer cancel()
	return p.claim(ctx)
}

// claim takes one batch, or says for how long there is none, the other workers too.
func (p *pacer) claim(ctx context.Context) (*lanes.Batch, time.Duration, error) {
	if batch, err := p.claimMore(ctx); batch != nil || err != nil {
		return batch, 0, err
	}
	select {
	case <-p.wakeups: // answered by the look that follows
	default:
	}
	view, err := p.lanes.Peek(ctx, p.account.Name)
	if err != nil {
		return nil, 0, err
	}
	next := longestSleep
	if !view.Next.IsZero() {
		next = min(next, view.Next.Sub(view.Now))
	}
	wait := next
	for _, lane := range order(view) {
		looked, err := p.collapser.look(ctx, lane)
		if err != nil {
			return nil, 0, err
		}
		if !looked {
			wait = min(wait, stillLooking)
			continue
		}
		got, err := p.lanes.Claim(ctx, p.account.pace(lane), lane, ulid.Make().String())
		if err != nil {
			return nil, 0, err
		}
		if got.Batch != nil {
			if len(view.Ready) == 1 && len(p.account.rules(lane)) == 0 { // rules are looked at before each claim
				p.streak.begin(lane, next)
			}
			return got.Batch, 0, nil
		}
		if got.Refused.LeavesLine() { // a lane behind it may go, which this look did not show
			wait = min(wait, time.Millisecond)
		} else {
			wait = min(wait, max(got.Wait, time.Millisecond))
		}
		if got.Refused.OfAccount() {
			break // what comes after is no more urgent
		}
	}
	p.hint(ctx, view, wait)
	return nil, wait, nil
}

// claimMore claims again from the lane of the streak, if there is one.
func (p *pacer) claimMore(ctx context.Context) (*lanes.Batch, error) {
	lane, ok := p.more()
	if !ok {
		return nil, nil
	}
	got, err := p.lanes.Claim(ctx, p.account.pace(lane), lane, ulid.Make().String())
	if got.Batch == nil {
		p.streak.end()
	}
	return got.Batch, err
}

// more is the lane that may be claimed from without a look at the others: a
// wake-up, which every lane that becomes ready causes, ends that.
func (p *pacer) more() (tasks.Lane, bool) {
	if len(p.wakeups) > 0 {
		p.streak.end()
	}
	return p.streak.next()
}

// follow writes down what came of a call and, in the same exchange with Redis if
// it may, claims the batch of the next one; nil if it did not.
func (p *pacer) follow(ctx context.Context, b lanes.Batch, j Judgment) *lanes.Batch {
	var next *lanes.Batch
	if ctx.Err() == nil && j.isPlain() && !b.Probe && !b.Tracked {
		if lane, ok := p.more(); ok {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseMargin)
			defer cancel()
			got, err := p.lanes.FinishAndClaim(ctx, p.account.pace(lane), b, b.Attempt, lane, ulid.Make().String())
			if got.Batch == nil {
				p.streak.end()
			}
			if err == nil {
				return got.Batch
			}
			next = got.Batch // Finish may not be done, and is done again below
		}
	}
	p.writeDown(context.WithoutCancel(ctx), b, j)
	return next
}

// call makes the first call with a batch since its claim.
func (p *pacer) call(ctx context.Context, b lanes.Batch) Judgment {
	j := p.caller.call(ctx, p.account, b, b.Attempt)
	if j.Verdict == TryAgain && b.Attempt >= p.account.Retry.MaxAttempts {
		j.Verdict = Dead
	}
	return j
}

// writeDown carries out what the answer asks for. If Redis cannot take it within
// the lease, the lease ends and the call is repeated.
func (p *pacer) writeDown(ctx context.Context, b lanes.Batch, j Judgment) {
	ctx, cancel := context.WithTimeout(ctx, leaseMargin)
	defer cancel()
	for {
		err := p.caller.carryOut(ctx, p.account, b, j)
		if err == nil {
			return
		}
		if p.away == nil || !p.away() { // its watch says so
			p.trouble.Error().Err(err).Str("batch", b.ID).Stringer("verdict", j.Verdict).Msg("write down the answer to a call")
		}
		if !sleep(ctx, firstRedisWait) {
			p.trouble.Error().Str("batch", b.ID).Msg("the answer could not be written down: the call will be repeated")
			return
		}
	}
}

// bulkPatience is how long a bulk lane waits behind normal ones before it
// competes with them: bulk comes last and is not starved.
const bulkPatience = time.Minute

// order says in which order the ready lanes of an account are served: urgent
// before the others, then the project that was served longest ago, so that one
// project's backlog does not starve another's, and within a project the lane
// that waits longest. What probes a held account comes from another project than the
// one that failed, if there is any. It is a pure function.
func order(view lanes.View) []tasks.Lane {
	class := func(r lanes.Ready) int {
		switch {
		case r.Lane.Priority == tasks.Urgent:
			return 0
		case r.Lane.Priority == tasks.Bulk && view.Now.Sub(r.Since) < bulkPatience:
			return 2
		}
		return 1
	}
	failed := func(r lanes.Ready) int {
		if view.Failed != "" && r.Lane.Project == view.Failed {
			return 1
		}
		return 0
	}
	ready := slices.Clone(view.Ready)
	slices.SortStableFunc(ready, func(a, b lanes.Ready) int {
		return cmp.Or(
			cmp.Compare(failed(a), failed(b)),
			cmp.Compare(class(a), class(b)),
			a.ProjectServed.Compare(b.ProjectServed),
			a.Since.Compare(b.Since),
		)
	})
	lanes := make([]tasks.Lane, len(ready))
	for i, r := range ready {
		lanes[i] = r.Lane
	}
	return lanes
}
