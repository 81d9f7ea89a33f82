package compare

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/time/rate"
)

// caller makes the calls of the contenders on asynq, as bullmq/program.mjs makes
// its own: connections kept, as many at a time as everybody.
type caller struct {
	client *http.Client
	url    string
	slots  chan struct{}
	// pace spreads the calls evenly: a burst would break a sliding limit. Asynq has
	// no limit over a fleet, so it is one of this process; nil: none.
	pace *rate.Limiter
}

// margin is how many percent of the limit's window those take who keep it by a
// limiter of their own: at exactly the limit, every other call would come a hair
// too early for a sliding window and earn a 429. bullmq/program.mjs has it too.
const margin = 102

func newCaller(r role) *caller {
	c := &caller{
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: concurrency}},
		url:    r.API,
		slots:  make(chan struct{}, concurrency),
	}
	if r.Calls > 0 {
		per := time.Duration(margin*r.PerMillis/100) * time.Millisecond
		c.pace = rate.NewLimiter(rate.Every(per/time.Duration(r.Calls)), 1)
	}
	return c
}

// call purges some tags by one call.
func (c *caller) call(ctx context.Context, tags []string) error {
	c.slots <- struct{}{}
	defer func() { <-c.slots }()
	if c.pace != nil {
		if err := c.pace.Wait(ctx); err != nil {
			return err
		}
	}
	body, err := json.Marshal(map[string]any{"tags": tags})
	if err != nil {
		return err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	q.Header.Set("Authorization", "Bearer "+token)
	q.Header.Set("Content-Type", "application/json")
	answer, err := c.client.Do(q)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body)
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", answer.StatusCode)
	}
	return nil
}
