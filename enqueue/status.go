package enqueue

import (
	"context"
	_ "embed" // open.lua
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/internal/receipt"
	"github.com/edgepurge/edgepurge/tasks"
)

// ErrUnknownReceipt says that nothing is known of a receipt.
var ErrUnknownReceipt = errors.New("unknown receipt: its request was not tracked, or nothing happened to it for 24 hours")

// Status is what became of a tracked request, counted in its items: of Total,
// each is pending, purged or dead.
type Status struct {
	ID      string `json:"id"`
	Project string `json:"project"`
	Total   int    `json:"total"`
	// Pending items wait: for a worker, for their due time, for a call or for a
	// further attempt of one.
	Pending int `json:"pending"`
	// Purged items were held by a call that Vercel accepted and that started when
	// the request was due or later, whoever it was made for. A rebound is not
	// waited for: an item is purged with the first of its two purges.
	Purged int `json:"purged"`
	// Dead items are in a dead letter. They stay dead here: a replay is a new request.
	Dead int `json:"dead"`
	// RequestedAt is by the producer's clock; the other times are by Redis's.
	RequestedAt time.Time `json:"requested_at"`
	// ChangedAt is when an item was last purged or died; zero: none was yet.
	ChangedAt time.Time `json:"changed_at,omitzero"`
	// DoneAt is when the last item was purged or died; zero: some are pending.
	DoneAt time.Time `json:"done_at,omitzero"`
}

// Done reports whether no item is pending any more: what was not purged is dead.
func (s Status) Done() bool { return s.Pending == 0 }

// Status tells what became of the request that Purge returned a receipt for, by
// the receipt's ID. It is known for 24 hours after the request was stored, after
// it was due and after each change. The error matches ErrUnknownReceipt if the
// request had not Track set, or is older. It takes two exchanges with Redis.
func (c *Client) Status(ctx context.Context, id string) (Status, error) {
	s, err := c.status(ctx, id)
	switch {
	case errors.Is(err, ErrUnknownReceipt):
		return Status{}, fmt.Errorf("%w: %q", err, id)
	case err != nil:
		return Status{}, fmt.Errorf("enqueue: status of %s in %s: %w", id, c.place, deadline(ctx, c.rights.Explain(ctx, c.rdb, err)))
	}
	return s, nil
}

func (c *Client) status(ctx context.Context, id string) (Status, error) {
	opened, err := c.rdb.HGetAll(ctx, receipt.Key(id)).Result()
	if err != nil {
		return Status{}, err
	}
	if opened[receipt.Total] == "" {
		return Status{}, ErrUnknownReceipt
	}
	s := Status{
		ID: id, Project: opened[receipt.Project], Total: number(opened[receipt.Total]),
		RequestedAt: moment(opened[receipt.Requested]), ChangedAt: moment(opened[receipt.Changed]),
	}
	for field, n := range opened {
		if receipt.IsDeadField(field) {
			s.Dead += number(n)
		}
	}
	// More than one only if the configuration moved the project to another
	// account while the request was taken in.
	for _, account := range receipt.Accounts(opened) {
		counts, err := c.rdb.HMGet(ctx, receipt.CountsKey(account, id), receipt.Purged, receipt.Dead, receipt.Changed).Result()
		if err != nil {
			return Status{}, err
		}
		s.Purged += number(counts[0])
		s.Dead += number(counts[1])
		if at := moment(counts[2]); at.After(s.ChangedAt) {
			s.ChangedAt = at
		}
	}
	return s.balanced(), nil
}

// balanced makes the counts add up. A task that died when part of it had been
// absorbed already counts as dead, whatever becomes of that part.
func (s Status) balanced() Status {
	s.Dead = min(s.Dead, s.Total)
	s.Purged = min(s.Purged, s.Total-s.Dead)
	s.Pending = s.Total - s.Purged - s.Dead
	if s.Done() {
		s.DoneAt = s.ChangedAt
	}
	return s
}

//go:embed open.lua
var openSource string

var openScript = redis.NewScript(openSource)

// open opens the receipt of a request that is about to be stored.
func (c *Client) open(ctx context.Context, p tasks.Purge) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	kept := receipt.Kept + max(p.Settle, time.Until(p.NotBefore))
	err := openScript.Run(ctx, c.rdb, []string{receipt.Key(p.ID)}, kept.Milliseconds(),
		receipt.Project, p.Project,
		receipt.Total, len(p.Tags)+len(p.SrcImages),
		receipt.Requested, p.RequestedAt.UnixMilli(),
	).Err()
	return c.rights.Explain(ctx, c.rdb, err)
}

// number reads a count; a missing one is 0.
func number(v any) int {
	text, _ := v.(string)
	n, _ := strconv.Atoi(text)
	return n
}

// moment reads a time; a missing one is zero.
func moment(v any) time.Time {
	text, _ := v.(string)
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
