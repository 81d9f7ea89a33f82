package lanes

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/tasks"
)

// Waiting is what a project has pending.
type Waiting struct {
	Items int64
	// Scheduled are those of them that are due more than Soon ahead.
	Scheduled int64
	Oldest    time.Time // due time of the oldest item; it may lie ahead
}

// Soon is how far ahead an item may be due and still count as due, not as scheduled:
// a usual settle time is no schedule.
const Soon = time.Minute

// surveyChunk is how many lanes are looked at in one go: about half a millisecond of Redis's.
const surveyChunk = 250

// surveyed is what Survey saw of a lane in which something waits.
type surveyed struct {
	lane             tasks.Lane
	items, scheduled int64
	first            time.Time // due time of the oldest item
	ready            time.Time // zero: it is not
	inLine           bool      // and there in the line of its project
	ahead            time.Time // when it may go though the spread keeps its project back; zero: never
}

// Survey counts by project what waits for a call in an account; a project that has nothing
// pending is not in the answer. It finds the lanes, too, that wait longer than their pace
// says: because a worker of another pace or of an older version put them where they are,
// as it does during a rolling restart. Offer puts them where they belong.
func (l *Lanes) Survey(ctx context.Context, account string, paceOf func(tasks.Lane) Pace) (map[string]Waiting, []tasks.Lane, error) {
	k := keysOf(account)
	now, rows, err := l.survey(ctx, k)
	if err != nil {
		return nil, nil, fmt.Errorf("count what waits in account %s: %w", account, err)
	}
	heads, late := map[turnOf]surveyed{}, []tasks.Lane(nil)
	for _, row := range rows {
		if row.isLate(paceOf(row.lane), now) {
			late = append(late, row.lane)
			continue
		}
		turn := turnOf{row.lane.Project, row.lane.Priority}
		if head, ok := heads[turn]; !ok || row.ready.Before(head.ready) {
			heads[turn] = row
		}
	}
	turns, err := l.turns(ctx, k)
	if err != nil {
		return nil, nil, fmt.Errorf("count what waits in account %s: %w", account, err)
	}
	return count(rows), append(late, putOff(heads, turns, now)...), nil
}

// Waiting is Survey's count alone.
func (l *Lanes) Waiting(ctx context.Context, account string) (map[string]Waiting, error) {
	_, rows, err := l.survey(ctx, keysOf(account))
	if err != nil {
		return nil, fmt.Errorf("count what waits in account %s: %w", account, err)
	}
	return count(rows), nil
}

func count(rows []surveyed) map[string]Waiting {
	found := map[string]Waiting{}
	for _, row := range rows {
		found[row.lane.Project] = found[row.lane.Project].and(row)
	}
	return found
}

// and adds what was seen of one more lane.
func (w Waiting) and(row surveyed) Waiting {
	if w.Items == 0 || row.first.Before(w.Oldest) {
		w.Oldest = row.first
	}
	w.Items += row.items
	w.Scheduled += row.scheduled
	return w
}

