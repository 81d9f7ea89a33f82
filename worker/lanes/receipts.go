package lanes

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/internal/receipt"
)

// A receipt waits for an item in the lane. The claim that covers its request moves
// it to the batch, where it stays over retries and splits; Restore moves it back
// with the item, and Settle takes it off and counts it in the same script. So it is
// in one place at any time, and counted once whatever is done twice.

// Take notes that the account counts the items of one task of a request in the
// receipt of that id, for as long as they wait and Kept. It reports false if there is
// no such receipt (any more), or if the task was buried: then nothing is to be counted.
func (l *Lanes) Take(ctx context.Context, account, id, task string, wait time.Duration) (bool, error) {
	n, err := takeScript.Run(ctx, l.rdb, []string{receipt.Key(id)},
		receipt.AccountField(account), receipt.DeadField(task), max(0, wait).Milliseconds()).Int()
	if err != nil {
		return false, fmt.Errorf("take receipt %s into account %s: %w", id, account, err)
	}
	return n == 1, nil
}

// Bury counts the items of one task of a request as dead, because it became a dead
// letter itself; 0 items stands for all of the receipt. It may be repeated.
func (l *Lanes) Bury(ctx context.Context, id, task string, items int) error {
	if err := buryScript.Run(ctx, l.rdb, []string{receipt.Key(id)}, receipt.DeadField(task), items).Err(); err != nil {
		return fmt.Errorf("count the items of %s in receipt %s as dead: %w", task, id, err)
	}
	return nil
}

// Outcome is how an item ended.
type Outcome string

// The outcomes.
const (
	Purged Outcome = receipt.Purged
	Died   Outcome = receipt.Dead
)

// settleChunk bounds how long one settle keeps Redis busy: about a millisecond.
const settleChunk = 1000

// Settle counts how the items of a tracked batch ended, in the receipts that wait for
// them; a batch that is not tracked costs nothing. It may be repeated, and must come
// before Finish, and after the dead letter is stored: if the worker dies in between,
// the receipts are still where the items are.
func (l *Lanes) Settle(ctx context.Context, account string, b Batch, outcome Outcome) error {
	if !b.Tracked {
		return nil
	}
	key, from := keysOf(account).carried(b.ID), "-"
	for {
		page, err := l.rdb.ZRangeArgs(ctx, redis.ZRangeArgs{Key: key, ByLex: true, Start: from, Stop: "+", Count: settleChunk}).Result()
		if err != nil {
			return fmt.Errorf("settle the receipts of batch %s: %w", b.ID, err)
		}
		if err := l.settle(ctx, account, key, own(page, b.Items), outcome); err != nil {
			return fmt.Errorf("settle the receipts of batch %s: %w", b.ID, err)
		}
		if len(page) < settleChunk {
			return nil
		}
		from = "(" + page[len(page)-1]
	}
}

// own leaves out what the other half of a split carries.
func own(members, items []string) []string {
	of := make(map[string]bool, len(items))
	for _, item := range items {
		of[item] = true
	}
	var mine []string
	for _, m := range members {
		if item, _, _ := strings.Cut(m, "\n"); of[item] {
			mine = append(mine, m)
		}
	}
	return mine
}

func (l *Lanes) settle(ctx context.Context, account, carried string, members []string, outcome Outcome) error {
	if len(members) == 0 {
		return nil
	}
	names, args, place := []string{carried}, []any{string(outcome)}, map[string]int{}
	for _, m := range members {
		id := m[strings.LastIndexByte(m, '\n')+1:]
		if place[id] == 0 {
			names = append(names, receipt.CountsKey(account, id))
			place[id] = len(names)
		}
		args = append(args, place[id], m)
	}
	if err := settleScript.Run(ctx, l.rdb, names, args...).Err(); err != nil {
		return err
	}
	// In another slot. What is due later is not settled yet, so this only prolongs.
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for id := range place {
			p.PExpire(ctx, receipt.Key(id), receipt.Kept)
		}
		return nil
	})
	return err
}
