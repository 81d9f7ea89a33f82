package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/edgepurge/edgepurge/enqueue"
)

const (
	// receiptLook is how often a waiting command asks how far the purge is.
	receiptLook = 250 * time.Millisecond
	// receiptPatience is for how long Redis may be away meanwhile.
	receiptPatience = 30 * time.Second
)

// receipt tells what became of a request, or waits for it.
func (a *app) receipt(cmd *cobra.Command, f *purgeFlags) error {
	var other error
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if !slices.Contains([]string{"status", "wait", "json"}, flag.Name) && cmd.InheritedFlags().Lookup(flag.Name) == nil {
			other = usagef(cmd, "--status asks for no purge: leave --%s out", flag.Name)
		}
	})
	switch {
	case other != nil:
		return other
	case f.status == "":
		return usagef(cmd, "name the receipt: --status ID, as `edgepurge purge --track` printed it")
	}
	c, err := a.loadConfig()
	if err != nil {
		return err
	}
	client, err := a.openProducer(cmd.Context(), c)
	if err != nil {
		return err
	}
	defer client.end()
	if f.wait {
		return a.wait(cmd.Context(), client, f.status, f.json)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), redisWait)
	defer cancel()
	s, err := client.Status(ctx, f.status)
	if err != nil {
		return err
	}
	return a.tellReceipt(s, f.json)
}

// wait shows how far a purge is until it is done, and tells how it ended.
func (a *app) wait(ctx context.Context, client *producer, id string, asJSON bool) error {
	progress := newPurgeProgress(a, client)
	last, err := follow(ctx, client, id, progress)
	progress.end()
	if err != nil && ctx.Err() != nil {
		a.notef("edgepurge: stopped waiting; the purge goes on: `edgepurge purge --status %s` tells how far it is", id)
		if asJSON && last.ID != "" {
			return errors.Join(a.printJSON(last), errFailed)
		}
		return errFailed
	}
	if errors.Is(err, enqueue.ErrUnknownReceipt) {
		return err
	}
	if err != nil {
		return fmt.Errorf("%w\nnobody waits any more, but the purge goes on: ask again with `edgepurge purge --status %s`", err, plain(id))
	}
	return a.tellReceipt(last, asJSON)
}

// follow asks again and again until the request is done, and returns what it saw last.
func follow(ctx context.Context, client *producer, id string, progress *purgeProgress) (last enqueue.Status, err error) {
	seen := time.Now()
	for {
		asked, cancel := context.WithTimeout(ctx, redisWait)
		s, err := client.Status(asked, id)
		cancel()
		switch {
		case err == nil:
			last, seen = s, time.Now()
			progress.show(ctx, s)
			if s.Done() {
				return s, nil
			}
		case errors.Is(err, enqueue.ErrUnknownReceipt), ctx.Err() != nil, time.Since(seen) > receiptPatience:
			return last, err
		}
		progress.redis(err)
		select {
		case <-ctx.Done():
			return last, ctx.Err()
		case <-time.After(receiptLook):
		}
	}
}

// tellReceipt prints what became of a request. It fails if some of it is dead.
func (a *app) tellReceipt(s enqueue.Status, asJSON bool) error {
	if asJSON {
		if err := a.printJSON(s); err != nil {
			return err
		}
	} else {
		a.printf("%s\n", receiptText(s))
	}
	if s.Dead == 0 {
		return nil
	}
	a.notef("edgepurge: %s dead: `edgepurge dead list` tells why", isOrAre(s.Dead))
	return errFailed
}

// receiptText is one line for people.
func receiptText(s enqueue.Status) string {
	text := fmt.Sprintf("purged %d of %s", s.Purged, count(s.Total, "item"))
	if s.Dead > 0 {
		text += fmt.Sprintf(", %d dead", s.Dead)
	}
	if !s.Done() {
		return text + fmt.Sprintf(", %d pending", s.Pending)
	}
	return text + fmt.Sprintf(" within %s", brief(s.DoneAt.Sub(s.RequestedAt)))
}

func isOrAre(n int) string {
	if n == 1 {
		return "1 item is"
	}
	return fmt.Sprintf("%d items are", n)
}
