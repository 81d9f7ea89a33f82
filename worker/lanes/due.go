package lanes

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Due lists the accounts whose hint says that there is something to do by now.
func (l *Lanes) Due(ctx context.Context) ([]string, error) {
	now, err := l.now(ctx)
	if err != nil {
		return nil, fmt.Errorf("look which accounts are due: %w", err)
	}
	due, err := l.rdb.ZRangeArgs(ctx, redis.ZRangeArgs{
		Key: KeyDue, ByScore: true, Start: "-inf", Stop: strconv.FormatInt(now.UnixMilli(), 10),
	}).Result()
	if err != nil {
		return nil, fmt.Errorf("look which accounts are due: %w", err)
	}
	return due, nil
}

// SetDue moves the hint of an account after a look at it: wait from now, or no
// hint at all if wait is negative. Without one, Accounts does not know the account:
// it is for one that is Idle.
func (l *Lanes) SetDue(ctx context.Context, account string, wait time.Duration) error {
	if err := l.setDue(ctx, account, wait); err != nil {
		return fmt.Errorf("note when account %s is due: %w", account, err)
	}
	return nil
}

func (l *Lanes) setDue(ctx context.Context, account string, wait time.Duration) error {
	if wait < 0 {
		return l.rdb.ZRem(ctx, KeyDue, account).Err()
	}
	now, err := l.now(ctx)
	if err != nil {
		return err
	}
	at := now.Add(wait).UnixMilli()
	return l.rdb.ZAdd(ctx, KeyDue, redis.Z{Score: float64(at), Member: account}).Err()
}

// Accounts lists every account that Redis has a hint for: those of which something
// is pending or held, and some others.
func (l *Lanes) Accounts(ctx context.Context) ([]string, error) {
	all, err := l.rdb.ZRange(ctx, KeyDue, 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("list the accounts in Redis: %w", err)
	}
	return all, nil
}

// Wakes subscribes to ChannelWake, which carries the names of accounts that have
// something to do earlier than thought, and to other channels. A message may be
// lost while Redis is away: Due is the remedy.
func (l *Lanes) Wakes(ctx context.Context, others ...string) *redis.PubSub {
	return l.rdb.Subscribe(ctx, append(others, ChannelWake)...)
}
