package worker

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/edgepurge/edgepurge/tasks"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// part is one task of a request, as its receipt knows it; receipt is empty if the
// request is not tracked.
type part struct {
	receipt, task string
	items         int // 0: unknown, all of the receipt
}

func partOf(p *tasks.Purge) part {
	return part{p.ReceiptID(), p.ID, len(p.Tags) + len(p.SrcImages)}
}

// guessPart reads from the payload of a task that is no valid request of this
// version what concerns its receipt. Without a receipt in it the task's id is a
// request's own, and if that one has no receipt nothing is counted.
func guessPart(task string, payload []byte) part {
	var p struct {
		Receipt   string            `json:"receipt"`
		Tags      []json.RawMessage `json:"tags"`
		SrcImages []json.RawMessage `json:"src_images"`
	}
	if json.Unmarshal(payload, &p) != nil || p.Receipt == "" {
		return part{task, task, 0}
	}
	return part{p.Receipt, task, len(p.Tags) + len(p.SrcImages)}
}

// guessPurge reads from such a payload what metrics count by: who asked for how many
// items of which project.
func guessPurge(payload []byte) tasks.Purge {
	var p struct {
		Project   string            `json:"project"`
		Source    string            `json:"source"`
		Tags      []json.RawMessage `json:"tags"`
		SrcImages []json.RawMessage `json:"src_images"`
	}
	if json.Unmarshal(payload, &p) != nil {
		return tasks.Purge{}
	}
	return tasks.Purge{Project: p.Project, Source: p.Source, Tags: make([]string, len(p.Tags)), SrcImages: make([]string, len(p.SrcImages))}
}

// track tells the receipt of a request into which account its items go, and returns
// its id; empty if they are not to be counted.
func (in *intake) track(ctx context.Context, a *account, p *tasks.Purge) (string, error) {
	id := p.ReceiptID()
	if id == "" {
		return "", nil
	}
	known, err := in.lanes.Take(ctx, a.Name, id, p.ID, max(p.Settle, time.Until(p.NotBefore)))
	if err != nil || !known {
		return "", err
	}
	return id, nil
}

// buryPart is bury of what a receipt may know.
func (in *intake) buryPart(ctx context.Context, of part, reason Reason, err error) error {
	err = in.bury(ctx, reason, err)
	if _, dead := errors.AsType[*letterError](err); !dead || of.receipt == "" {
		return err
	}
	if err := in.lanes.Bury(ctx, of.receipt, of.task, of.items); err != nil {
		return err
	}
	return err
}

// buryCall is bury of a call whose batch may carry receipts.
func (t *attempts) buryCall(ctx context.Context, account, batch string, items []string, reason Reason, err error) error {
	err = t.bury(ctx, reason, err)
	if _, dead := errors.AsType[*letterError](err); !dead {
		return err
	}
	b := lanes.Batch{ID: batch, Items: items, Tracked: true} // nobody has looked whether it is
	if err := t.lanes.Settle(ctx, account, b, lanes.Died); err != nil {
		return err
	}
	return err
}

// guessCall reads from the payload of a call that is not valid in this version what
// concerns its receipts.
func guessCall(payload []byte) (account, batch string, items []string) {
	var c struct {
		Account string   `json:"account"`
		Batch   string   `json:"batch"`
		Items   []string `json:"items"`
	}
	_ = json.Unmarshal(payload, &c) // what is missing names nothing that is carried
	return c.Account, c.Batch, c.Items
}
