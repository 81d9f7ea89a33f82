package deadletter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/hibiken/asynq"

	"github.com/edgepurge/edgepurge/internal/queues"
	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// List returns the letters that the filter selects, those that died last first, and
// without their payloads: of those there may be gigabytes. What dies or is taken away
// while it reads may be in the list or not.
//
// It reads an index that it derives from asynq's archive as it goes: a letter's
// payload is looked at once, by whoever lists first, whichever version buried it.
func (b *Box) List(ctx context.Context, f Filter) ([]Summary, error) {
	letters, _, err := b.list(ctx, f, time.Time{})
	return letters, err
}

// Look is List for people who wait: after within it reads no further letters that
// are not in the index yet, such as thousands that an older edgepurge kept. It
// returns how many it left unread, whatever the filter; the next Look goes on there.
func (b *Box) Look(ctx context.Context, f Filter, within time.Duration) (letters []Summary, unread int, err error) {
	return b.list(ctx, f, time.Now().Add(within))
}

func (b *Box) list(ctx context.Context, f Filter, until time.Time) (letters []Summary, unread int, err error) {
	for _, queue := range queues.All() {
		all, left, err := b.listQueue(ctx, queue, until)
		if err != nil {
			return nil, 0, fmt.Errorf("list the dead letters of %s: %w", queue, err)
		}
		unread += left
		if queue == tasks.QueueDeliveries && left == 0 { // else it would count too few
			b.recount(ctx, all)
		}
		letters = append(letters, slices.DeleteFunc(all, func(s Summary) bool { return !f.Match(&s) })...)
	}
	slices.SortStableFunc(letters, func(x, y Summary) int {
		return cmp.Or(y.Died.Compare(x.Died), cmp.Compare(x.ID, y.ID))
	})
	return letters, unread, nil
}

// Each reads the letters that the filter selects one by one, in the order of List.
// It ends with the first error of handle.
func (b *Box) Each(ctx context.Context, f Filter, handle func(Letter) error) error {
	all, err := b.List(ctx, f)
	if err != nil {
		return err
	}
	for i := range all {
		l, err := b.Letter(ctx, all[i].Key)
		if errors.Is(err, ErrNotFound) { // gone meanwhile
			continue
		}
		if err == nil {
			err = handle(l)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// errLate ends the reading of letters that are not in the index.
var errLate = errors.New("it takes too long")

// listQueue lists a queue's letters and brings the index up to date. Past until, if
// that is not zero, it leaves what is not in the index unread, the oldest of it.
func (b *Box) listQueue(ctx context.Context, queue string, until time.Time) (all []Summary, unread int, err error) {
	archived, err := b.rdb.ZRangeWithScores(ctx, queues.Key(queue, queues.Dead), 0, -1).Result()
	if err != nil {
		return nil, 0, err
	}
	index, err := b.rdb.HGetAll(ctx, lanes.KeyLetters(queue)).Result()
	if err != nil {
		return nil, 0, err
	}
	all = make([]Summary, 0, len(archived))
	scores := map[string]float64{}
	var missing []string
	for _, z := range archived {
		id, _ := z.Member.(string)
		text, found := index[id]
		delete(index, id)
		if found {
			if s, current := fromIndex(Key{Queue: queue, ID: id}, text, z.Score); current {
				all = append(all, s)
				continue
			}
		}
		missing = append(missing, id)
		scores[id] = z.Score
	}
	b.forget(ctx, queue, index)
	slices.Reverse(missing)
	unread = len(missing)
	err = queues.ReadTasks(ctx, b.rdb, queue, missing, func(some []queues.Task) error {
		unread -= len(some)
		entries := make([]any, 0, 2*len(some))
		for i := range some {
			s, known, err := b.describe(ctx, &some[i])
			if err != nil {
				return err
			}
			if !known {
				continue
			}
			all = append(all, s)
			if entry, err := s.index(scores[s.ID]); err == nil {
				entries = append(entries, s.ID, entry)
			}
		}
		if len(entries) > 0 && b.rdb.HSet(ctx, lanes.KeyLetters(queue), entries...).Err() != nil {
			until = time.Time{} // who may not write reads them all: the next look would begin anew
		}
		if unread > 0 && !until.IsZero() && time.Now().After(until) {
			return errLate
		}
		return nil
	})
	if errors.Is(err, errLate) {
		err = nil
	}
	return all, unread, err
}

// forget takes letters out of the index that are no longer there.
func (b *Box) forget(ctx context.Context, queue string, gone map[string]string) {
	if len(gone) == 0 {
		return
	}
	ids := make([]string, 0, len(gone))
	for id := range gone {
		ids = append(ids, id)
	}
	_ = b.rdb.HDel(ctx, lanes.KeyLetters(queue), ids...).Err() // else the next list does it
}

// describe summarises a task. Of a large delivery the beginning is enough; a large
// call or request is read whole, so that its items are counted. It is not known if
// it was taken away meanwhile.
func (b *Box) describe(ctx context.Context, t *queues.Task) (s Summary, known bool, err error) {
	info := &asynq.TaskInfo{
		Queue: t.Queue, ID: t.ID, Type: t.Type, Payload: t.Payload, LastErr: t.LastErr, LastFailedAt: t.LastFailedAt, Retried: t.Retried,
	}
	switch {
	case t.Bytes < 0:
		return gone(t), true, nil
	case t.Clipped && t.Type == tasks.TypeDelivery:
		l := Letter{Key: Key{t.Queue, t.ID}, Type: t.Type, Attempts: t.Retried + 1}
		if d, ok := deliveryHead(t.Payload); ok {
			l.Delivery, l.Died = &d, d.ReceivedAt
		} else {
			l.Fault = tasks.ErrInvalid
		}
		l.Reason, l.Message = l.why(t.LastErr)
		s = l.Summary()
	case t.Clipped:
		whole, err := b.inspector.GetTaskInfo(t.Queue, t.ID)
		if errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound) {
			return s, false, nil
		}
		if err != nil {
			return s, false, err
		}
		info = whole
		fallthrough
	default:
		l := read(info)
		s = l.Summary()
	}
	s.Bytes = t.Bytes
	return s, true, ctx.Err()
}

// gone is a letter of which asynq's archive has the id and nothing else is left.
func gone(t *queues.Task) Summary {
	return Summary{
		Key: Key{t.Queue, t.ID}, Reason: Unknown, Unreadable: true, Bytes: -1,
		Message: "nothing is left of this task but its id (was it evicted? see maxmemory-policy): delete it",
	}
}

// recount tells Keep how much is kept by now, whoever deleted some of it.
func (b *Box) recount(ctx context.Context, deliveries []Summary) {
	kept := map[string]int{}
	for i := range deliveries {
		s := &deliveries[i]
		if s.Type != tasks.TypeDelivery {
			continue
		}
		bucket := bucketOf(s.Source, s.Unverified)
		kept[bucket+keptLetters]++
		kept[bucket+keptBytes] += max(0, s.Bytes)
	}
	key := lanes.KeyKept(tasks.QueueDeliveries)
	stored, err := b.rdb.HGetAll(ctx, key).Result()
	if err != nil {
		return
	}
	same := len(stored) == len(kept)
	fields := make([]any, 0, 2*len(kept))
	for field, n := range kept {
		fields = append(fields, field, n)
		same = same && stored[field] == strconv.Itoa(n)
	}
	if same {
		return
	}
	_ = recountScript.Run(ctx, b.rdb, []string{key}, fields...).Err() // else the next list does it
}
