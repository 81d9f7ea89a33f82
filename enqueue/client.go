package enqueue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/internal/redisacl"
	"github.com/edgepurge/edgepurge/internal/redisurl"
	"github.com/edgepurge/edgepurge/internal/spans"
	"github.com/edgepurge/edgepurge/tasks"
)

const (
	// DefaultRedis is where a Client without configuration finds Redis.
	DefaultRedis = "redis://127.0.0.1:6379/0"

	// maxTaskBytes bounds the payload of one task: each lies in Redis as one
	// value and is read by a worker in one piece.
	maxTaskBytes = 1 << 20
	// maxRetry is never reached. A request that could not be taken in (Redis
	// full, a worker killed) is tried until it can be: archived for having
	// failed often, it would be a lost purge.
	maxRetry = 1_000_000
	// taskTimeout bounds how long a worker may take to take a request in.
	taskTimeout = 30 * time.Second
)

// Config says where a Client stores requests. The zero value is usable.
type Config struct {
	// Redis is the URL of the workers' Redis: redis, rediss, unix,
	// redis+sentinel or redis+cluster. Empty means DefaultRedis.
	Redis string
	// Client, if set, is used in place of Redis and is not closed by Close. Set
	// its ContextTimeoutEnabled, or Purge may outlast its context.
	Client redis.UniversalClient
	// Source is the Source of requests that name none, at most
	// tasks.MaxSourceBytes; empty leaves them without.
	Source string
	// WaitReplicas is how many replicas must have a request before Purge accepts
	// it, 0 to 100, by Redis's WAIT; 0, the default, waits for none. Without it a
	// fail-over may lose requests that were accepted an instant before.
	WaitReplicas int
	// WaitTimeout bounds that wait for each task, 1 ms to 1 m. Default 1 s.
	WaitTimeout time.Duration
	// MaxQueued is how many requests may wait, over all producers, until a worker
	// takes them in; then Purge refuses with ErrFull. 0, the default, is no bound.
	// The count is up to a second old, and a request in several tasks is stored
	// whole or not at all: the bound is passed by that.
	MaxQueued int
}

// Client stores purge requests. It is safe for concurrent use.
type Client struct {
	queue  *asynq.Client
	rdb    redis.UniversalClient
	place  string // the redacted URL, "Redis" if unknown
	source string
	ids    *ids
	rights redisacl.Rights // of its Redis user
	hint   hint
	bound  *bound
	close  func() error
}

// New returns a Client. It does not connect: see Client.Ping.
func New(c Config) (*Client, error) {
	if len(c.Source) > tasks.MaxSourceBytes {
		return nil, fmt.Errorf("enqueue: Config.Source is %d bytes long, the limit is %d", len(c.Source), tasks.MaxSourceBytes)
	}
	if c.MaxQueued < 0 {
		return nil, fmt.Errorf("enqueue: Config.MaxQueued %d is negative: use 0 (no bound) or more", c.MaxQueued)
	}
	client := &Client{
		rdb: c.Client, place: "Redis", source: c.Source, ids: newIDs(), rights: redisacl.Producer, hint: newHint(),
		bound: newBound(c.MaxQueued),
		close: func() error { return nil },
	}
	if client.rdb == nil {
		if c.Redis == "" {
			c.Redis = DefaultRedis
		}
		rdb, err := redisurl.Open(c.Redis, 0)
		if err != nil {
			return nil, fmt.Errorf("enqueue: %w", err)
		}
		client.rdb, client.place = rdb, redisurl.Redact(c.Redis)
		client.close = sync.OnceValue(rdb.Close)
	}
	rdb, err := replicate(c, client.rdb)
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	if c.WaitReplicas > 0 {
		client.rights = client.rights.With(redisacl.Replicas)
	}
	if c.MaxQueued > 0 {
		client.rights = client.rights.With(redisacl.Bounded)
	}
	client.queue = asynq.NewClientFromRedisClient(rdb)
	return client, nil
}

// Ping reports whether Redis answers.
func (c *Client) Ping(ctx context.Context) error {
	if err := c.rdb.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("enqueue: ping %s: %w", c.place, deadline(ctx, err))
	}
	return nil
}

// Close closes the connections to Redis, unless they came with Config.Client.
// It may be called again.
func (c *Client) Close() error {
	if err := c.close(); err != nil {
		return fmt.Errorf("enqueue: close: %w", err)
	}
	return nil
}

