package lanes

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/internal/receipt"
	"github.com/edgepurge/edgepurge/tasks"
)

// Two accounts lie in different slots of a Redis Cluster, so that no script can touch
// both. What one adopts from the other is read there as a parcel, copied here, and then
// removed there if it is unchanged. Whoever dies in between repeats it, and the copy
// finds its twins: at worst a call that was made in between is made again.

// parcelMost is how many items one parcel holds: Redis is busy with it for a few ms.
const parcelMost = 250

// ReasonAdopting is the reason of the hold that Park makes.
const ReasonAdopting = "adopting"

// parkedFor is how long a hold of Park keeps probes away, should nobody release it.
const parkedFor = 10 * time.Minute

// Park holds a scope by hand: nothing of it is claimed until Release, or until a probe in
// ten minutes. It replaces a hold that is there.
func (l *Lanes) Park(ctx context.Context, account, scope, detail string) error {
	now, err := l.now(ctx)
	if err != nil {
		return fmt.Errorf("hold %s of account %s: %w", scope, account, err)
	}
	text, err := json.Marshal(wireHold{
		Reason: ReasonAdopting, Detail: detail, Since: float64(now.UnixMilli()), Next: float64(now.Add(parkedFor).UnixMilli()),
		Step: float64(firstProbe.Milliseconds()),
	})
	if err != nil {
		return err
	}
	if err := l.rdb.HSet(ctx, keysOf(account).hold(), scope, text).Err(); err != nil {
		return fmt.Errorf("hold %s of account %s: %w", scope, account, err)
	}
	return nil
}

// Adopt moves the items of a lane from one account to that of the pace: pending ones and
// their later purges, who waits for them, and how often they failed. It reports how many
// it moved, also with an error; it may be called again. Nothing should claim from the
// lane meanwhile (Park).
func (l *Lanes) Adopt(ctx context.Context, from string, to Pace, lane tasks.Lane) (moved int, err error) {
	for {
		n, more, err := l.adoptSome(ctx, keysOf(from), to, lane)
		moved += n
		if err != nil {
			return moved, fmt.Errorf("move lane %s from account %s to %s: %w", lane.ID(), from, to.Account, err)
		}
		if !more || n == 0 { // what changed meanwhile is for the next call
			return moved, nil
		}
	}
}

func (l *Lanes) adoptSome(ctx context.Context, from keys, to Pace, lane tasks.Lane) (moved int, more bool, err error) {
	text, err := parcelScript.Run(ctx, l.rdb,
		[]string{from.pending(lane), from.again(lane), from.receipts(lane), from.origins(lane), from.failed(lane)}, parcelMost).Text()
	if err != nil {
		return 0, false, err
	}
	if text != "" {
		if err := l.adopt(ctx, to, lane, text); err != nil {
			return 0, false, err
		}
	} else {
		text = `{"items":[]}` // the lane leaves the index
	}
	settings, err := to.encode(lane)
	if err != nil {
		return 0, false, err
	}
	moved, err = giveScript.Run(ctx, l.rdb, []string{
		from.lanes(), from.ready(lane.Priority), from.pending(lane), from.again(lane), from.receipts(lane), from.origins(lane), from.failed(lane),
		from.turn(lane.Priority), from.order(), from.ahead(), from.served(), from.spread(lane.Project), from.hold(),
	}, settings, lane.Project, rank(lane.Priority), lane.ID(), text).Int()
	return moved, moved > 0, err
}

// adopt copies a parcel into the account of the pace.
func (l *Lanes) adopt(ctx context.Context, to Pace, lane tasks.Lane, parcel string) error {
	settings, err := to.encodeFor(lane)
	if err != nil {
		return err
	}
	k := keysOf(to.Account)
	names := append([]string{k.lanes()}, k.family(lane)...)
	names = append(names, k.spread(lane.Project), k.hold(), k.receipts(lane), k.origins(lane), k.failed(lane))
	names = append(names, k.lines()...)
	counts, err := l.takeOver(ctx, to.Account, parcel)
	if err != nil {
		return err
	}
	args := append([]any{settings, lane.Project, rank(lane.Priority)}, laneIDs(lane)...)
	reply, err := adoptScript.Run(ctx, l.rdb, append(names, counts...), append(args, parcel)...).Slice()
	if err != nil {
		return err
	}
	l.hint(ctx, to.Account, millis(reply[1]))
	return nil
}

// takeOver tells the receipts in a parcel that this account counts for them too, and
// returns the keys of its counts. A receipt that has expired has none.
func (l *Lanes) takeOver(ctx context.Context, account, parcel string) ([]string, error) {
	var p struct {
		Dues     []string            `json:"dues"`
		Receipts map[string][]string `json:"receipts"`
	}
	if err := json.Unmarshal([]byte(parcel), &p); err != nil {
		return nil, fmt.Errorf("read a parcel: %w", err)
	}
	var longest time.Duration
	for _, due := range p.Dues {
		longest = max(longest, time.Until(millis(due)))
	}
	var counts []string
	seen := map[string]bool{}
	for _, members := range p.Receipts {
		for _, m := range members {
			id := m[strings.LastIndexByte(m, '\n')+1:]
			if seen[id] {
				continue
			}
			seen[id] = true
			known, err := l.Take(ctx, account, id, "", longest)
			if err != nil {
				return nil, err
			}
			if known {
				counts = append(counts, receipt.CountsKey(account, id))
			}
		}
	}
	return counts, nil
}

// CopySpread gives an account the debt that a project has run up in another one, unless
// it has a bucket there already.
func (l *Lanes) CopySpread(ctx context.Context, from, to, project string) error {
	source, target := keysOf(from).spread(project), keysOf(to).spread(project)
	n, err := l.rdb.Exists(ctx, target).Result()
	if err == nil && n == 0 {
		var bucket map[string]string
		if bucket, err = l.rdb.HGetAll(ctx, source).Result(); err == nil && len(bucket) > 0 {
			err = l.copySpread(ctx, source, target, bucket)
		}
	}
	if err != nil {
		return fmt.Errorf("copy the spread of project %s from account %s to %s: %w", project, from, to, err)
	}
	return nil
}

func (l *Lanes) copySpread(ctx context.Context, source, target string, bucket map[string]string) error {
	left, err := l.rdb.PTTL(ctx, source).Result()
	if err != nil {
		return err
	}
	_, err = l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.HSet(ctx, target, bucket)
		p.PExpire(ctx, target, max(left, time.Minute))
		return nil
	})
	return err
}

// CopyBudget counts the calls of one account's window in another's too: a renamed account
// has the same token, and Vercel the same limit for it.
func (l *Lanes) CopyBudget(ctx context.Context, from, to string) error {
	calls, err := l.rdb.ZRangeWithScores(ctx, keysOf(from).budget(), 0, -1).Result()
	if err == nil && len(calls) > 0 {
		err = l.rdb.ZAdd(ctx, keysOf(to).budget(), calls...).Err()
	}
	if err != nil {
		return fmt.Errorf("copy the calls of account %s to %s: %w", from, to, err)
	}
	return nil
}
