package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/edgepurge/edgepurge/configs"
	"github.com/edgepurge/edgepurge/internal/overview"
	"github.com/edgepurge/edgepurge/internal/queues"
	"github.com/edgepurge/edgepurge/worker"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

// held warns of what keeps purges from going although everything is in place:
// holds, paused queues and dead letters.
func (r *report) held(ctx context.Context, c configs.Config, rdb redis.UniversalClient) {
	holds, states, err := readHeld(ctx, c, rdb)
	if err != nil {
		r.add(doubtful, "purges", "could not look what keeps them back: %v", err)
		return
	}
	before, now := len(r.findings), time.Now()
	for _, h := range holds {
		r.hold(now, h)
	}
	letters := 0
	for _, q := range states {
		letters += q.Archived
		if q.Paused {
			r.add(doubtful, "queue "+q.Queue, "is paused by hand: resume it in the web UI, or with asynq's own tool")
		}
	}
	if letters > 0 {
		r.add(doubtful, "dead letters", "%s: see `edgepurge dead list`, then replay or delete them", count(letters, "dead letter"))
	}
	if len(r.findings) == before {
		r.add(fine, "purges", "nothing is held, paused or dead")
	}
}

func readHeld(ctx context.Context, c configs.Config, rdb redis.UniversalClient) ([]held, []queues.State, error) {
	l := lanes.New(rdb)
	names, err := overview.AccountNames(ctx, l, settingsOf(c))
	if err != nil {
		return nil, nil, err
	}
	holds, err := listHolds(ctx, l, names)
	if err != nil {
		return nil, nil, err
	}
	states, err := queues.Read(ctx, rdb, queues.All()...)
	return holds, states, err
}

// hold warns of one hold. A token that Vercel accepts here although the workers were
// refused is not the one that they have.
func (r *report) hold(now time.Time, h held) {
	remedy := holdRemedy(h)
	if h.Scope == lanes.ScopeAccount && refusesToken(h.Reason) && r.accepted[h.Account] {
		remedy = "the token is accepted from here, so the running workers may have another one: restart them with this one, then `edgepurge hold release " + h.Account + "`"
	}
	r.add(doubtful, "hold", "%s is held for %s (%s): %s", h.what(), brief(now.Sub(h.Since)), holdCause(h), remedy)
}

// holdCause is why something is held: Vercel's words, or where there are none the reason.
func holdCause(h held) string { return cmp.Or(h.Detail, strings.ReplaceAll(h.Reason, "_", " ")) }

// refusesToken reports whether a hold's reason may be its account's token.
func refusesToken(reason string) bool {
	return slices.Contains([]string{string(worker.Unauthorized), string(worker.Forbidden)}, reason)
}

// holdRemedy says what to do about a hold.
func holdRemedy(h held) string {
	release := "`edgepurge hold release " + h.Account + "`"
	if project, ok := lanes.HeldProject(h.Scope); ok {
		release = fmt.Sprintf("`edgepurge hold release %s --project %s`", h.Account, project)
	}
	var what string
	switch worker.Reason(h.Reason) {
	case worker.Unauthorized, worker.Forbidden:
		what = "set a token that may purge there, and restart the workers"
	case worker.ProjectMissing, worker.ProjectGone:
		what = "check the project's id and that it belongs to this account's team"
	case worker.PaymentDue:
		what = "see to the plan or the bill of this project at Vercel"
	case worker.Redirected:
		what = "set vercel.url to the address that it redirects to"
	case worker.ArchiveFull:
		what = "replay or delete dead letters (`edgepurge dead list`)"
	default:
		what = "fix the cause"
	}
	return what + ", then " + release + ", or wait for the next probe"
}
