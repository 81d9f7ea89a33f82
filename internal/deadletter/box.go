package deadletter

import (
	"context"
	"errors"
	"fmt"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/enqueue"
	"github.com/edgepurge/edgepurge/internal/queues"
	"github.com/edgepurge/edgepurge/tasks"
)

// Source is the Source of the requests that replay calls.
const Source = "replay"

// ErrNotFound says that no dead letter has the key: it was never one, or was
// replayed, run or deleted meanwhile.
var ErrNotFound = errors.New("no such dead letter")

// Box holds the dead letters of one Redis. It is safe for concurrent use; what
// two do to the same letter at once repeats a purge at worst.
type Box struct {
	inspector *asynq.Inspector
	requests  *enqueue.Client
	rdb       redis.UniversalClient
	tasks     *asynq.Client
	// Remap maps a delivery again, for Replay; nil refuses that.
	Remap func(context.Context, Delivery) ([]tasks.Purge, error)
}

// New returns the dead letters in rdb; replays are enqueued by requests, a
// client of the same Redis. It does not connect.
func New(rdb redis.UniversalClient, requests *enqueue.Client) *Box {
	return &Box{inspector: asynq.NewInspectorFromRedisClient(rdb), requests: requests, rdb: rdb, tasks: asynq.NewClientFromRedisClient(rdb)}
}

// Letter returns the dead letter of that key, or ErrNotFound.
func (b *Box) Letter(ctx context.Context, k Key) (Letter, error) {
	_ = queues.Register(ctx, b.rdb) // a Redis that takes no writes can be read all the same
	t, err := b.inspector.GetTaskInfo(k.Queue, k.ID)
	switch {
	case errors.Is(err, asynq.ErrQueueNotFound), errors.Is(err, asynq.ErrTaskNotFound):
		return Letter{}, fmt.Errorf("%w: %s in %s", ErrNotFound, k.ID, k.Queue)
	case err != nil:
		return Letter{}, fmt.Errorf("read %s in %s: %w", k.ID, k.Queue, err)
	case t.State != asynq.TaskStateArchived:
		return Letter{}, fmt.Errorf("%w: %s in %s is %s", ErrNotFound, k.ID, k.Queue, t.State)
	}
	return read(t), nil
}

// Replayed says how a letter was replayed.
type Replayed struct {
	// Receipt is of the request that asks for the items again.
	Receipt enqueue.Receipt
	// Rerun says that the payload could not be read, so that the task itself was
	// put back into its queue: a newer worker may know it, this one's will not.
	Rerun bool
	// Remapped says that the letter was a delivery: what its items are is known
	// from the receipt only.
	Remapped bool
}

// Replay asks for the letter's items again and deletes the letter only once
// that is stored: whatever happens in between repeats a purge at worst. The
// error matches ErrNotFound if the letter is gone.
func (b *Box) Replay(ctx context.Context, k Key) (Replayed, error) {
	l, err := b.Letter(ctx, k)
	if err != nil {
		return Replayed{}, err
	}
	if l.Delivery != nil {
		return b.remap(ctx, l)
	}
	p := l.Purge()
	if p == nil {
		if err := b.inspector.RunTask(k.Queue, k.ID); err != nil {
			return Replayed{}, fmt.Errorf("run %s in %s again: %w", k.ID, k.Queue, err)
		}
		return Replayed{Rerun: true}, nil
	}
	receipt, err := b.requests.Purge(ctx, *p)
	if err != nil {
		return Replayed{}, fmt.Errorf("replay %s, which stays a dead letter: %w", k.ID, err)
	}
	if err := b.remove(ctx, k); err != nil {
		return Replayed{}, fmt.Errorf("replayed as %s: %w", receipt.ID, err)
	}
	return Replayed{Receipt: receipt}, nil
}

// remap maps a delivery again and asks for what it names now.
func (b *Box) remap(ctx context.Context, l Letter) (Replayed, error) {
	if b.Remap == nil {
		return Replayed{}, fmt.Errorf("replay %s, which stays a dead letter: nobody here knows the mapping of source %s", l.ID, l.Delivery.Source)
	}
	if n := l.Delivery.Clipped; n > 0 {
		return Replayed{}, fmt.Errorf("replay %s, which stays a dead letter: it was not verified, so only %d bytes of its %d were kept: have %s send it again",
			l.ID, len(l.Delivery.Body), n, l.Delivery.Source)
	}
	purges, err := b.Remap(ctx, *l.Delivery)
	if err != nil {
		return Replayed{}, fmt.Errorf("replay %s, which stays a dead letter: %w", l.ID, err)
	}
	all := Replayed{Remapped: true}
	for _, p := range purges {
		receipt, err := b.requests.Purge(ctx, p)
		if err != nil {
			return Replayed{}, fmt.Errorf("replay %s, which stays a dead letter: %w", l.ID, err)
		}
		all.Receipt.ID = receipt.ID
		all.Receipt.Tasks += receipt.Tasks
		all.Receipt.Items += receipt.Items
	}
	if err := b.remove(ctx, l.Key); err != nil {
		return Replayed{}, fmt.Errorf("replayed as %s: %w", all.Receipt.ID, err)
	}
	return all, nil
}

// Delete deletes a letter for good: its items are not purged. The error matches
// ErrNotFound if the letter is gone, in particular if it runs again.
func (b *Box) Delete(ctx context.Context, k Key) error {
	err := queues.Remove(ctx, b.rdb, k.Queue, k.ID, queues.Dead)
	if _, other := errors.AsType[*queues.StateError](err); other || errors.Is(err, queues.ErrMissing) {
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return err
}

// remove is Delete for a letter that was just replayed: one that is gone is no error.
func (b *Box) remove(ctx context.Context, k Key) error {
	if err := b.Delete(ctx, k); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil
}
