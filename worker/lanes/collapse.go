package lanes

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/edgepurge/edgepurge/tasks"
)

// Backlog is what is due in one lane.
type Backlog struct {
	Now    time.Time // by Redis
	Due    int       // items that are pending and due
	Oldest time.Time // due time of the oldest item; it may lie ahead, and is zero where none is pending
}

// Backlog counts what is due in a lane. It costs the same however much that is.
func (l *Lanes) Backlog(ctx context.Context, account string, lane tasks.Lane) (Backlog, error) {
	reply, err := backlogScript.Run(ctx, l.rdb, []string{keysOf(account).pending(lane)}).Slice()
	if err != nil {
		return Backlog{}, fmt.Errorf("count what is due in lane %s: %w", lane.ID(), err)
	}
	return Backlog{Now: millis(reply[0]), Due: integer(reply[1]), Oldest: millis(reply[2])}, nil
}

// DueItem is an item that is pending and due.
type DueItem struct {
	Name string
	Due  time.Time
}

// searchPage is about how many items of a lane Redis looks at in one go: a fraction of
// a millisecond.
const searchPage = 1000

// Matching finds the items of a lane that are pending, due by now and equal to match or,
// if that ends in "*", begin with what is before it; the empty match is every item. They
// come page by page while others change the lane: an item may come twice, and one that
// was claimed meanwhile may come or not. An error ends the pages.
func (l *Lanes) Matching(ctx context.Context, account string, lane tasks.Lane, match string, now time.Time) iter.Seq2[[]DueItem, error] {
	key, glob, latest := keysOf(account).pending(lane), globOf(match), float64(now.UnixMilli())
	return func(yield func([]DueItem, error) bool) {
		for cursor := uint64(0); ; {
			found, next, err := l.rdb.ZScan(ctx, key, cursor, glob, searchPage).Result()
			if err != nil {
				yield(nil, fmt.Errorf("search lane %s for %q: %w", lane.ID(), match, err))
				return
			}
			var page []DueItem
			for i := 0; i+1 < len(found); i += 2 {
				if due, err := strconv.ParseFloat(found[i+1], 64); err == nil && due <= latest {
					page = append(page, DueItem{found[i], time.UnixMilli(int64(due))})
				}
			}
			if len(page) > 0 && !yield(page, nil) {
				return
			}
			if cursor = next; cursor == 0 {
				return
			}
		}
	}
}

// plain takes their meaning from the characters that a pattern of Redis gives one.
var plain = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

// globOf is what Redis calls a pattern.
func globOf(match string) string {
	begin, prefix := strings.CutSuffix(match, "*")
	if prefix || match == "" {
		return plain.Replace(begin) + "*"
	}
	return plain.Replace(match)
}

// MostCollapsed bounds how many items one Collapse may name, and with it how long it
// keeps Redis busy: some milliseconds.
const MostCollapsed = 1000

// Collapse replaces those of the items that are still pending in the lane and due by one,
// which is pending in the same instant and due since the oldest of them was. What they
// were to be purged for later stays theirs; a rebound becomes one of the item in their
// place, and receipts wait for its call, to count each item that was asked for; of the
// requests the newest are among its origins. It
// answers how many items were replaced; a second Collapse with the same id within half
// a minute changes nothing and answers as the first did.
func (l *Lanes) Collapse(ctx context.Context, pace Pace, lane tasks.Lane, id, to string, items []string) (int, error) {
	settings, err := pace.encodeFor(lane)
	if err != nil {
		return 0, fmt.Errorf("collapse items of lane %s: %w", lane.ID(), err)
	}
	k := keysOf(pace.Account)
	names := append([]string{k.lanes()}, k.family(lane)...)
	names = append(names, k.spread(lane.Project), k.hold(), k.collapsed(id), k.receipts(lane), k.origins(lane))
	names = append(names, k.lines()...)
	args := []any{settings, lane.Project, rank(lane.Priority)}
	args = append(args, laneIDs(lane)...)
	args = append(args, to)
	for _, item := range items {
		args = append(args, item)
	}
	reply, err := collapseScript.Run(ctx, l.rdb, names, args...).Slice()
	if err != nil {
		return 0, fmt.Errorf("collapse items of lane %s: %w", lane.ID(), err)
	}
	l.hint(ctx, pace.Account, millis(reply[1]))
	return integer(reply[0]), nil
}

// All lists the lanes of an account in which something may be pending.
func (l *Lanes) All(ctx context.Context, account string) ([]tasks.Lane, error) {
	ids, err := l.rdb.HKeys(ctx, keysOf(account).lanes()).Result()
	if err != nil {
		return nil, fmt.Errorf("list the lanes of account %s: %w", account, err)
	}
	lanes := make([]tasks.Lane, len(ids))
	for i, id := range ids {
		if lanes[i], err = tasks.ParseLane(id); err != nil {
			return nil, fmt.Errorf("list the lanes of account %s: %w", account, err)
		}
	}
	return lanes, nil
}
