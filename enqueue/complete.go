package enqueue

import (
	"fmt"
	"time"

	"github.com/edgepurge/edgepurge/tasks"
)

// complete fills in what the producer left empty, checks the request and drops
// its repeats. Faults are told by the positions in the producer's lists, so the
// check comes before repeats are dropped. The producer's lists are not changed.
func (c *Client) complete(p tasks.Purge) (tasks.Purge, error) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	if p.RequestedAt.IsZero() {
		p.RequestedAt = now
	}
	if p.Priority == "" {
		p.Priority = tasks.Normal
	}
	if p.Source == "" {
		p.Source = c.source
	}
	p.Receipt = ""
	if err := p.Validate(); err != nil {
		return tasks.Purge{}, fmt.Errorf("purge request: %w", err)
	}
	if p.ID == "" {
		var err error
		if p.ID, err = c.ids.next(now); err != nil {
			return tasks.Purge{}, err
		}
	}
	p.Tags, p.SrcImages = distinct(p.Tags), distinct(p.SrcImages)
	return p, nil
}

// distinct returns the items in their order, each once.
func distinct(items []string) []string {
	if len(items) == 0 {
		return nil
	}
	seen := make(map[string]struct{}, len(items))
	list := make([]string, 0, len(items))
	for _, item := range items {
		if _, again := seen[item]; !again {
			seen[item] = struct{}{}
			list = append(list, item)
		}
	}
	return list
}
