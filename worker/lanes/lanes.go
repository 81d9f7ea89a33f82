package lanes

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/internal/receipt"
	"github.com/edgepurge/edgepurge/tasks"
)

// Lanes is the Go face of the scripts. It is safe for concurrent use and holds
// no state of its own.
type Lanes struct{ rdb redis.UniversalClient }

// New returns the lanes that live in the given Redis. It does not connect.
func New(rdb redis.UniversalClient) *Lanes { return &Lanes{rdb} }

// absorbChunk bounds how long one absorb keeps Redis busy: about a millisecond.
const absorbChunk = 1000

// Absorption is the items that one request puts into one lane.
type Absorption struct {
	// Request names the request; a second Absorb under the same name within
	// half a minute changes nothing and answers as the first did.
	Request string
	Lane    tasks.Lane
	Items   []string
	// The items are due at the later of arrival + Settle and NotBefore (zero: at once).
	Settle    time.Duration
	NotBefore time.Time
	// Rebound asks for a second purge that long after the first; 0 for none.
	Rebound time.Duration
	// Receipt counts what becomes of the items, the rebound left out; "" for none.
	Receipt string
	// Source and Trace are noted with Request as the Origin of the items.
	Source, Trace string
}

// Absorbed counts what became of the items of a request.
type Absorbed struct {
	Added     int // pending now, and were not before
	Again     int // pending before, and a later purge was noted as well
	Duplicate int // dropped: a pending twin, whose call is still to come, covers them
}

// Absorb puts items into the pending set of their lane. An item that is pending
// in the lane, or in the same lane at another priority, is a duplicate; it moves
// up if it is asked for with more urgency. Items must be valid.
func (l *Lanes) Absorb(ctx context.Context, pace Pace, a Absorption) (Absorbed, error) {
	var sum Absorbed
	settings, err := pace.encodeFor(a.Lane)
	if err != nil {
		return sum, fmt.Errorf("absorb into lane %s: %w", a.Lane.ID(), err)
	}
	var notBefore int64
	if !a.NotBefore.IsZero() {
		// Rounded up: never before, not by part of a millisecond either.
		notBefore = a.NotBefore.Add(time.Millisecond - time.Nanosecond).UnixMilli()
	}
	origin := Origin{a.Request, a.Trace, a.Source}.line()
	for start := 0; start < len(a.Items); start += absorbChunk {
		chunk := a.Items[start:min(start+absorbChunk, len(a.Items))]
		id := fmt.Sprintf("%s/%s/%d", a.Request, a.Lane.Kind, start/absorbChunk)
		k := keysOf(pace.Account)
		names := append([]string{k.lanes()}, k.family(a.Lane)...)
		names = append(names, k.spread(a.Lane.Project), k.hold(), k.absorbed(id), k.receipts(a.Lane),
			receipt.CountsKey(pace.Account, a.Receipt), k.origins(a.Lane))
		names = append(names, k.lines()...)
		args := make([]any, 0, 12+len(chunk))
		args = append(args, settings, a.Lane.Project, rank(a.Lane.Priority))
		args = append(args, laneIDs(a.Lane)...)
		args = append(args, a.Settle.Milliseconds(), notBefore, a.Rebound.Milliseconds(), a.Receipt, id, origin)
		for _, item := range chunk {
			args = append(args, item)
		}
		reply, err := absorbScript.Run(ctx, l.rdb, names, args...).Slice()
		if err != nil {
			return sum, fmt.Errorf("absorb into lane %s: %w", a.Lane.ID(), err)
		}
		sum.Added += integer(reply[0])
		sum.Again += integer(reply[1])
		sum.Duplicate += integer(reply[2])
		l.hint(ctx, pace.Account, millis(reply[3]))
	}
	return sum, nil
}

// now is the time by Redis, so that no worker's clock matters.
func (l *Lanes) now(ctx context.Context) (time.Time, error) { return l.rdb.Time(ctx).Result() }

// hint notes in KeyDue that an account has something to do at the given time;
// the zero time says nothing. A full Redis refuses it. That is no error: what it
// hints at is written already, and pacers look at least once a minute.
func (l *Lanes) hint(ctx context.Context, account string, at time.Time) {
	if at.IsZero() {
		return
	}
	_ = l.rdb.ZAddLT(ctx, KeyDue, redis.Z{Score: float64(at.UnixMilli()), Member: account}).Err()
}

func laneIDs(lane tasks.Lane) []any {
	ids := make([]any, 0, len(tasks.Priorities))
	for _, p := range tasks.Priorities {
		ids = append(ids, lane.With(p).ID())
	}
	return ids
}

// integer reads a number that a script answered as a number or as text.
func integer(v any) int {
	switch n := v.(type) {
	case int64:
		return int(n)
	case string:
		i, _ := strconv.Atoi(n)
		return i
	}
	return 0
}

// millis reads a Unix time in milliseconds; 0 is the zero time.
func millis(v any) time.Time {
	n := integer(v)
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(n))
}

func refusal(v any) Refusal {
	reason, _ := v.(string)
	return Refusal(reason)
}

// waitOf is how long from now, both in milliseconds by Redis's clock.
func waitOf(at, now any) time.Duration {
	return time.Duration(integer(at)-integer(now)) * time.Millisecond
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}
