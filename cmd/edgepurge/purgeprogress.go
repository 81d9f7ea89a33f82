package main

import (
	"context"
	"fmt"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/edgepurge/edgepurge/enqueue"
	"github.com/edgepurge/edgepurge/internal/overview"
	"github.com/edgepurge/edgepurge/worker/lanes"
)

const (
	// purgeLine is how often a line is written where there is no terminal.
	purgeLine = 5 * time.Second
	// purgeStill is how long nothing moves before the cause is looked for, each time.
	purgeStill = 3 * time.Second
)

// purgeProgress shows how far a purge is: a bar on a terminal, else a line now and
// then. It tells once why nothing moves, if it can see why.
type purgeProgress struct {
	app    *app
	client *producer
	bar    *progressbar.ProgressBar
	start  time.Time
	lined  time.Time       // when the last line was written
	moved  time.Time       // when the counts last changed, or their standstill was looked into
	last   int             // pending items, as last seen
	told   map[string]bool // causes
	outage outage
}

func newPurgeProgress(a *app, client *producer) *purgeProgress {
	now := time.Now()
	return &purgeProgress{app: a, client: client, start: now, lined: now, moved: now, told: map[string]bool{}, outage: outage{app: a}}
}

// redis takes how a look at Redis ended.
func (p *purgeProgress) redis(err error) {
	if p.outage.away != (err != nil) {
		p.clear()
	}
	p.outage.bridges(err)
}

func (p *purgeProgress) show(ctx context.Context, s enqueue.Status) {
	now := time.Now()
	if s.Pending != p.last {
		p.last, p.moved = s.Pending, now
	}
	if now.Sub(p.moved) >= purgeStill && !s.Done() {
		p.moved = now
		p.explain(ctx, s)
	}
	if isTerminal(p.app.stderr) {
		p.draw(s)
		return
	}
	if now.Sub(p.lined) >= purgeLine && !s.Done() {
		p.lined = now
		p.app.notef("%4.0f s  %s", now.Sub(p.start).Seconds(), receiptText(s))
	}
}

func (p *purgeProgress) draw(s enqueue.Status) {
	if p.bar == nil {
		p.bar = progressbar.NewOptions(s.Total,
			progressbar.OptionSetWriter(p.app.stderr), progressbar.OptionSetWidth(24), progressbar.OptionShowCount(),
			progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(true),
			progressbar.OptionShowDescriptionAtLineEnd(), progressbar.OptionClearOnFinish(),
		)
	}
	description := "purged"
	if s.Dead > 0 {
		description = fmt.Sprintf("done, %d dead", s.Dead)
	}
	p.bar.Describe(description)
	_ = p.bar.Set(s.Purged + s.Dead) // a terminal that is gone ends the command by itself
}

// explain tells what keeps the purge, each cause once. What cannot be read now is
// left out: the receipt is what is waited for.
func (p *purgeProgress) explain(ctx context.Context, s enqueue.Status) {
	ctx, cancel := context.WithTimeout(ctx, redisWait)
	defer cancel()
	o, err := overview.Read(ctx, p.client.rdb, settingsOf(p.client.config), overview.Settings{})
	if err != nil {
		return
	}
	account := ""
	if a := accountFor(p.client.config, s.Project); a != nil {
		account = a.Name
	}
	for _, cause := range whyStill(o, account, s.Project) {
		if !p.told[cause] {
			p.told[cause] = true
			p.clear()
			p.app.notef("edgepurge: %s", plain(cause))
		}
	}
}

// whyStill says what keeps a project's purges from going on; nothing if it cannot be
// seen. It is a pure function.
func whyStill(o *overview.Overview, account, project string) []string {
	if len(o.Workers) == 0 && o.WorkersFault == "" {
		return []string{"no worker runs, so nothing is purged: start `edgepurge worker`"}
	}
	var causes []string
	for _, a := range o.Accounts {
		if a.Account != account {
			continue
		}
		for _, h := range a.Holds {
			if h.Scope == lanes.ScopeAccount || h.Scope == lanes.ScopeProject(project) {
				causes = append(causes, fmt.Sprintf("account %s, %s: held for %s: `edgepurge hold list` tells until when", a.Account, h.Scope, h.Detail))
			}
		}
		if a.PausedUntil != nil {
			causes = append(causes, fmt.Sprintf("account %s pauses until %s, as Vercel asked", a.Account, a.PausedUntil.Local().Format(time.TimeOnly)))
		} else if a.Budget.Calls > 0 && a.Budget.Left == 0 {
			causes = append(causes, fmt.Sprintf("account %s has no calls left for now, of %d in %s", a.Account, a.Budget.Calls, brief(a.Budget.Per)))
		}
	}
	return causes
}

func (p *purgeProgress) clear() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

// end takes the bar away.
func (p *purgeProgress) end() {
	if p.bar != nil {
		_ = p.bar.Clear()
		_ = p.bar.Exit()
	}
}
