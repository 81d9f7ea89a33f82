package lanes

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/tasks"
)

const (
	// RecentCalls is how many of the last calls Redis keeps for people to look at.
	RecentCalls = 100
	// RateWindow is how far back the figures of each second reach.
	RateWindow = 5 * time.Minute
)

// MadeCall is an API call that was made, as the web UI shows it. It decides nothing.
type MadeCall struct {
	At        time.Time       `json:"at"` // when it was over, by the worker's clock
	Account   string          `json:"account"`
	Project   string          `json:"project"`
	Operation tasks.Operation `json:"operation"`
	Kind      tasks.Kind      `json:"kind"`
	Items     int             `json:"items"`
	First     []string        `json:"first"` // some of the items, each cut to a bound
	Attempt   int             `json:"attempt"`
	Verdict   string          `json:"verdict"`
	Reason    string          `json:"reason,omitempty"`
	Status    int             `json:"status,omitempty"` // 0: no answer
	Message   string          `json:"message,omitempty"`
	RequestID string          `json:"request_id,omitempty"` // Vercel's x-vercel-id
	TookMS    int64           `json:"took_ms"`
}

// Second is what the fleet did in one second.
type Second struct {
	Unix                 int64
	Calls, Failed, Items int
}

// NoteCalls adds calls, the newest last, and figures of seconds to what people
// look at, in one round trip.
func (l *Lanes) NoteCalls(ctx context.Context, calls []MadeCall, seconds []Second) error {
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		texts := make([]any, 0, len(calls))
		for _, c := range calls {
			text, err := json.Marshal(c)
			if err != nil {
				return err
			}
			texts = append(texts, text)
		}
		if len(texts) > 0 {
			p.LPush(ctx, KeyCalls, texts...)
			p.LTrim(ctx, KeyCalls, 0, RecentCalls-1)
		}
		for _, s := range seconds {
			key, field := keyRates(s.Unix), strconv.FormatInt(s.Unix%60, 10)
			p.HIncrBy(ctx, key, field+"c", int64(s.Calls))
			p.HIncrBy(ctx, key, field+"f", int64(s.Failed))
			p.HIncrBy(ctx, key, field+"i", int64(s.Items))
			p.Expire(ctx, key, 2*RateWindow)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("note the last calls: %w", err)
	}
	return nil
}

// Recent returns the last calls of the fleet, the newest first, and what it did
// in each second of RateWindow, oldest first and the running second last. A call
// that another version wrote and this one cannot read is left out.
func (l *Lanes) Recent(ctx context.Context) ([]MadeCall, []Second, error) {
	now, err := l.now(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("read the last calls: %w", err)
	}
	last := now.Unix()
	first := last - int64(RateWindow/time.Second) + 1
	var texts *redis.StringSliceCmd
	minutes := map[int64]*redis.MapStringStringCmd{}
	_, err = l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		texts = p.LRange(ctx, KeyCalls, 0, RecentCalls-1)
		for m := first / 60; m <= last/60; m++ {
			minutes[m] = p.HGetAll(ctx, keyRates(m*60))
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read the last calls: %w", err)
	}
	var calls []MadeCall
	for _, text := range texts.Val() {
		var c MadeCall
		if json.NewDecoder(strings.NewReader(text)).Decode(&c) == nil {
			calls = append(calls, c)
		}
	}
	seconds := make([]Second, 0, last-first+1)
	for at := first; at <= last; at++ {
		fields, field := minutes[at/60].Val(), strconv.FormatInt(at%60, 10)
		seconds = append(seconds, Second{
			Unix: at, Calls: integer(fields[field+"c"]), Failed: integer(fields[field+"f"]), Items: integer(fields[field+"i"]),
		})
	}
	return calls, seconds, nil
}
