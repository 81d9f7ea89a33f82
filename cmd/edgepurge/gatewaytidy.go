package main

import (
	"context"
	"time"

	"github.com/edgepurge/edgepurge/internal/deadletter"
)

const (
	tidyEvery = time.Hour
	// oldDelivery leaves ten days of the 90 after which asynq deletes a letter.
	oldDelivery = 80 * 24 * time.Hour
)

// tidy looks after the deliveries that are kept, until ctx ends: those that a
// crash left half kept, and those that asynq will soon delete, which are logged
// with all that they hold, once a process.
func (p *process) tidy(ctx context.Context, letters *deadletter.Box) {
	ticker := time.NewTicker(tidyEvery)
	defer ticker.Stop()
	logged := map[string]bool{}
	for {
		if n, err := letters.Tidy(ctx); err != nil && !p.away() {
			p.log.Warn().Err(err).Msg("kept deliveries could not be looked after")
		} else if n > 0 {
			p.log.Warn().Int("deliveries", n).Msg("deliveries that a crash left half kept are dead letters now")
		}
		old, err := letters.List(ctx, deadletter.Filter{Reasons: []string{deadletter.Unmappable}, Before: time.Now().Add(-oldDelivery)})
		if err != nil && ctx.Err() == nil && !p.away() {
			p.log.Warn().Err(err).Msg("kept deliveries could not be looked after")
		}
		for i := range old {
			l, err := letters.Letter(ctx, old[i].Key) // one by one: a letter may be a megabyte
			if err != nil || logged[l.ID] {
				continue
			}
			logged[l.ID] = true
			p.log.Warn().Str("letter", l.ID).Time("died", l.Died).Bytes("payload", l.Payload).
				Msg("asynq deletes this dead letter after 90 days: replay or delete it")
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
