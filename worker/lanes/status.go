package lanes

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/tasks"
)

// LaneStatus is what waits in one lane.
type LaneStatus struct {
	Lane    tasks.Lane
	Pending int64
	Again   int64     // items with a later purge noted
	Oldest  time.Time // due time of the oldest item; it may lie ahead
	ReadyAt time.Time // when the lane may be served next
}

// Status is a picture of an account; its parts are read one after the other.
type Status struct {
	Now      time.Time // by Redis
	Lanes    []LaneStatus
	InFlight []Batch
	// Used is how many calls of the running window are spent, the ones under way included.
	Used        int64
	PausedUntil time.Time // zero: not paused
	Learned     int       // limit that answers taught, as it stands now; 0: none
	Inferred    bool      // Learned is concluded from 429s that told no limit; else Vercel said it
	Slowed      int       // calls it may make while the API fails or after that; 0: not slowed
	Holds       []Hold
}

// Status reads what the account has waiting and what keeps it back.
func (l *Lanes) Status(ctx context.Context, account string, per time.Duration) (Status, error) {
	// First, for a batch that is claimed meanwhile is then seen twice, not nowhere.
	lanes, err := l.readLanes(ctx, keysOf(account))
	if err != nil {
		return Status{}, fmt.Errorf("status of account %s: %w", account, err)
	}
	s, err := l.Limits(ctx, account, per)
	s.Lanes = lanes
	return s, err
}

// Limits is Status without the lanes: its cost does not grow with what waits.
func (l *Lanes) Limits(ctx context.Context, account string, per time.Duration) (Status, error) {
	var s Status
	var err error
	if s.Now, err = l.now(ctx); err != nil {
		return s, fmt.Errorf("status of account %s: %w", account, err)
	}
	if s.Holds, err = l.Holds(ctx, account); err != nil {
		return s, err
	}
	if err := l.readBudget(ctx, keysOf(account), per, &s); err != nil {
		return s, fmt.Errorf("status of account %s: %w", account, err)
	}
	return s, nil
}

func (l *Lanes) readLanes(ctx context.Context, k keys) (lanes []LaneStatus, err error) {
	ids, err := l.rdb.HKeys(ctx, k.lanes()).Result()
	if err != nil {
		return nil, err
	}
	sort.Strings(ids)
	for chunk := range slices.Chunk(ids, statusChunk) {
		rows, err := l.readChunk(ctx, k, chunk)
		if err != nil {
			return nil, err
		}
		lanes = append(lanes, rows...)
	}
	return lanes, nil
}

// statusChunk is how many lanes are read in one round trip.
const statusChunk = 250

// readChunk reads those of the lanes in which something waits.
func (l *Lanes) readChunk(ctx context.Context, k keys, ids []string) ([]LaneStatus, error) {
	type replies struct {
		lane           tasks.Lane
		pending, again *redis.IntCmd
		head           *redis.ZSliceCmd
		// When the lane itself is ready, when its project's turn is, and from when on the
		// lane goes before that.
		ready, turn, ahead *redis.FloatCmd
	}
	read := make([]replies, len(ids))
	// ZSCORE of a lane that is not ready answers nil, which Pipelined reports.
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, id := range ids {
			lane, err := tasks.ParseLane(id)
			if err != nil {
				return err
			}
			read[i] = replies{
				lane:    lane,
				pending: p.ZCard(ctx, k.pending(lane)),
				again:   p.HLen(ctx, k.again(lane)),
				head:    p.ZRangeWithScores(ctx, k.pending(lane), 0, 0),
				ready:   p.ZScore(ctx, k.ready(lane.Priority), id),
				turn:    p.ZScore(ctx, k.turn(lane.Priority), lane.Project),
				ahead:   p.ZScore(ctx, k.ahead(), id),
			}
		}
		return nil
	})
	if err := wrapNil(err, "lanes"); err != nil {
		return nil, err
	}
	var rows []LaneStatus
	for _, r := range read {
		if r.pending.Val() == 0 {
			continue
		}
		row := LaneStatus{Lane: r.lane, Pending: r.pending.Val(), Again: r.again.Val()}
		row.ReadyAt = readyAt(r.ready.Val(), r.turn.Val(), r.ahead.Val())
		if z := r.head.Val(); len(z) > 0 {
			row.Oldest = time.UnixMilli(int64(z[0].Score))
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// readyAt is when a lane may be served: when it is ready and its project's turn comes, or
// when it may go ahead of that. Times are in milliseconds, 0 for none.
func readyAt(ready, turn, ahead float64) time.Time {
	at := max(ready, turn)
	if ahead > 0 {
		at = min(at, max(ready, ahead))
	}
	return time.UnixMilli(int64(at))
}

func (l *Lanes) readBudget(ctx context.Context, k keys, per time.Duration, s *Status) error {
	texts, err := l.rdb.HGetAll(ctx, k.batches()).Result()
	if err != nil {
		return err
	}
	for id, text := range texts {
		b, err := decodeBatch(id, text)
		if err != nil {
			return err
		}
		s.InFlight = append(s.InFlight, *b)
	}
	from := strconv.FormatInt(s.Now.Add(-per).UnixMilli(), 10)
	if s.Used, err = l.rdb.ZCount(ctx, k.budget(), from, "+inf").Result(); err != nil {
		return err
	}
	state, err := l.rdb.HGetAll(ctx, k.state()).Result()
	if err != nil {
		return err
	}
	if t := millis(state["paused_until"]); t.After(s.Now) {
		s.PausedUntil = t
	}
	s.Learned, s.Inferred = learnedLimit(state, per, s.Now)
	s.Slowed = integer(state["slow"])
	return nil
}

// learnedLimit is script/limit.lua.
func learnedLimit(state map[string]string, per time.Duration, now time.Time) (limit int, inferred bool) {
	limit, inferred = integer(state["limit"]), state["limit_from"] != ""
	if limit == 0 || !millis(state["limit_until"]).After(now) {
		return 0, false
	}
	if from := millis(state["limit_from"]); inferred && !from.After(now) && per > 0 {
		limit += integer(state["limit_step"]) * int(now.Sub(from)/per+1)
	}
	return limit, inferred
}

// SpreadStatus is the bucket of a project's spread.
type SpreadStatus struct {
	Tokens float64   // below 0: a debt that is waited off
	Until  time.Time // when the debt is paid; in the past: there is none
}

// Spreads reads the buckets of projects, filled at rate up to burst as of now.
// A project whose bucket is full has none in Redis and is not in the answer.
func (l *Lanes) Spreads(ctx context.Context, account string, now time.Time, projects map[string]Pace) (map[string]SpreadStatus, error) {
	k := keysOf(account)
	replies := map[string]*redis.SliceCmd{}
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for project := range projects {
			replies[project] = p.HMGet(ctx, k.spread(project), "tokens", "at", "until")
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the spreads of account %s: %w", account, err)
	}
	found := map[string]SpreadStatus{}
	for project, reply := range replies {
		v := reply.Val()
		text, ok := v[0].(string)
		tokens, err := strconv.ParseFloat(text, 64)
		if !ok || err != nil {
			continue
		}
		pace := projects[project]
		tokens += pace.Rate * max(0, now.Sub(millis(v[1])).Seconds())
		found[project] = SpreadStatus{Tokens: min(pace.Burst, tokens), Until: millis(v[2])}
	}
	return found, nil
}