// isLate reports whether a lane is not in its line, or later there than its pace says.
func (s surveyed) isLate(pace Pace, now time.Time) bool {
	if s.ready.IsZero() || !s.inLine {
		return true
	}
	if s.lane.Priority == tasks.Urgent {
		return s.ready.After(latest(s.first, now))
	}
	if pace.Rate > 0 && pace.MaxDelay > 0 && (s.ahead.IsZero() || s.ahead.After(latest(s.first.Add(pace.MaxDelay), s.ready))) {
		return true
	}
	return s.ready.After(latest(s.first.Add(pace.Linger), now))
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// turnOf is a project at one priority.
type turnOf struct {
	project  string
	priority tasks.Priority
}

// putOff lists the first lanes of the projects whose turn comes later than those are
// ready, or never: spread or a hold keeps them back, perhaps by a pace that changed.
func putOff(heads map[turnOf]surveyed, turns map[turnOf]time.Time, now time.Time) []tasks.Lane {
	var lanes []tasks.Lane
	for turn, head := range heads {
		at, known := turns[turn]
		if !known || at.After(now) && at.After(head.ready) {
			lanes = append(lanes, head.lane)
		}
	}
	return lanes
}

// survey looks at every lane in which something waits.
func (l *Lanes) survey(ctx context.Context, k keys) (now time.Time, rows []surveyed, err error) {
	ids, err := l.rdb.HKeys(ctx, k.lanes()).Result()
	if err != nil {
		return now, nil, err
	}
	for chunk := range slices.Chunk(ids, surveyChunk) {
		if now, rows, err = l.surveyMore(ctx, k, chunk, rows); err != nil {
			return now, nil, err
		}
	}
	return now, rows, nil
}

func (l *Lanes) surveyMore(ctx context.Context, k keys, ids []string, rows []surveyed) (time.Time, []surveyed, error) {
	names := []string{k.ready(tasks.Urgent), k.ready(tasks.Normal), k.ready(tasks.Bulk), k.order(), k.ahead()}
	args := []any{Soon.Milliseconds()}
	lanes := make([]tasks.Lane, len(ids))
	for i, id := range ids {
		lane, err := tasks.ParseLane(id)
		if err != nil {
			return time.Time{}, nil, err
		}
		lanes[i] = lane
		names = append(names, k.pending(lane))
		args = append(args, rank(lane.Priority), id)
	}
	reply, err := surveyScript.Run(ctx, l.rdb, names, args...).Slice()
	if err != nil {
		return time.Time{}, nil, err
	}
	for _, r := range reply[1:] {
		v, _ := r.([]any)
		rows = append(rows, surveyed{
			lane: lanes[integer(v[0])], items: int64(integer(v[1])), scheduled: int64(integer(v[2])),
			first: millis(v[3]), ready: millis(v[4]), inLine: integer(v[5]) == 1, ahead: millis(v[6]),
		})
	}
	return millis(reply[0]), rows, nil
}

func (l *Lanes) turns(ctx context.Context, k keys) (map[turnOf]time.Time, error) {
	turns := map[turnOf]time.Time{}
	for _, p := range tasks.Priorities {
		all, err := l.rdb.ZRangeWithScores(ctx, k.turn(p), 0, -1).Result()
		if err != nil {
			return nil, err
		}
		for _, z := range all {
			project, _ := z.Member.(string)
			turns[turnOf{project, p}] = time.UnixMilli(int64(z.Score))
		}
	}
	return turns, nil
}

// Offer puts lanes that Survey found into the line of their project, and the project's
// turn no later than their pace says. Nothing is put off by it, so that workers of
// different paces do not undo each other's. A claim that is too early puts it off again.
func (l *Lanes) Offer(ctx context.Context, account string, lanes []tasks.Lane, paceOf func(tasks.Lane) Pace) error {
	if len(lanes) == 0 {
		return nil
	}
	// The first one loads the script, should Redis not have it.
	if err := l.offer(ctx, account, lanes[:1], paceOf, l.rdb, offerScript.Run); err != nil {
		return err
	}
	for chunk := range slices.Chunk(lanes[1:], offerChunk) {
		_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			return l.offer(ctx, account, chunk, paceOf, p, offerScript.EvalSha)
		})
		if err != nil {
			return fmt.Errorf("offer lanes of account %s: %w", account, err)
		}
	}
	return nil
}

// offerChunk is how many lanes are offered in one round trip.
const offerChunk = 200

type runScript func(ctx context.Context, c redis.Scripter, keys []string, args ...any) *redis.Cmd

func (l *Lanes) offer(ctx context.Context, account string, lanes []tasks.Lane, paceOf func(tasks.Lane) Pace, c redis.Scripter, run runScript) error {
	k := keysOf(account)
	for _, lane := range lanes {
		settings, err := paceOf(lane).encodeFor(lane)
		if err != nil {
			return fmt.Errorf("offer lane %s: %w", lane.ID(), err)
		}
		names := []string{
			k.lanes(), k.ready(lane.Priority), k.pending(lane), k.turn(lane.Priority), k.order(), k.ahead(), k.served(),
			k.spread(lane.Project), k.hold(),
		}
		if err := run(ctx, c, names, settings, lane.Project, rank(lane.Priority), lane.ID()).Err(); err != nil {
			return fmt.Errorf("offer lane %s: %w", lane.ID(), err)
		}
	}
	return nil
}
