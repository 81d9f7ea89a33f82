package lanes

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/tasks"
)

// Attempt is the answer to Acquire: a leased batch, or why there is none and
// when to ask again.
type Attempt struct {
	Batch   *Batch
	Refused Refusal
	Wait    time.Duration // from now by Redis; with Superseded it means nothing
}

// Acquire asks for one attempt with a batch that left its lane earlier: it is
// refused when the batch was superseded, the account or project is held, or
// budget, in-flight limit or spread have no room, and leases the batch otherwise.
// Attempts of one batch are numbered; asking twice for the same one is one attempt.
// A half of a split that is refused for the budget books a call that claims leave to it.
func (l *Lanes) Acquire(ctx context.Context, pace Pace, b Batch, attempt int, half bool) (Attempt, error) {
	settings, err := pace.encode(b.Lane)
	if err != nil {
		return Attempt{}, fmt.Errorf("acquire batch %s: %w", b.ID, err)
	}
	k := keysOf(pace.Account)
	names := []string{
		k.inflight(), k.batches(), k.budget(), k.state(), k.spread(b.Lane.Project), k.hold(), k.superseded(),
		k.booked(), k.bookedUrgent(), k.carried(b.ID),
	}
	args := []any{
		settings, b.Lane.Project, flag(b.Lane.Priority == tasks.Urgent), b.ID, attempt, b.Lane.ID(),
		b.DeadlineSeconds, b.Due.UnixMilli(), flag(half), b.brought(),
	}
	for _, item := range b.Items {
		args = append(args, item)
	}
	reply, err := acquireScript.Run(ctx, l.rdb, names, args...).Slice()
	if err != nil {
		return Attempt{}, fmt.Errorf("acquire batch %s: %w", b.ID, err)
	}
	switch reply[0] {
	case "superseded":
		return Attempt{Refused: Superseded}, nil
	case "refused":
		return Attempt{Refused: refusal(reply[1]), Wait: waitOf(reply[2], reply[3])}, nil
	}
	text, _ := reply[1].(string)
	leased, err := decodeBatch(b.ID, text)
	return Attempt{Batch: leased}, err
}

// Restore puts the items of a batch back into their lane as if they had not been
// claimed: due when they were, with the rebounds that they asked for, and having failed
// Attempt - 1 times. It fences the batch off for ten minutes, so that no attempt of it
// runs any more. It reports whether it did: a second Restore does nothing. With
// onlyExpired it does nothing either while the batch's lease runs or after it was finished.
func (l *Lanes) Restore(ctx context.Context, pace Pace, b Batch, onlyExpired bool) (bool, error) {
	settings, err := pace.encodeFor(b.Lane)
	if err != nil {
		return false, fmt.Errorf("restore batch %s: %w", b.ID, err)
	}
	k := keysOf(pace.Account)
	names := append([]string{k.lanes()}, k.family(b.Lane)...)
	names = append(names, k.spread(b.Lane.Project), k.hold(), k.inflight(), k.batches(), k.superseded(), k.receipts(b.Lane),
		k.carried(b.ID), k.origins(b.Lane), k.failed(b.Lane))
	names = append(names, k.lines()...)
	args := []any{settings, b.Lane.Project, rank(b.Lane.Priority)}
	args = append(args, laneIDs(b.Lane)...)
	args = append(args, b.ID, flag(onlyExpired), b.Due.UnixMilli(), b.notedAt().UnixMilli(), max(0, b.Attempt-1), b.brought())
	for _, item := range b.Items {
		args = append(args, item)
	}
	reply, err := restoreScript.Run(ctx, l.rdb, names, args...).Slice()
	if err != nil {
		return false, fmt.Errorf("restore batch %s: %w", b.ID, err)
	}
	l.hint(ctx, pace.Account, millis(reply[1]))
	return integer(reply[0]) == 1, nil
}

// Finish ends the lease of a call and tells the budget when the call was over.
// A probe that the API let in (it succeeded, or only its items were refused) lifts the
// hold of its account and of its project; Finish then reports true. A batch that is
// not leased any more is no error.
func (l *Lanes) Finish(ctx context.Context, account string, b Batch, attempt int, letIn bool) (lifted bool, err error) {
	names, args := finishOf(account, b, attempt, letIn)
	n, err := finishScript.Run(ctx, l.rdb, names, args...).Int()
	if err != nil {
		return false, fmt.Errorf("finish batch %s: %w", b.ID, err)
	}
	if !letIn || !b.Probe {
		return false, nil
	}
	// Even if n is 0: the reply that lifted the hold may have been lost.
	return n > 0, l.offerHeld(ctx, account, ScopeProject(b.Lane.Project))
}

// finishOf returns the keys and arguments of a finish.
func finishOf(account string, b Batch, attempt int, letIn bool) (names []string, args []any) {
	k := keysOf(account)
	return []string{k.inflight(), k.batches(), k.budget(), k.hold(), k.holdsEnded()}, []any{b.ID, attempt, b.Lane.Project, flag(letIn)}
}