// Receipt says what became of a request.
type Receipt struct {
	// ID is the request's. Of a request in several tasks each has an id of its
	// own: "<ID>-1", "<ID>-2" and so on.
	ID string
	// Tasks is how many tasks hold the request; 1 unless it is larger than 1 MiB.
	Tasks int
	// Items is how many tags and source images they hold, repeats left out.
	Items int
}

// Purge stores a request of any size and returns once Redis has all of it. With
// Track it can be followed by Status, at the cost of an exchange with Redis more.
//
// Empty fields are filled in: ID with a ULID, RequestedAt with the time,
// Priority with tasks.Normal, Source with Config.Source. Items named twice are
// stored once. A caller that chooses the ID must never use it for two different
// requests: while a task of that id exists, another one is taken for the same.
//
// The error matches tasks.ErrInvalid if the request is at fault; it then names
// all faults, and nothing was stored; it matches ErrFull if Config.MaxQueued
// leaves no room now, and nothing was stored either. Any other error means that Redis did not
// take all of it, within ctx: it says how many tasks are stored, and it is safe
// to send the request again, since items that still wait are merged. It is a
// *ReplicasError if too few replicas have the request by now. Give ctx a
// deadline: without one, go-redis may try an unreachable Redis for minutes.
//
// If ctx carries an OpenTelemetry span, Purge is a child of it, and the workers'
// spans belong to its trace.
func (c *Client) Purge(ctx context.Context, p tasks.Purge) (Receipt, error) {
	ctx, span := begin(ctx)
	receipt, err := c.purge(ctx, p)
	end(span, p, receipt, err)
	return receipt, err
}

func (c *Client) purge(ctx context.Context, p tasks.Purge) (Receipt, error) {
	p, err := c.complete(p)
	if err != nil {
		return Receipt{}, err
	}
	parts, err := split(p, maxTaskBytes)
	if err != nil {
		return Receipt{}, err
	}
	if err := c.bound.check(ctx, c.rdb); err != nil {
		return Receipt{}, fmt.Errorf("enqueue request %s (nothing stored) in %s: %w",
			p.ID, c.place, deadline(ctx, c.rights.Explain(ctx, c.rdb, err)))
	}
	if p.Track {
		if err := c.open(ctx, p); err != nil {
			return Receipt{}, fmt.Errorf("enqueue request %s (nothing stored) in %s: %w", p.ID, c.place, deadline(ctx, err))
		}
	}
	for i, part := range parts {
		if err := c.store(ctx, part); err != nil {
			return Receipt{}, fmt.Errorf("enqueue request %s (%d of %d tasks stored, it is safe to send it again) in %s: %w",
				p.ID, i, len(parts), c.place, deadline(ctx, err))
		}
		c.hint.give(ctx, c.rdb)
	}
	return Receipt{ID: p.ID, Tasks: len(parts), Items: len(p.Tags) + len(p.SrcImages)}, nil
}

// store stores one task. That its id exists already means that it is stored:
// go-redis sends a command again when its reply is lost.
func (c *Client) store(ctx context.Context, p tasks.Purge) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	payload, err := p.Encode()
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	queue := tasks.QueueIntake
	if p.Priority == tasks.Urgent {
		queue = tasks.QueueUrgent
	}
	var unreplicated error
	_, err = c.queue.EnqueueContext(withReplicasFault(ctx, &unreplicated), asynq.NewTaskWithHeaders(tasks.TypeRequest, payload, spans.Headers(ctx)),
		asynq.Queue(queue), asynq.TaskID(p.ID), asynq.MaxRetry(maxRetry), asynq.Timeout(taskTimeout))
	if err == nil || errors.Is(err, asynq.ErrTaskIDConflict) || errors.Is(err, asynq.ErrDuplicateTask) {
		return c.rights.Explain(ctx, c.rdb, unreplicated)
	}
	return c.rights.Explain(ctx, c.rdb, err)
}

// deadline makes err match the error of a context that has ended: asynq drops
// the cause of most errors, and a socket may notice the deadline before ctx does.
func deadline(ctx context.Context, err error) error {
	ended := ctx.Err()
	if at, ok := ctx.Deadline(); ended == nil && ok && !time.Now().Before(at) {
		ended = context.DeadlineExceeded
	}
	if ended == nil || errors.Is(err, ended) {
		return err
	}
	return fmt.Errorf("%w: %w", ended, err)
}