// expiredMost bounds how many batches of dead workers one Expired reads.
const expiredMost = 100

// Expired lists batches whose lease has ended without Finish: their worker died
// or lost Redis. It lists them also with an error, which may be of one record only.
func (l *Lanes) Expired(ctx context.Context, account string) ([]Batch, error) {
	now, err := l.now(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for dead workers of account %s: %w", account, err)
	}
	k := keysOf(account)
	ids, err := l.rdb.ZRangeArgs(ctx, redis.ZRangeArgs{
		Key: k.inflight(), ByScore: true, Start: "-inf", Stop: strconv.FormatInt(now.UnixMilli(), 10), Count: expiredMost,
	}).Result()
	if err != nil || len(ids) == 0 {
		return nil, wrapNil(err, "look for dead workers of account "+account)
	}
	texts, err := l.rdb.HMGet(ctx, k.batches(), ids...).Result()
	if err != nil {
		return nil, fmt.Errorf("look for dead workers of account %s: %w", account, err)
	}
	var batches []Batch
	var faults []error
	for i, text := range texts {
		s, ok := text.(string)
		if !ok {
			continue // finished in between
		}
		b, err := decodeBatch(ids[i], s)
		if err != nil {
			faults = append(faults, fmt.Errorf("account %s: %w", account, err))
			continue
		}
		batches = append(batches, *b)
	}
	return batches, errors.Join(faults...)
}

func wrapNil(err error, doing string) error {
	if err == nil || errors.Is(err, redis.Nil) {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// learnedFor is how long a limit that an answer taught is believed.
const learnedFor = time.Hour

// Pause lets no call of the account start for the given time; a longer pause
// that runs already stays. A limit above 0 is what the API said it allows in a
// window: it is believed for an hour, and only where it is below the budget.
func (l *Lanes) Pause(ctx context.Context, account string, wait time.Duration, limit int) error {
	return l.pause(ctx, Pace{Account: account}, wait, limit, "", "")
}

// PauseLimited is Pause after a 429. Where the answer told no limit, it infers one
// from the calls that succeeded in the running window, if any did; that limit is
// raised by steps from the next window on (docs/decisions/0006). The batch and attempt
// that were answered teach once, however often this is called for them.
func (l *Lanes) PauseLimited(ctx context.Context, pace Pace, wait time.Duration, limit int, batch string, attempt int) error {
	return l.pause(ctx, pace, wait, limit, "429", fmt.Sprintf("%s#%d", batch, attempt))
}

// PauseIfAhead pauses the account when the API's window is used up while ours
// is not: somebody else spends the same limit. When ours is used up as well it
// does nothing, for the budget is the finer clock.
func (l *Lanes) PauseIfAhead(ctx context.Context, pace Pace, wait time.Duration) error {
	return l.pause(ctx, pace, wait, 0, "ahead", "")
}

func (l *Lanes) pause(ctx context.Context, pace Pace, wait time.Duration, limit int, why, call string) error {
	k := keysOf(pace.Account)
	err := pauseScript.Run(ctx, l.rdb, []string{k.state(), k.budget()},
		ceilMillis(wait), limit, learnedFor.Milliseconds(), why, pace.Calls, pace.Per.Milliseconds(), call).Err()
	if err != nil {
		return fmt.Errorf("pause account %s: %w", pace.Account, err)
	}
	return nil
}

// Resume ends a pause and forgets every limit that answers taught.
func (l *Lanes) Resume(ctx context.Context, account string) error {
	if err := l.rdb.Del(ctx, keysOf(account).state()).Err(); err != nil {
		return fmt.Errorf("resume account %s: %w", account, err)
	}
	return l.wake(ctx, account)
}

func (l *Lanes) wake(ctx context.Context, account string) error {
	if err := l.rdb.Publish(ctx, ChannelWake, account).Err(); err != nil {
		return fmt.Errorf("wake the workers of account %s: %w", account, err)
	}
	l.hint(ctx, account, time.UnixMilli(1)) // long due
	return nil
}

// LearnMax notes that the API takes fewer items of a kind in one call than
// documented. It is believed for an hour.
func (l *Lanes) LearnMax(ctx context.Context, account string, kind tasks.Kind, most int) error {
	now, err := l.now(ctx)
	if err != nil {
		return fmt.Errorf("note the most items a call of account %s may hold: %w", account, err)
	}
	until := now.Add(learnedFor).UnixMilli()
	err = l.rdb.HSet(ctx, keysOf(account).state(), "max:"+string(kind), fmt.Sprintf("%d:%d", most, until)).Err()
	if err != nil {
		return fmt.Errorf("note the most items a call of account %s may hold: %w", account, err)
	}
	return nil
}

func ceilMillis(d time.Duration) int64 {
	return int64((d + time.Millisecond - time.Nanosecond) / time.Millisecond)
}
